"""How tracking registers: by the same hooks as anybody's plugin."""

from __future__ import annotations

from eventlog.event import EventType
from eventlog.plugin import hookimpl


@hookimpl
def register_event_types() -> list[EventType]:
    from eventlog.tracking.events import event_types

    return event_types()
