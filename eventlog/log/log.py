"""The log: what `eventlog.open` gives. Appends, reads, and looks after the store."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eventlog.backend import Backend
from eventlog.errors import UsageError
from eventlog.event import DATA_LIMIT_BYTES, POINT_TYPE, Event, EventTypes, check_int64, check_name
from eventlog.log.clock import checked_time, now_us, witnessed_us
from eventlog.log.keeper import Keeper
from eventlog.log.shared import Shared, release, share, writers_of
from eventlog.log.write import handles
from eventlog.log.write.handles import PointHandle, as_float
from eventlog.log.write.lane import Writer
from eventlog.log.write.options import Options

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import ArrayLike

    from eventlog.log.manifest import Position
    from eventlog.log.read.snapshot import OnDamage
    from eventlog.log.read.tail import Tail

logger = logging.getLogger("eventlog")

_OWN_TYPES = ("claim.", "lane.", "writer.")  # what the log itself appends


class Log(Keeper):
    """A log, open for appending and reading. What ``eventlog.open`` gives is one, with runs.

    Attributes:
        backend: the store.
        url: how it was named, without secrets.
    """

    def __init__(self, backend: Backend, options: Options | None = None) -> None:
        super().__init__(backend, options)
        self._shared: Shared | None = None

    def __enter__(self) -> Log:
        self._refuse_closed()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<eventlog.Log {self.url}{' (closed)' if self._closed else ''}>"

    @property
    def _writer(self) -> Writer:
        self._refuse_closed()
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
            time: microseconds since 1970 in UTC; None is now. Facts of a process never go back in
                time, nor behind what it has read of the log: an earlier time is replaced by the
                newest one so far. (Keep when something happened elsewhere in ``data``.) A time
                more than 24 hours ahead is refused.
            expected_version: append only if the stream has had exactly so many versioned events;
                then this call talks to the store. The event appears in `events` as a
                ``claim.announced`` that carries it, which views unwrap.

        Where the local disk is full the event waits in memory, with a warning, and is lost if the
        process is killed before there is room; with ``strict=True`` this raises instead.

        Raises:
            UsageError: an argument cannot be kept exactly; nothing was written.
            VersionConflict: somebody else appended to the stream first.
            SpoolFull: only with ``strict=True``: the local disk is full.

        Example:
            >>> log.append("param.set", "run:42", key="lr", data=1e-3)
        """
        step, value, time = _checked(type, stream, key, step, value, time)
        text = event_types().encode(type, data)
        if expected_version is not None:
            expected_version = check_int64("expected_version", expected_version)
            event = Event(
                "", 0, now_us() if time is None else time, type, stream, key, step, value, text
            )
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
            from eventlog.log.blob import shortened

            text = shortened(text, lambda key, raw: writer.opened().keep_blob(key, raw))
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
        """A prepared handle ``h(value, step, time_us=None)`` that logs one point in under 1 µs.

        Points are events of type ``metric.logged``. ``value`` is kept as float64, NaN and ±Inf
        too; ``step`` as int64; ``time_us`` counts microseconds since 1970 in UTC (None is now).
        The handle raises `UsageError` for what is no number, no whole number, no time.

        Example:
            >>> loss = log.points("run:42", "loss")
            >>> loss(0.25, 100)
        """
        check_name("stream", stream)
        return handles.point_handle(self._writer, stream, check_name("key", key))

    def points_many(self, stream: str, keys: Sequence[str]) -> PointHandle:
        """A prepared handle ``h(values, step, time_us=None)`` for metrics that come together.

        ``values``: a list of one number for each of ``keys``; the rest is as for `points`.

        Example:
            >>> both = log.points_many("run:42", ["loss", "acc"])
            >>> both([0.25, 0.9], 100)
        """
        check_name("stream", stream)
        if isinstance(keys, str | bytes):
            raise UsageError(f"keys must be a list of names, not {keys!r:.80}.")
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
        """Log arrays of one metric: a million points in one call.

        Args:
            steps: shape (n,), int64.
            values: shape (n,), float64; NaN and ±Inf are kept.
            times_us: shape (n,), microseconds since 1970 in UTC; None is now.

        Raises:
            UsageError: shapes differ, or something is no number; nothing was written.

        Example:
            >>> log.series("run:42", "loss", range(3), [0.5, 0.25, 0.125])
        """
        check_name("stream", stream)
        handles.log_series(self._writer, stream, check_name("key", key), steps, values, times_us)

    def flush(self, remote: bool = False, timeout_s: float = 60.0) -> None:
        """Make everything that returned by now safe against power loss.

        Args:
            remote: and put it into the store: safe against the loss of this machine.
            timeout_s: how long to wait for the store; then its error is raised. The events stay
                in the spool and are shipped later all the same.

        Raises:
            SpoolError: the local disk fails.
            Unavailable, Denied: ``remote`` was asked for, and the store did not take the events.
        """
        self._refuse_closed()
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

    def _own(self) -> Writer | None:
        return self._shared.writer if self._shared is not None else None

    def _witness(self, newest_us: int) -> None:
        super()._witness(newest_us)
        for writer in writers_of(self.url):
            spool = writer.spool
            if spool is not None and spool.clock_us < witnessed_us(self.url):
                with spool.lock:
                    spool.clock_us = max(spool.clock_us, witnessed_us(self.url))

    # -- reading -----------------------------------------------------------------------------

    def position(self, *, damage: OnDamage = "raise") -> Position:
        """How far the store has come now: everything it holds lies below.

        A value to keep: `events` (``after=``, ``upto=``) and `tail` go on from it, in any process.

        Args:
            damage: "raise" `Damage` for a damaged segment, or "skip" it.
        """
        return self.reader().snapshot(damage).position

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
        ``lane`` and ``seq`` for one writer's order. Payloads (``data``, JSON text) are of the
        registered versions of their types.

        Args:
            after: only events that a reader at that position has not seen.
            upto: only events below that position.
            damage: "raise" `Damage` for what is damaged, or "skip" it and read the rest; a payload
                that is lost is null then.

        Columns lane, type, stream and key are `polars.Categorical`: compare them with strings as
        they are, and cast to `polars.String` for functions of text.

        Example:
            >>> import polars as pl
            >>> params = log.events().filter(pl.col("type") == "param.set").collect()
            >>> runs = pl.col("stream").cast(pl.String).str.starts_with("run:")
            >>> log.events().filter(runs).select("time", "type", "stream").collect()
        """
        from eventlog.log import own
        from eventlog.log.manifest import checked_position
        from eventlog.log.read.frames import events_frame
        from eventlog.log.read.upcast import upcast_of

        checked_position("after", after)
        checked_position("upto", upto)
        self.sync()
        own.create_for_tail(self.backend)
        reader = self.reader()
        tail, snapshot = None, None
        if upto is None:
            tail, snapshot = own.tail_and_snapshot(reader, damage)
        snapshot = snapshot or reader.snapshot(damage)
        for gap in snapshot.gaps:
            logger.warning("%s", gap)
        resolve = functools.partial(own.resolve, self.backend)
        upcast = upcast_of(event_types())
        return events_frame(snapshot, after, upto, extra=tail, resolve=resolve, upcast=upcast)

    def tail(
        self,
        after: Position | None = None,
        *,
        stop: threading.Event | None = None,
        damage: OnDamage = "raise",
    ) -> Tail:
        """Batches of events as they reach the store, for ever (or until ``stop`` is set).

        Args:
            after: begin there; None begins with the first event.
            stop: set it from another thread; it ends a wait at once.
            damage: as for `events`.

        Returns:
            An iterator of frames; its ``position`` is where the last one ended, to go on from.

        Example:
            >>> batches = log.tail(after=kept)
            >>> for frame in batches:
            ...     use(frame)
            ...     kept = batches.position
        """
        from eventlog.log.manifest import checked_position
        from eventlog.log.read.tail import Tail

        self.sync()
        return Tail(self.reader(), checked_position("after", after), stop=stop, damage=damage)


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


def _checked(
    type_: str, stream: str, key: str | None, step: object, value: object, time: object
) -> tuple[int | None, float | None, int | None]:
    """Step, value and time as they are kept; `UsageError` for what cannot be."""
    if check_name("type", type_).startswith(_OWN_TYPES):
        raise UsageError(
            f"type {type_!r} is the log's own: types that begin with claim., lane. or writer. "
            "cannot be appended."
        )
    check_name("stream", stream)
    if key is not None:
        check_name("key", key)
    return (
        None if step is None else check_int64("step", step),
        None if value is None else as_float(value),
        None if time is None else checked_time("time", time),
    )
