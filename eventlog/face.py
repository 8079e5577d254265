"""The log that people hold: what trainings write and analyses ask, on one object."""

from __future__ import annotations

import os
from pathlib import Path

from eventlog.backend import open_backend
from eventlog.log.write.options import SPOOL_LIMIT_BYTES, Options
from eventlog.query.queries import Queries
from eventlog.tracking.tracker import Tracking

DEFAULT_URL = "./.eventlog"


class Log(Tracking, Queries):
    """A log: what `open_log` (``eventlog.open``) gives.

    Attributes:
        backend: the store.
        url: how it was named, without secrets.
    """

    def __enter__(self) -> Log:
        self._refuse_closed()
        return self


def open_log(
    url: str | os.PathLike[str] | None = None,
    *,
    strict: bool = False,
    spool_limit_bytes: int = SPOOL_LIMIT_BYTES,
    spool: str | os.PathLike[str] | None = None,
    ship_s: tuple[float, float] | None = None,
) -> Log:
    """Open a log. Touches neither disk nor network: the first write makes the log.

    Args:
        url: a path, ``file://``, ``s3://bucket/prefix``, ``memory://name`` …; None takes
            ``$EVENTLOG_URL``, else ``./.eventlog``.
        strict: raise on a full disk instead of warning and dropping points.
        spool_limit_bytes: how much unshipped data may wait on local disk while the store is away.
        spool: a local directory for unshipped events; None chooses one.
        ship_s: (first, longest) seconds between two shipments to the store.

    Logs of one URL and the same options share one writer in a process. Use a log as a context
    manager, or `close` it; the interpreter's exit closes what is left open. What a dead process of
    this machine left behind is shipped when the log is first written to or read.

    Example:
        >>> log = eventlog.open("s3://team/experiments")
        >>> with log.run("mnist", params={"lr": 1e-3}) as run:
        ...     run.log({"loss": 0.25}, step=100)
    """
    where = os.fspath(url) if url is not None else os.environ.get("EVENTLOG_URL") or DEFAULT_URL
    options = Options(
        strict=strict,
        spool_limit_bytes=spool_limit_bytes,
        spool=Path(spool) if spool is not None else None,
        ship_s=ship_s,
    )
    return Log(open_backend(where), options)
