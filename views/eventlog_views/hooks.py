"""How the built-in views register: by the same hook as anybody's."""

from __future__ import annotations

from eventlog.plugin import hookimpl
from eventlog.view import View


@hookimpl
def register_views() -> list[View]:
    from eventlog_views.experiments import Experiments
    from eventlog_views.runs import Params, Runs, Tags

    return [Experiments(), Runs(), Params(), Tags()]
