"""What a plugin may add to eventlog. Only hooks that something calls are here.

A plugin is a module (or any object) whose functions carry `eventlog.hookimpl`, named by an entry
point of the group ``eventlog``. ``register_*`` returns data; a past-tense name is an observer.
``plugins/README.md`` lists them all in one table and shows a complete plugin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click
    import pyarrow as pa

    from eventlog.backend import Backend
    from eventlog.event import EventType
    from eventlog.log.log import Log
    from eventlog.view import View

hookspec = pluggy.HookspecMarker("eventlog")


@hookspec
def register_backends() -> dict[str, Callable[[str], Backend]]:  # type: ignore[empty-body]
    """URL scheme to the function that makes a backend of such a URL.

    Making one must touch neither network nor disk, and import what is heavy only then. The scheme
    ``*`` takes every URL that no other scheme takes; its factory raises `LookupError` for one that
    it does not know either.
    """


@hookspec
def register_event_types() -> list[EventType]:  # type: ignore[empty-body]
    """Event types, every version of each that a log may hold, with its upcast."""


@hookspec
def register_views() -> list[View]:  # type: ignore[empty-body]
    """Views, each an instance of a subclass of `eventlog.View`."""


@hookspec
def register_commands() -> list[click.Command]:  # type: ignore[empty-body]
    """Commands for the command line: ``eventlog <name>``."""


@hookspec
def events_shipped(log: Log, events: pa.Table) -> None:
    """``events`` (schema: `eventlog.event.schema`) have reached the store of ``log``.

    Called in the thread that ships, once a segment: it delays the next shipment, no training.
    After a crash events may be shipped, and hence seen here, again: (lane, seq) tells.
    """
