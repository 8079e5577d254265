"""The log: what `eventlog.open` gives. Appends, reads, and looks after the store."""

from __future__ import annotations

import functools
import logging
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventlog.backend import Backend, open_backend
from eventlog.errors import LogClosed, UsageError
from eventlog.event import DATA_LIMIT_BYTES, POINT_TYPE, Event, EventTypes, check_int64, check_name
from eventlog.log import create
from eventlog.log.shared import Shared, observers_of, release, share
from eventlog.log.write import handles
from eventlog.log.write.handles import PointHandle, as_float
from eventlog.log.write.lane import SPOOL_LIMIT_BYTES, Options, Writer

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike

    from eventlog.log.keep.recover import SyncReport
    from eventlog.log.manifest import Position
    from eventlog.log.read.reader import Reader
    from eventlog.log.read.snapshot import OnDamage

logger = logging.getLogger("eventlog")

DEFAULT_URL = "./.eventlog"
AHEAD_LIMIT_US = 24 * 3600 * 1_000_000


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

    Logs of one URL in one process share their writer. Use it as a context manager, or `close` it;
    the interpreter's exit closes what is left open.

    Example:
        >>> log = eventlog.open("s3://team/experiments")
        >>> log.append("run.created", "run:1", data={"name": "baseline"})
    """
    where = os.fspath(url) if url is not None else os.environ.get("EVENTLOG_URL") or DEFAULT_URL
    options = Options(
        strict=strict,
        spool_limit_bytes=spool_limit_bytes,
        spool=Path(spool) if spool is not None else None,
        ship_s=ship_s,
    )
    return Log(open_backend(where), options)


@functools.cache
def event_types() -> EventTypes:
    """The event types that all plugins register."""
    from eventlog.plugin import contributions, report_broken

    types = EventTypes()
    for plugin, registered in contributions("register_event_types"):
        for event_type in registered:
            try:
                types.add(event_type)
            except (UsageError, AttributeError) as error:
                report_broken(plugin, "register_event_types", str(error))
    return types


class Log:
    """A log, open for appending and reading. Made by `open_log` (``eventlog.open``).

    Attributes:
        backend: the store.
        url: how it was named, without secrets.
    """

    def __init__(self, backend: Backend, options: Options | None = None) -> None:
        self.backend = backend
        self.url = backend.url
        self._options = options or Options()
        self._closed = False
        self._shared: Shared | None = None
        self._reader: Reader | None = None

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<eventlog.Log {self.url}{' (closed)' if self._closed else ''}>"

    @property
    def _writer(self) -> Writer:
        if self._closed:
            raise LogClosed("the log is closed: open it again with eventlog.open().")
        shared = self._shared
        if shared is None:
            shared = share(self, self._options)
        return shared.writer

    # -- writing -----------------------------------------------------------------------------

    def append(
        self,
        type: str,
        stream: str,
        *,
        key: str | None = None,
        step: int | None = None,
        value: float | None = None,
        data: object = None,
        time: int | None = None,
        expected_version: int | None = None,
    ) -> None:
        """Append one event. When this returns, the event survives ``kill -9``.

        Args:
            type: what happened, in the past tense: ``run.created``.
            stream: the entity it happened to: ``run:42``.
            key, step, value: as `event.schema` says.
            data: JSON-able, or the `msgspec.Struct` of the registered type. Of any length.
            time: microseconds since 1970 in UTC; None is now. Times of facts never decrease within
                a process; one more than 24 hours ahead is refused.
            expected_version: append only if the stream has had exactly so many versioned events;
                then this call talks to the store.

        Raises:
            UsageError: an argument cannot be kept exactly; nothing was written.
            VersionConflict: somebody else appended to the stream first.
        """
        check_name("type", type)
        check_name("stream", stream)
        if key is not None:
            check_name("key", key)
        if step is not None:
            step = check_int64("step", step)
        if value is not None:
            value = as_float(value)
        if time is not None:
            time = _checked_time(time)
        text = event_types().encode(type, data)
        if expected_version is not None:
            event = Event("", 0, time or _now_us(), type, stream, key, step, value, text)
            return self._claim(event, expected_version)
        self._append(time, type, stream, key, step, value, text)
        return None

    def _append(
        self,
        time: int | None,
        type: str,
        stream: str,
        key: str | None,
        step: int | None,
        value: float | None,
        text: str | None,
    ) -> None:
        writer = self._writer
        if text is not None and len(text) > DATA_LIMIT_BYTES // 4:
            text = _shortened(writer, text)
        writer.append(time, type, stream, key, step, value, text, type != POINT_TYPE)

    def _claim(self, event: Event, expected: int) -> None:
        """Win the stream's next version in the store, then announce it in our own lane."""
        from eventlog.log import claim as cl

        self.prepare()
        chain = cl.chain_of(event.stream)
        won = cl.claim(self.backend, chain.kind, chain.name, event, expected)
        writer = self._writer
        known = writer.announced.get(chain.lane, 0)
        for each in [*cl.announce_missing(self.reader(), won, known), won]:
            said = each.announcement()
            self._append(None, said.type, said.stream, said.key, said.step, None, said.data)
        writer.announced[chain.lane] = won.n + 1

    def points(self, stream: str, key: str) -> PointHandle:
        """A prepared handle ``h(value, step, time_us=None)`` that logs one point in ~1 µs.

        Points are events of type ``metric.logged``. Raises `UsageError` for values that are no
        numbers and steps that are no whole numbers; NaN and ±Inf are kept.
        """
        check_name("stream", stream)
        return handles.point_handle(self._writer, stream, check_name("key", key))

    def points_many(self, stream: str, keys: Sequence[str]) -> PointHandle:
        """A prepared handle ``h(values, step, time_us=None)`` for metrics that come together."""
        check_name("stream", stream)
        names = [check_name("key", key) for key in keys]
        return handles.points_handle(self._writer, stream, names)

    def series(
        self,
        stream: str,
        key: str,
        steps: ArrayLike,
        values: ArrayLike,
        times_us: ArrayLike | None = None,
    ) -> None:
        """Log arrays of one metric, all of shape (n,): a million points in one call."""
        check_name("stream", stream)
        handles.log_series(self._writer, stream, check_name("key", key), steps, values, times_us)

    def flush(self, remote: bool = False, timeout_s: float = 60.0) -> None:
        """Make everything that returned by now safe against power loss.

        Args:
            remote: and put it into the store: safe against the loss of this machine.
            timeout_s: how long to wait for the store; then its error is raised. The events stay
                in the spool and are shipped later all the same.
        """
        if self._shared is None:
            return
        self._writer.flush()
        if remote:
            self._writer.ship(timeout_s)

    def close(self, timeout_s: float = 30.0) -> None:
        """Ship what is left and end. What the store does not take in time is shipped by the next
        process that opens the log."""
        self._closed = True
        release(self, timeout_s)

    # -- reading -----------------------------------------------------------------------------

    def reader(self) -> Reader:
        """The read side: snapshots, positions, tables."""
        from eventlog.log.cache import cache_for
        from eventlog.log.manifest import read_format
        from eventlog.log.read.reader import Reader

        if self._reader is None:
            log_id = read_format(self.backend).log_id
            self._reader = Reader(self.backend, cache_for(self.backend, log_id))
        return self._reader

    def position(self) -> Position:
        """How far the store has come now; `events(after=…)` goes on from there."""
        return self.reader().snapshot().position

    def events(
        self,
        after: Position | None = None,
        *,
        upto: Position | None = None,
        damage: OnDamage = "raise",
    ) -> pl.LazyFrame:
        """All events, as a lazy frame with the columns of `event.schema`.

        What this process has appended is in it, shipped or not; what a dead writer on this machine
        left behind is shipped first. Rows come in no particular order: sort by ``time``, or by
        ``lane`` and ``seq`` for one writer's order.

        Args:
            after: only events that a reader at that position has not seen.
            upto: only events below that position.
            damage: "raise" `Damage` for a damaged segment, or "skip" it and read the rest.
        """
        from eventlog.log import own
        from eventlog.log.read.frames import events_frame

        self.sync()
        own.create_for_tail(self.backend)
        reader = self.reader()
        resolve = functools.partial(own.resolve, self.backend)
        if upto is not None:
            return events_frame(reader.snapshot(damage), after, upto, resolve=resolve)
        tail, snapshot = own.tail_and_snapshot(reader, damage)
        return events_frame(snapshot, after, upto, extra=tail, resolve=resolve)

    def tail(
        self, after: Position | None = None, *, stop: threading.Event | None = None
    ) -> Iterator[pl.DataFrame]:
        """Batches of events as they reach the store, for ever (or until ``stop`` is set)."""
        import polars as pl

        from eventlog.log.read.tail import tail

        batches = tail(self.reader(), after, poll_s=self.backend.poll_s, stop=stop)
        for table, _ in batches:
            yield pl.DataFrame(pl.from_arrow(table))

    # -- looking after the store ---------------------------------------------------------------

    def sync(self, *, adopt: bool = False) -> SyncReport:
        """Ship what dead writers on this machine left behind (``adopt``: of other machines too)."""
        from eventlog.log.keep.recover import SyncReport, lanes_in, recover_all
        from eventlog.log.write.identity import spool_root

        writer = self._shared.writer if self._shared is not None else None
        root = writer.root if writer is not None else self._options.spool
        root = root or spool_root(self.backend)
        own = writer.spool.lane if writer is not None and writer.spool is not None else None
        if all(path.name == own for path in lanes_in(root)):
            return SyncReport()
        create.ensure_log(self.backend)
        landed = observers_of(self)
        return recover_all(self.reader(), root, adopt=adopt, skip=own, landed=landed)

    def compact(self, **options: Any) -> Any:
        """Merge small segments into sorted Parquet; see `eventlog.log.keep.compact.compact`."""
        from eventlog.log.keep.compact import compact

        return compact(self.reader(), **options)

    def collect(self, **options: Any) -> Any:
        """Delete what no reader can need; see `eventlog.log.keep.collect.collect`."""
        from eventlog.log.keep.collect import collect

        return collect(self.reader(), **options)

    def verify(self, **options: Any) -> Any:
        """Check every object of the log; see `eventlog.log.keep.verify.verify`."""
        from eventlog.log.keep.verify import verify

        return verify(self.reader(), **options)

    def prepare(self) -> int:
        """Make the log if there is none; returns the newest time in it, microseconds."""
        from eventlog.log import manifest

        found = create.ensure_log(self.backend)
        newest_us = manifest.load(self.backend, found.log_id).newest_us
        if newest_us > _now_us() + AHEAD_LIMIT_US:
            logger.warning(
                "%s holds events of more than a day in the future: a clock was wrong. This "
                "process goes by its own.",
                self.url,
            )
            return 0
        return newest_us


def _now_us() -> int:
    import time

    return time.time_ns() // 1000


def _checked_time(time_us: int) -> int:
    at = check_int64("time", time_us)
    if at > _now_us() + AHEAD_LIMIT_US:
        raise UsageError(f"time={at} is more than 24 hours ahead (microseconds since 1970 in UTC).")
    return at


def _shortened(writer: Writer, text: str) -> str:
    """A long payload goes to a blob; the event keeps its mark."""
    import hashlib

    from eventlog.log.blob import PREFIX, Mark

    raw = text.encode()
    if len(raw) <= DATA_LIMIT_BYTES:
        return text
    digest = hashlib.sha256(raw).hexdigest()
    key = f"{PREFIX}{digest[:2]}/{digest}-{secrets.token_hex(8)}"
    try:
        writer.opened().keep_blob(key, raw)
    except OSError:
        return text  # a full disk: the payload waits in memory with its event
    return Mark(key, len(raw)).to_text()
