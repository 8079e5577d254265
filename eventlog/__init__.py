"""An event-sourced experiment platform whose only database is a directory or a bucket.

    >>> import eventlog
    >>> with eventlog.open("./.eventlog") as log:
    ...     log.append("lamp.lit", "lamp:desk", data={"by": "me"})
    ...     print(log.events().collect())

The public names:

    open           a log by its URL: a path, ``s3://bucket/prefix``, ``memory://name`` …
    Log            what `open` gives
    Run            what ``log.run(…)`` gives: one training
    Event          one event, as Python values
    EventType      gives the payload of events of one name a shape and a version
    View           a fold of events into a frame; subclass it for one of your own
    Position       how far a reader has come
    start_run      begin a run and make it the active one, which these log to:
    log_metric     … one point
    log_metrics    … one point of each of some metrics
    log_param      … a param
    log_params     … params, nested as they may be
    set_tag        … a tag
    set_tags       … tags
    active_run     … and which it is
    end_run        … until its end
    hookimpl       marks a plugin's functions
    testing        the conformance kits for those who write backends and plugins
    __version__    of this package
    errors         every error, in one small tree; each is a public name here as well:
                   EventlogError, UsageError, NotALog, NewerFormat, Damage, ForkedLane,
                   VersionConflict, Fenced, SpoolError, SpoolFull, LogClosed, PluginError,
                   BackendError, Exists, Missing, Denied, Unavailable, NotCreateOnly

Importing this module is cheap: every name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventlog import errors, testing
    from eventlog.errors import (
        BackendError,
        Damage,
        Denied,
        EventlogError,
        Exists,
        Fenced,
        ForkedLane,
        LogClosed,
        Missing,
        NewerFormat,
        NotALog,
        NotCreateOnly,
        PluginError,
        SpoolError,
        SpoolFull,
        Unavailable,
        UsageError,
        VersionConflict,
    )
    from eventlog.event import Event, EventType
    from eventlog.face import Log
    from eventlog.face import open_log as open
    from eventlog.log.manifest import Position
    from eventlog.plugin import hookimpl
    from eventlog.tracking.fluent import (
        active_run,
        end_run,
        log_metric,
        log_metrics,
        log_param,
        log_params,
        set_tag,
        set_tags,
        start_run,
    )
    from eventlog.tracking.run import Run
    from eventlog.view import View

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "Damage",
    "Denied",
    "Event",
    "EventType",
    "EventlogError",
    "Exists",
    "Fenced",
    "ForkedLane",
    "Log",
    "LogClosed",
    "Missing",
    "NewerFormat",
    "NotALog",
    "NotCreateOnly",
    "PluginError",
    "Position",
    "Run",
    "SpoolError",
    "SpoolFull",
    "Unavailable",
    "UsageError",
    "VersionConflict",
    "View",
    "__version__",
    "active_run",
    "end_run",
    "errors",
    "hookimpl",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "open",
    "set_tag",
    "set_tags",
    "start_run",
    "testing",
]

_FLUENT = (
    "active_run", "end_run", "log_metric", "log_metrics", "log_param", "log_params", "set_tag",
    "set_tags", "start_run",
)  # fmt: skip
_HOMES = {name: f"eventlog.tracking.fluent:{name}" for name in _FLUENT} | {
    "Event": "eventlog.event:Event",
    "EventType": "eventlog.event:EventType",
    "Log": "eventlog.face:Log",
    "Position": "eventlog.log.manifest:Position",
    "Run": "eventlog.tracking.run:Run",
    "View": "eventlog.view:View",
    "errors": "eventlog.errors",
    "hookimpl": "eventlog.plugin:hookimpl",
    "open": "eventlog.face:open_log",
    "testing": "eventlog.testing",
}


def __getattr__(name: str) -> object:
    """Load a public name on its first use (PEP 562)."""
    home = _HOMES.get(name) or f"eventlog.errors:{name}"
    if name not in __all__:
        raise AttributeError(f"module 'eventlog' has no attribute {name!r}")
    module_name, _, attribute = home.partition(":")
    module = importlib.import_module(module_name)
    value: object = getattr(module, attribute) if attribute else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
