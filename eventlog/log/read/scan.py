"""One pass over the events of a snapshot, while compaction moves them about.

An object that is gone (404) was compacted, merged or collected: its events are in files that a
newer manifest names, together with some that were returned already and some that are too new. So
the pass keeps which events it has returned (of data files the compressed columns `lane` and `seq`,
about a byte an event, decoded only if it comes to that), takes a newer snapshot, and returns what
is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from eventlog.errors import Damage, Missing
from eventlog.event import COLUMNS
from eventlog.log.manifest import DataFile, Position
from eventlog.log.parquet import OpenFile, Pieces
from eventlog.log.read import masks, order
from eventlog.log.read.prune import Pruner, Selection
from eventlog.log.read.snapshot import SegmentRef, Snapshot
from eventlog.log.segment import Header

if TYPE_CHECKING:
    import pyarrow as pa

TRIES = 8
BATCH_ROWS = 1024 * 1024
BATCH_BYTES = 32 * 1024 * 1024
BATCH_SEGMENTS = 256
_IDENTITY = ("lane", "seq")
_PLACE = (*_IDENTITY, "lane_number")  # what tells whether a position lets a row through


class Scan:
    """The state of one pass: what was asked for, and what was returned already."""

    def __init__(self, snapshot: Snapshot, wanted: Selection) -> None:
        self._first = self._snapshot = snapshot
        self._wanted = wanted
        self._returned: set[tuple[str, int]] = set()  # (key, group) of files, (key, 0) of segments
        self._kept: list[tuple[OpenFile, Sequence[int], Pieces]] = []
        self._passed: list[Header] = []  # of segments that were returned
        self._seen = masks.Identities()
        self._gone: dict[str, int] = {}  # how often an object was not there

    def tables(self) -> Iterator[pa.Table]:
        """The events, each once."""
        while True:
            try:
                yield from self._files()
                yield from self._segments()
                return
            except Missing:
                self._move()

    def _move(self) -> None:
        """Go on in a newer snapshot, past what was returned."""
        for opened, groups, pieces in self._kept:
            self._seen.add_rows(opened.decode(groups, _IDENTITY, pieces))
        self._kept.clear()
        for header in self._passed:
            self._seen.add(header.lane, header.first_seq, header.end_seq)
        self._passed.clear()
        first = self._first
        self._snapshot = first.reader.snapshot(damage=first.on_damage)
        if not self._snapshot.position.covers(first.position):
            self._skip(Damage("wal/", "segments are gone that no manifest holds the events of"))

    def _missed(self, key: str) -> None:
        """An object is gone; `Damage` once every newer manifest names it all the same."""
        self._gone[key] = self._gone.get(key, 0) + 1
        if self._gone[key] > TRIES:
            raise Damage(key, "it is gone, though it counts: no newer manifest has moved it")

    @property
    def _moved(self) -> bool:
        return self._snapshot is not self._first

    def _files(self) -> Iterator[pa.Table]:
        manifest = self._snapshot.manifest
        pruner = Pruner(self._wanted, manifest)
        for file in manifest.files:
            if not pruner.file(file):
                continue
            try:
                yield from self._file(file, pruner)
            except Missing:
                try:
                    self._missed(file.key)
                except Damage as damage:
                    self._skip(damage)
                    continue
                raise
            except Damage as damage:
                self._skip(damage)

    def _skip(self, damage: Damage) -> None:
        if self._first.on_damage == "raise":
            raise damage
        if all(known.key != damage.key for known in self._first.damage):
            self._first.damage.append(damage)

    def _file(self, file: DataFile, pruner: Pruner) -> Iterator[pa.Table]:
        opened = self._first.reader.open_file(file)
        wanted = [
            n
            for n, group in enumerate(opened.groups)
            if (file.key, n) not in self._returned and pruner.group(file, group)
        ]
        careful = self._first.on_damage == "skip"  # then one damaged group costs no other
        for groups in _batches(opened, wanted, self._columns(), 1 if careful else BATCH_ROWS):
            try:
                table = self._groups(opened, groups)
            except Damage as damage:
                self._skip(damage)
                continue
            if table is not None and len(table):
                yield table

    def _columns(self) -> tuple[str, ...]:
        """What must be read of the rows wanted."""
        needed = {*self._wanted.columns, *self._wanted.word_filters}
        return tuple(name for name in COLUMNS if name in needed) or ("seq",)

    def _groups(self, opened: OpenFile, groups: Sequence[int]) -> pa.Table | None:
        """The rows wanted of some groups; None where there are none."""
        columns = self._columns()
        if not (self._wanted.after or self._wanted.upto or self._moved):
            pieces = opened.fetch(groups, tuple(dict.fromkeys((*columns, *_IDENTITY))))
            table = opened.decode(groups, columns, pieces)
        else:
            # First which rows they are: of a file that merges old ones hardly any may be new.
            pieces = opened.fetch(groups, _PLACE)
            mask = self._mask(opened.decode(groups, _PLACE, pieces))
            hit, mask = _hit(opened, groups, mask)
            table = opened.read(hit, columns).filter(mask) if hit else None
        starts = [opened.chunk(n, name).start for n in groups for name in _IDENTITY]
        # Copies: a view would hold the whole of what was fetched.
        kept = {start: memoryview(bytes(pieces[start])) for start in starts}
        self._kept.append((opened, groups, kept))
        self._returned.update((opened.file.key, n) for n in groups)
        return None if table is None else self._chosen(table)

    def _mask(self, table: pa.Table) -> pa.Array:
        """Which rows of a data file the positions let through, and were not returned yet."""
        import pyarrow.compute as pc

        wanted = self._wanted
        mask = masks.below(wanted.upto or self._first.position, table)
        if wanted.after:
            mask = pc.and_(mask, pc.invert(masks.below(wanted.after, table)))
        return pc.and_(mask, self._unreturned(table)) if self._moved else mask

    def _unreturned(self, table: pa.Table) -> pa.Array:
        """Which rows belong to the pass and were not returned before it moved."""
        import pyarrow.compute as pc

        mask = masks.below(self._first.position, table)
        return pc.and_(mask, pc.invert(self._seen.mask(table)))

    def _segments(self) -> Iterator[pa.Table]:
        refs = [
            ref
            for lane in sorted(self._snapshot.lanes)
            for ref in self._snapshot.segments(lane)
            if (ref.key, 0) not in self._returned and len(self._range(ref.header))
        ]
        batch: list[SegmentRef] = []
        rows = 0
        for ref in refs:
            batch.append(ref)
            rows += ref.header.count
            if rows >= BATCH_ROWS or len(batch) >= BATCH_SEGMENTS:
                yield from self._batch(batch)
                batch, rows = [], 0
        if batch:
            yield from self._batch(batch)

    def _batch(self, refs: Sequence[SegmentRef]) -> Iterator[pa.Table]:
        import pyarrow as pa

        tables = []
        try:
            read = self._read(refs)
        except Missing:
            self._missed("wal/")
            raise
        self._gone.pop("wal/", None)
        for ref, table in read:
            rows = self._range(ref.header)
            part = table.slice(rows.start - ref.header.first_seq, len(rows))
            if self._moved:
                numbered = _numbered(part, self._snapshot.lanes[ref.header.lane].number)
                part = part.filter(self._unreturned(numbered))
            tables.append(part)
            self._returned.add((ref.key, 0))
            self._passed.append(ref.header)
        if tables:
            table = self._chosen(pa.concat_tables(tables), split=True)
            if len(table):
                yield table

    def _read(self, refs: Sequence[SegmentRef]) -> list[tuple[SegmentRef, pa.Table]]:
        reader = self._first.reader
        # Which kind an event is shows in columns that nobody may have asked for.
        columns = self._columns() if self._wanted.kinds is None else None
        if self._first.on_damage == "raise":
            return list(zip(refs, reader.read_segments(refs, columns), strict=True))
        intact = []
        for ref in refs:
            try:
                intact.append((ref, reader.read_segments([ref], columns)[0]))
            except Damage as damage:
                self._skip(damage)
        return intact

    def _range(self, header: Header) -> range:
        """The seqs of a segment that the positions let through."""
        after, upto = self._wanted.after, self._wanted.upto
        number = self._snapshot.lanes[header.lane].number
        start = _end_below(after, header.lane, number) if after else 0
        end = header.end_seq
        if upto:
            end = min(end, _end_below(upto, header.lane, number))
        return range(max(header.first_seq, start), max(end, header.first_seq, start))

    def _chosen(self, table: pa.Table, split: bool = False) -> pa.Table:
        """The rows with the words wanted, in the columns wanted; ``split``: of the kinds wanted."""
        wanted = self._wanted
        for name, words in wanted.word_filters.items():
            mask = masks.among(table, name, words)
            if mask.true_count < len(table):  # else spare the copy
                table = table.filter(mask)
        if split and wanted.kinds is not None and len(wanted.kinds) < len(order.KINDS):
            kinds = order.split_kinds(table)
            table = kinds[next(iter(wanted.kinds))] if wanted.kinds else table.slice(0, 0)
        return table.select(list(wanted.columns))


def _hit(
    opened: OpenFile, groups: Sequence[int], mask: pa.Array
) -> tuple[list[int], pa.ChunkedArray]:
    """The groups of which the mask lets any row through, and its part for them."""
    import pyarrow as pa

    hit, parts, at = [], [], 0
    for n in groups:
        part = mask.slice(at, opened.groups[n].rows)
        at += len(part)
        if part.true_count:
            hit.append(n)
            parts.append(part)
    return hit, pa.chunked_array(parts, pa.bool_())


def _end_below(position: Position, lane: str, number: int | None) -> int:
    """The seq from which on events of the lane are not below the position."""
    if lane in position.lanes:
        return position.lanes[lane]
    whole = number is not None and number < position.lanes_seen
    return 2**63 - 1 if whole else 0


def _batches(
    opened: OpenFile, groups: Sequence[int], columns: Sequence[str], limit_rows: int
) -> Iterator[list[int]]:
    """The groups in runs that fit memory."""
    batch: list[int] = []
    rows = size_bytes = 0
    for n in groups:
        chunks = [opened.chunk(n, name) for name in columns]
        batch.append(n)
        rows += opened.groups[n].rows
        size_bytes += sum(chunk.end - chunk.start for chunk in chunks)
        if rows >= limit_rows or size_bytes >= BATCH_BYTES:
            yield batch
            batch, rows, size_bytes = [], 0, 0
    if batch:
        yield batch


def _numbered(table: pa.Table, number: int | None) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    numbers = np.full(len(table), masks.UNNUMBERED if number is None else number, np.int32)
    return table.append_column("lane_number", pa.array(numbers))
