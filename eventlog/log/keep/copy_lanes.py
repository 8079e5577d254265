"""Copying events: each lane of the source goes on in the destination where it ends there.

Events keep their identity, so what both logs hold is compared and only the rest is written, as
ordinary segments. A lane is *forked* where the logs disagree: another event under one (lane, seq),
or a lane that goes on in one log beyond its end in the other. A forked lane is named and left as it
is, and so are the lanes that carry on from it (``<lane>~1``): their events may lie in both logs,
under two identities.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from eventlog.backend import Backend
from eventlog.errors import ForkedLane
from eventlog.event import POINT_TYPE
from eventlog.log import segment
from eventlog.log.progress import Progress
from eventlog.log.put import put_or_get
from eventlog.log.read.merge import (
    BUCKET_ROWS,
    Buckets,
    Ended,
    Extent,
    check_dense,
    differing,
    extents,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from eventlog.log.read.reader import Reader, Snapshot

SEGMENT_ROWS = 64 * 1024
THREADS = 8
_ROUNDS = 4
_REMEDY = (
    "It was left as it is in both logs; the other lanes were copied. To keep both sides, copy each "
    "log into an empty place of its own."
)


class _Contested(Exception):
    """Somebody else has just written to the lane: what it holds now must be looked at again."""


@dataclass
class LaneReport:
    """What became of the lanes.

    Attributes:
        events: how many were written.
        lanes: how many lanes have something new.
        forks: the lanes that were not copied, each with the reason.
    """

    events: int = 0
    lanes: set[str] = field(default_factory=set)
    forks: dict[str, ForkedLane] = field(default_factory=dict)

    def fork(self, lane: str, what: str) -> None:
        """Name a forked lane; the first reason stays."""
        self.forks.setdefault(lane, ForkedLane(f"lane {lane}", what, _REMEDY))

    def is_forked(self, lane: str) -> bool:
        """Whether the lane, or the one that it carries on from, is forked."""
        return any(name in self.forks for name in _line(lane))


def _line(lane: str) -> Iterator[str]:
    """The lane and those that it carries on from."""
    while lane:
        yield lane
        lane = lane.rpartition("~")[0]


def copy_lanes(
    source: Snapshot, theirs: Mapping[str, Extent], destination: Reader, progress: Progress
) -> LaneReport:
    """Bring the events of the source into the destination; see the module.

    Args:
        theirs: how much of each lane the source holds.
    """
    report = LaneReport()
    pending = theirs
    for round_ in range(_ROUNDS):
        with tempfile.TemporaryDirectory(prefix="eventlog-copy-") as directory:
            attempt = _Round(source, destination, pending, report, Path(directory), progress)
            contested = attempt.run()
        if not contested:
            break
        if round_ == _ROUNDS - 1:
            for lane in contested:
                report.fork(lane, f"somebody else writes to it in {destination.backend.url}")
        pending = {lane: theirs[lane] for lane in theirs if lane in contested}
    return report


class _Round:
    """One pass over the pending lanes, with one snapshot of each log."""

    def __init__(
        self,
        source: Snapshot,
        destination: Reader,
        pending: Mapping[str, Extent],
        report: LaneReport,
        directory: Path,
        progress: Progress,
    ) -> None:
        self._source, self._pending, self._report = source, pending, report
        self._progress = progress
        self._backend: Backend = destination.backend
        self._snapshot = destination.snapshot()
        self._held = extents(self._snapshot)
        self._directory = directory
        self._contested: set[str] = set()

    def run(self) -> set[str]:
        """Compare and write; the lanes that must be looked at again."""
        for lane, theirs in self._pending.items():
            what = self._ends_fork(lane, theirs)
            if what:
                self._report.fork(lane, what)
        self._rows()
        for lane, theirs in self._pending.items():
            self._carry_end(lane, theirs)
        return self._contested

    def _ends_fork(self, lane: str, theirs: Extent) -> str:
        """Why the lane's two ends cannot be one lane's, or ""."""
        ours = self._held.get(lane, Extent(0))
        longer, shorter = (theirs, ours) if theirs.end_seq > ours.end_seq else (ours, theirs)
        if longer.end_seq == shorter.end_seq:
            return ""
        if shorter.ended:
            return (
                f"it was {shorter.ended} at event {shorter.end_seq} in one log and goes on to "
                f"{longer.end_seq} in the other"
            )
        root = self._backend.local_root
        if longer is theirs and root is not None and (root / "spool" / lane).exists():
            return f"it goes on beyond event {ours.end_seq}, but its writer is at home in {root}"
        return ""

    def _rows(self) -> None:
        ends = {lane: extent.end_seq for lane, extent in self._pending.items() if extent.end_seq}
        theirs = Buckets(ends, self._directory)
        ours = Buckets(ends, self._directory)
        self._fill(theirs, self._source.tables(), "reading the source")
        if any(lane in self._held for lane in ends):
            self._fill(ours, self._snapshot.tables(), "reading what is there")
        for number in range(theirs.count):
            self._bucket(number, theirs, ours)
            self._progress("copying events", (number + 1) * BUCKET_ROWS, theirs.total)

    def _fill(self, buckets: Buckets, tables: Iterator[pa.Table], what: str) -> None:
        done = 0
        for table in tables:
            buckets.add(table)
            done += len(table)
            self._progress(what, done, buckets.total)

    def _bucket(self, number: int, theirs: Buckets, ours: Buckets) -> None:
        table, ordinals = theirs.take(number)
        start = number * BUCKET_ROWS
        check_dense("the source", ordinals, start, min(start + BUCKET_ROWS, theirs.total))
        held, places = ours.take(number)
        if len(held):
            for lane, seq in differing(held, table.take(places - start)):
                self._report.fork(lane, f"event {seq} is another one in the other log")
        with ThreadPoolExecutor(THREADS) as pool:
            self._report.events += sum(pool.map(self._write, list(_runs(table))))

    def _left_alone(self, lane: str) -> bool:
        """Whether nothing may be written to the lane in this round."""
        if not self._contested.isdisjoint(_line(lane)):
            self._contested.add(lane)
        return lane in self._contested or self._report.is_forked(lane)

    def _write(self, run: tuple[str, pa.Table]) -> int:
        """Write what is new among the rows of one lane; how many events that was."""
        lane, rows = run
        if self._left_alone(lane):
            return 0
        first_seq = rows["seq"][0].as_py()
        ours = self._held.get(lane, Extent(0))
        rows = rows.slice(max(0, ours.end_seq - first_seq))
        written = 0
        try:
            for at in range(0, len(rows), SEGMENT_ROWS):
                self._put_rows(lane, rows.slice(at, SEGMENT_ROWS))
                written += len(rows.slice(at, SEGMENT_ROWS))
        except _Contested:
            self._contested.add(lane)
        return written

    def _put_rows(self, lane: str, rows: pa.Table) -> None:
        theirs, ours = self._pending[lane], self._held.get(lane, Extent(0))
        end_seq = ours.end_seq + len(rows)
        newest_us = max(ours.newest_us, _newest_us(rows))
        final = theirs.ended == "closed" and end_seq == theirs.end_seq
        self._put(lane, ours, segment.Header(lane, 0, 0, len(rows), newest_us, final=final), rows)

    def _put(self, lane: str, ours: Extent, header: segment.Header, rows: pa.Table | None) -> None:
        """Put one segment at the lane's end; `_Contested` where something else is there."""
        import msgspec

        if ours.next_slot is None:  # retired: it is whole, and `_ends_fork` has seen that it is
            return
        header = msgspec.structs.replace(
            header, slot=ours.next_slot, first_seq=ours.end_seq, writer="eventlog copy"
        )
        header, raw = segment.encode(header, None if rows is None else _own_words(rows))
        key = segment.segment_key(lane, header.slot)
        there = put_or_get(self._backend, key, raw)
        if there is not None and not header.same_put(segment.split(key, there)[0]):
            raise _Contested
        ended: Ended = "sealed" if header.kind == "seal" else "closed" if header.final else ""
        self._report.lanes.add(lane)
        self._held[lane] = Extent(header.end_seq, ended, header.slot + 1, header.newest_us)

    def _carry_end(self, lane: str, theirs: Extent) -> None:
        """End the lane here too, where its rows are all here and it has ended in the source."""
        ours = self._held.get(lane, Extent(0))
        if not theirs.ended or ours.ended or ours.end_seq != theirs.end_seq or not theirs.end_seq:
            return
        if self._left_alone(lane):
            return
        sealed = theirs.ended == "sealed"
        header = segment.Header(
            lane, 0, 0, 0, ours.newest_us, kind="seal" if sealed else "events", final=not sealed
        )
        try:
            self._put(lane, ours, header, None)
        except _Contested:
            self._contested.add(lane)


def _runs(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each lane in a table sorted by lane."""
    import numpy as np

    if not len(table):
        return
    lanes = table["lane"].combine_chunks()
    codes = np.asarray(lanes.indices)
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    for start, end in zip(edges, edges[1:], strict=False):
        yield lanes.dictionary[int(codes[start])].as_py(), table.slice(start, end - start)


def _own_words(rows: pa.Table) -> pa.Table:
    """The rows with dictionaries of just the words in them: a slice keeps those of the whole."""
    import pyarrow as pa

    for n, column_field in enumerate(rows.schema):
        if pa.types.is_dictionary(column_field.type):
            words = rows.column(n).combine_chunks().cast(pa.string()).dictionary_encode()
            rows = rows.set_column(n, column_field, words)
    return rows


def _newest_us(rows: pa.Table) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    facts = rows["time"].filter(pc.not_equal(rows["type"], POINT_TYPE))
    return pc.max(facts.cast(pa.int64())).as_py() or 0
