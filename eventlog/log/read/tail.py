"""Following a log: batches of events as they reach the store, each with the position behind it."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from eventlog.errors import Unavailable
from eventlog.log.manifest import Position
from eventlog.log.read.snapshot import OnDamage, Snapshot, check_damage

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from eventlog.log.read.reader import Reader

SLOWER = 1.5  # how much longer each wait is than the one before, while nothing comes
IN_MEMORY_ROWS = 1024 * 1024
WARN_EVERY_S = 60.0
_log = logging.getLogger("eventlog")
_now_s = time.monotonic


class Tail:
    """Frames of events as they come; made by ``Log.tail``.

    Attributes:
        position: behind the frame that was returned last. Keep it with what you made of the frame,
            and a later tail goes on exactly there.
    """

    def __init__(
        self,
        reader: Reader,
        after: Position | None = None,
        *,
        stop: threading.Event | None = None,
        damage: OnDamage = "raise",
    ) -> None:
        check_damage(damage)
        self.position = after or Position()
        self._batches = tail(reader, after, stop=stop, damage=damage)

    def __iter__(self) -> Tail:
        return self

    def __next__(self) -> pl.DataFrame:
        import polars as pl

        table, self.position = next(self._batches)
        return pl.DataFrame(pl.from_arrow(table))


def tail(
    reader: Reader,
    after: Position | None = None,
    *,
    poll_s: float | None = None,
    idle_s: float = 30.0,
    stop: threading.Event | None = None,
    damage: OnDamage = "raise",
) -> Iterator[tuple[pa.Table, Position]]:
    """The log's events from ``after`` on, and then those that come, until ``stop`` is set.

    Each batch comes with the position behind it: a reader that stores both together goes on there
    after a crash and misses nothing and repeats nothing. Within a batch rows are sorted by (lane,
    seq), and no event of a lane comes before an earlier one of that lane. A store that does not
    answer is waited for, with a warning a minute.

    Args:
        after: None begins with the log's first event.
        poll_s: seconds between two looks while events arrive; None asks the backend.
        idle_s: the waits grow up to this while nothing comes.
        stop: set it from another thread; it ends a wait at once.
        damage: as for `Reader.snapshot`.
    """
    stop = stop or threading.Event()
    position = after or Position()
    quick_s = reader.backend.poll_s if poll_s is None else poll_s
    wait_s = quick_s
    warned_s = -WARN_EVERY_S
    while not stop.is_set():
        came = False
        try:
            for table, behind in _new(reader.snapshot(damage=damage), position):
                position = behind
                if len(table):
                    came = True
                    yield table, position
                if stop.is_set():
                    return
        except Unavailable as error:
            if _now_s() - warned_s >= WARN_EVERY_S:
                warned_s = _now_s()
                _log.warning("the log cannot be followed at the moment, trying on: %s", error)
        wait_s = quick_s if came else min(idle_s, wait_s * SLOWER)
        stop.wait(wait_s)


def _new(snapshot: Snapshot, after: Position) -> Iterator[tuple[pa.Table, Position]]:
    """What the snapshot holds beyond ``after``, in batches that end at a position each."""
    import pyarrow as pa

    if snapshot.position == after:
        return
    tables: list[pa.Table] = []
    rows = 0
    for table in snapshot.tables(after):
        tables.append(table)
        rows += len(table)
        if rows > IN_MEMORY_ROWS:
            tables.clear()
            yield from _many(snapshot, after)
            return
    yield _sorted(pa.concat_tables(tables)) if tables else _none(), snapshot.position


def _none() -> pa.Table:
    from eventlog.event import schema

    return schema().empty_table()


def _sorted(table: pa.Table) -> pa.Table:
    import numpy as np

    from eventlog.log.read.masks import words_of

    words = words_of(table, "lane")
    ranks = np.argsort(np.argsort(np.array(words.dictionary, dtype=object)))
    order = np.lexsort((table["seq"].to_numpy(), ranks[words.codes]))
    return table.unify_dictionaries().take(order)


def _many(snapshot: Snapshot, after: Position) -> Iterator[tuple[pa.Table, Position]]:
    """`_new` for more than memory should hold: sorted through files in temporary storage."""
    from eventlog.log.read.merge import Buckets

    ends = _ends(snapshot, after)
    with tempfile.TemporaryDirectory(prefix="eventlog-tail-") as directory:
        buckets = Buckets(ends, Path(directory))
        for table in snapshot.tables(after):
            buckets.add(table)
        for number in range(buckets.count - 1):
            table, _ = buckets.take(number)
            if len(table):
                yield table, _behind(after, table)
                after = _behind(after, table)
        yield buckets.take(buckets.count - 1)[0], snapshot.position


def _ends(snapshot: Snapshot, after: Position) -> dict[str, int]:
    """The lanes with events beyond ``after``, by name, and the seq after the last of each."""
    ends: dict[str, int] = {}
    for table in snapshot.tables(after, columns=["lane", "seq"]):
        for lane, end in _last(table).items():
            ends[lane] = max(end, ends.get(lane, 0))
    return dict(sorted(ends.items()))


def _last(table: pa.Table) -> dict[str, int]:
    """For each lane in a table the seq after its last row."""
    largest = table.select(["lane", "seq"]).unify_dictionaries().group_by("lane")
    found = largest.aggregate([("seq", "max")])
    pairs = zip(found["lane"].to_pylist(), found["seq_max"].to_pylist(), strict=True)
    return {lane: seq + 1 for lane, seq in pairs}


def _behind(position: Position, table: pa.Table) -> Position:
    """The position behind these rows, which are the next of their lanes.

    The lanes are listed by name whether or not they have retired: that is exact until the snapshot
    is read whole and its own position takes over.
    """
    return msgspec.structs.replace(position, lanes={**position.lanes, **_last(table)})
