"""What every verb takes: which log, and whether the answer is for a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from eventlog.backend import Backend
    from eventlog.log.log import Log
    from eventlog.log.read.reader import Reader

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_URL = "./.eventlog"


@dataclass
class Settings:
    """The options that stand before or after the verb.

    Attributes:
        url: the log's; None for ``$EVENTLOG_URL``, or ``./.eventlog``.
        json: print JSON.
    """

    url: str | None = None
    json: bool = False

    def open(self) -> Log:
        """The log, for a verb that may write to it."""
        import eventlog

        return eventlog.open(self.url)

    def backend(self) -> Backend:
        """The store that holds the log."""
        import os

        from eventlog.backend import open_backend

        return open_backend(self.url or os.environ.get("EVENTLOG_URL") or DEFAULT_URL)

    def reader(self) -> Reader:
        """A reader of the log, for a verb that changes nothing."""
        return reader_of(self.backend())


def reader_of(backend: Backend) -> Reader:
    """A reader of the log in a store; `NotALog` where there is none."""
    from eventlog.log.cache import cache_for
    from eventlog.log.manifest import read_format
    from eventlog.log.read.reader import Reader

    log_id = read_format(backend).log_id
    return Reader(backend, cache_for(backend, log_id))


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> None:
    settings = ctx.find_root().ensure_object(Settings)
    if value == "":
        raise click.BadParameter("the log's URL is empty.", ctx, param)
    if value:  # what stands before the verb holds unless something stands after it
        setattr(settings, "url" if param.name == "log" else "json", value)


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Print JSON, for programs.",
    )(command)


def log_option(command: F) -> F:
    """Add ``--log``."""
    return click.option(
        "--log",
        metavar="URL",
        expose_value=False,
        callback=_remember,
        help="The log: a path, s3://bucket/prefix … Default: $EVENTLOG_URL, or ./.eventlog.",
    )(command)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every verb takes, and hand it its `Settings`."""
    return log_option(json_option(click.make_pass_decorator(Settings, ensure=True)(command)))
