"""Compaction: dense prefixes of lanes become sorted data files, and the next manifest names them.

Nothing here deletes, and nothing that a crash leaves behind is ever read: data files count only
once a manifest names them, and creating the manifest is the one step that commits. Memory holds
about five times `tiers.PIECE_BYTES`, or eight row groups where those are larger, whatever the
log's size.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from eventlog.backend import Backend, Range
from eventlog.errors import BackendError, Damage, Missing, UsageError
from eventlog.log import manifest as mf
from eventlog.log import parquet
from eventlog.log import segment as sg
from eventlog.log.clock import age_s, modified_of, store_now
from eventlog.log.keep import SEAL_SILENT_DAYS, TARGET_ROWS, tiers
from eventlog.log.keep.seal import seal
from eventlog.log.put import put_or_get
from eventlog.log.read import order

if TYPE_CHECKING:
    import pyarrow as pa

    from eventlog.log.read.reader import Reader, SegmentRef, Snapshot

FETCH_BYTES = 32 * 1024 * 1024
MARK_AGE_S = 600.0
TRIES = 8
WORTH_SEGMENTS = 64
WORTH_ROWS = 1024 * 1024
CHEAP_ROWS = 2 * 1024 * 1024
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass
class Report:
    """What a compaction did.

    Attributes:
        version: the manifest that it made; None where it made none.
        reason: why it made none, or why that one may not count; for people.
        events, segments: how many became compacted.
        written: the data files that the manifest names and the one before did not.
        merged: the data files that those replace.
        sealed: lanes that had been silent for so long that they were ended.
        retired: lanes whose name left the manifest.
        damage: what stopped a lane, or kept a file from being merged.
    """

    version: int | None = None
    reason: str = ""
    events: int = 0
    segments: int = 0
    written: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    sealed: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)


class _Object(NamedTuple):
    size_bytes: int
    modified: dt.datetime


@dataclass
class _Plan:
    """What is to become of each lane in the next manifest."""

    snapshot: Snapshot
    wal: dict[sg.Place, _Object]
    taken: dict[str, list[SegmentRef]]  # of each lane, in slot order
    retired: list[str]
    target_rows: int

    @property
    def version(self) -> int:
        return self.snapshot.manifest.version + 1

    def idle(self) -> bool:
        """Whether there is nothing to do."""
        to_merge = tiers.small(self.snapshot.manifest.files, self.target_rows)
        return not (self.retired or any(self.taken.values()) or to_merge)


def should_compact(snapshot: Snapshot, *, closing: bool = False) -> bool:
    """Whether what lies above the watermarks is worth a compaction.

    Args:
        closing: somebody waits for it: then only if it is cheap as well.
    """
    headers = [ref.header for lane in snapshot.lanes for ref in snapshot.segments(lane)]
    rows = sum(header.count for header in headers)
    if closing and rows > CHEAP_ROWS:
        return False
    return len(headers) >= WORTH_SEGMENTS or rows >= WORTH_ROWS


def compact(
    reader: Reader,
    *,
    engine: str = "local",
    target_rows: int = TARGET_ROWS,
    seal_silent_days: float = SEAL_SILENT_DAYS,
    most_segments: int | None = None,
    now: dt.datetime | None = None,
) -> Report:
    """Move what lies above the watermarks into data files, and merge small files.

    Safe beside writers, readers, collectors and other compactors, and to be killed at any point. A
    lane with a damaged segment is compacted up to it; the others are compacted whole.

    Args:
        engine: where the work is done; "local" is this process.
        target_rows: the rows of a final file.
        seal_silent_days: a lane that wrote nothing for so long, by the store's clock, is sealed.
        most_segments: leave what is beyond so many to a later compaction; None takes them all.
        now: the present time by the store's clock, if the caller knows it.
    """
    if engine != "local":
        raise UsageError(f"engine={engine!r} is not known: the one there is, is 'local'.")
    if target_rows < 1:
        raise UsageError(f"target_rows={target_rows}: a file needs at least one row.")
    silent_s = seal_silent_days * 86_400
    sealed: list[str] = []
    for _ in range(TRIES):
        report = Report(sealed=sealed)
        try:
            plan = _plan(reader, target_rows, most_segments, report)
            newly = _seal_silent(reader.backend, plan, silent_s, now)
            sealed.extend(newly)
            if not newly and _took_turn(reader.backend, plan, report, now):
                return report
        except Missing:  # somebody compacted, and a collector ran: what we read is old
            continue
    report.reason = "other processes compact faster than this one"
    return report


def _plan(reader: Reader, target_rows: int, most_segments: int | None, report: Report) -> _Plan:
    snapshot = reader.snapshot(damage="skip")
    # The listing comes after the snapshot: of a lane that was closed and compacted by then, things
    # only vanish (whatever may still land is a late duplicate, which nobody reads without slot 0).
    # A listing from before might not show a lane that was born, closed and compacted since.
    wal = {
        place: _Object(entry.size_bytes, entry.modified)
        for entry in reader.backend.list("wal/")
        if (place := sg.parse_key(entry.key)) is not None
    }
    report.damage.extend(snapshot.damage)
    stops: dict[str, int] = {}
    for damage in snapshot.damage:
        if (place := sg.parse_key(damage.key)) is not None:
            stops[place.lane] = min(place.slot, stops.get(place.lane, place.slot))
    present = {place.lane for place in wal}
    taken, retired, left = {}, [], most_segments
    for lane in sorted(snapshot.lanes):
        refs = _dense(snapshot, lane, stops.get(lane))
        mark = snapshot.manifest.lanes.get(lane)
        if mark and mark.ended == "closed" and lane not in present and not refs:
            retired.append(lane)
            continue
        refs = refs[:left]
        left = None if left is None else left - len(refs)
        if mark or refs:
            taken[lane] = refs
    return _Plan(snapshot, wal, taken, retired, target_rows)


def _dense(snapshot: Snapshot, lane: str, stop: int | None) -> list[SegmentRef]:
    """The lane's segments above its mark, up to where damage or a hole stops it."""
    mark = snapshot.manifest.lanes.get(lane)
    slot, seq = (mark.slot, mark.seq) if mark else (0, 0)
    dense = []
    for ref in snapshot.segments(lane):
        header = ref.header
        if (header.slot, header.first_seq) != (slot, seq) or slot == stop:
            break
        dense.append(ref)
        slot, seq = slot + 1, header.end_seq
        if header.final or header.kind == "seal":
            break
    return dense


def _took_turn(backend: Backend, plan: _Plan, report: Report, now: dt.datetime | None) -> bool:
    """Do the plan, if nobody else is at it; False where it has to be made anew.

    The mark under ``compacting/`` is only advice, which keeps a herd of closing processes from all
    doing the same work: the manifest decides.
    """
    if plan.idle():
        report.reason = "there is nothing to compact"
        return True
    key, nonce = _mark_key(plan.version), secrets.token_hex(8).encode()
    there = put_or_get(backend, key, nonce)
    ours = there is None or there == nonce
    if not ours and is_under_way(backend, plan.version, now):
        report.reason = "another process is compacting"
        return True
    try:
        return _attempt(backend, plan, report)
    finally:
        if ours:
            with contextlib.suppress(BackendError):  # an old mark stops nobody for long
                backend.delete([key])


def is_under_way(backend: Backend, version: int, now: dt.datetime | None = None) -> bool:
    """Whether somebody says to be making that version, and has not said so for too long."""
    modified = modified_of(backend, _mark_key(version))
    return modified is not None and age_s(modified, now or store_now(backend)) <= MARK_AGE_S


def _mark_key(version: int) -> str:
    return f"compacting/{version:012d}"


def _seal_silent(
    backend: Backend, plan: _Plan, silent_s: float, now: dt.datetime | None
) -> list[str]:
    """Seal the lanes that have been silent for too long; which ones."""
    damaged = {place.lane for d in plan.snapshot.damage if (place := sg.parse_key(d.key))}
    going_on = [
        (lane, landed, state)
        for lane, state in plan.snapshot.lanes.items()
        if not state.ended and lane not in damaged and (landed := _landed(plan, lane)) is not None
    ]
    if not going_on:
        return []
    now = now or store_now(backend)
    sealed = []
    for lane, landed, state in going_on:
        if age_s(landed, now) > silent_s:
            header = seal(backend, lane, state, writer="compactor: the lane was silent")
            sealed += [lane] if header.kind == "seal" else []
    return sealed


def _landed(plan: _Plan, lane: str) -> dt.datetime | None:
    """When the lane's newest segment was written, by the store's clock, if that is known."""
    mark = plan.snapshot.manifest.lanes.get(lane)
    times = [_EPOCH + dt.timedelta(microseconds=mark.landed_us)] if mark and mark.landed_us else []
    times += [
        found.modified
        for ref in plan.snapshot.segments(lane)
        if (found := plan.wal.get(sg.Place(lane, ref.header.slot))) is not None
    ]
    return max(times, default=None)


def _attempt(backend: Backend, plan: _Plan, report: Report) -> bool:
    """Make the manifest of the plan; False where somebody else made one of its version."""
    lanes = _Marks(plan)
    fresh = _write_wal(backend, plan, lanes, report)
    old = plan.snapshot.manifest
    files = tiers.merge_small(
        backend, [*old.files, *fresh], plan.version, plan.target_rows, report.damage
    )
    report.written = sorted({f.key for f in files} - {f.key for f in old.files})
    report.merged = sorted({f.key for f in old.files} - {f.key for f in files})
    report.retired = plan.retired
    made = lanes.manifest(files)
    if msgspec.structs.replace(made, version=old.version) == old:
        report.reason = "damage stops every lane that has something to compact"
        return True
    if not _commit(backend, made):
        return False
    report.version = made.version
    if mf.newest(backend, made.version) is not None:
        # Either somebody built on ours already, or ours is the resurrection of a name that was
        # collected while we slept. Both are well, so long as we touch nothing: that is why
        # deleting is the collector's alone.
        report.reason = "a newer manifest exists already"
    return True


def _commit(backend: Backend, made: mf.Manifest) -> bool:
    """Create the manifest: the one step that counts. False where somebody else was first."""
    raw = mf.encode(made)
    there = put_or_get(backend, mf.manifest_key(made.version), raw)
    return there is None or there == raw


class _Marks:
    """The lanes of the next manifest, as far as their segments were read."""

    def __init__(self, plan: _Plan) -> None:
        self._plan = plan
        self._old = old = plan.snapshot.manifest
        self.lanes_seen = old.lanes_seen
        self.lanes: dict[str, mf.LaneMark] = {}
        for lane in plan.taken:
            if (mark := old.lanes.get(lane)) is None:
                mark = mf.LaneMark(self.lanes_seen, 0, 0)
                self.lanes_seen += 1
            self.lanes[lane] = mark

    def passed(self, ref: SegmentRef) -> None:
        """The segment is in the data files now."""
        header = ref.header
        mark = self.lanes[header.lane]
        found = self._plan.wal.get(sg.Place(header.lane, header.slot))
        landed = (found.modified - _EPOCH) // dt.timedelta(microseconds=1) if found else 0
        self.lanes[header.lane] = msgspec.structs.replace(
            mark,
            slot=header.slot + 1,
            seq=header.end_seq,
            newest_us=max(mark.newest_us, header.newest_us),
            ended="sealed" if header.kind == "seal" else "closed" if header.final else "",
            landed_us=max(mark.landed_us, landed),
        )

    def manifest(self, files: list[mf.DataFile]) -> mf.Manifest:
        """The next manifest."""
        newest = [mark.newest_us for mark in self.lanes.values()]
        return mf.Manifest(
            version=self._plan.version,
            log_id=self._old.log_id,
            lanes_seen=self.lanes_seen,
            newest_us=max([self._old.newest_us, *newest]),
            lanes=self.lanes,
            files=tuple(files),
        )


def _write_wal(backend: Backend, plan: _Plan, marks: _Marks, report: Report) -> list[mf.DataFile]:
    files = []
    tables = _wal_tables(backend, plan, marks, report)
    for piece in order.in_pieces(tables, plan.target_rows, tiers.PIECE_BYTES):
        for kind, table in order.split_kinds(piece).items():
            if len(table):
                rows = order.sort(table, kind)
                written = parquet.write(backend, rows, kind=kind, version=plan.version, tier=0)
                files.append(written)
    return files


def _wal_tables(backend: Backend, plan: _Plan, marks: _Marks, report: Report) -> Iterator[pa.Table]:
    """The events of the plan's segments, with their lane's number."""
    stopped: set[str] = set()
    for refs in _batches(plan):
        raws = backend.get_many([Range(ref.key) for ref in refs])
        for ref, raw in zip(refs, raws, strict=True):
            lane = ref.header.lane
            if lane in stopped:
                continue
            try:
                header, table = sg.decode(ref.key, raw)
                if header != ref.header:
                    raise Damage(ref.key, "its header changed between two reads")
            except Damage as damage:
                stopped.add(lane)
                report.damage.append(damage)
                continue
            marks.passed(ref)
            report.segments += 1
            report.events += header.count
            if header.count:
                yield _numbered(table, marks.lanes[lane].number)


def _batches(plan: _Plan) -> Iterator[list[SegmentRef]]:
    batch: list[SegmentRef] = []
    size_bytes = 0
    for refs in plan.taken.values():
        for ref in refs:
            batch.append(ref)
            found = plan.wal.get(sg.Place(ref.header.lane, ref.header.slot))
            size_bytes += found.size_bytes if found else FETCH_BYTES // 16
            if size_bytes >= FETCH_BYTES:
                yield batch
                batch, size_bytes = [], 0
    if batch:
        yield batch


def _numbered(table: pa.Table, number: int) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    numbers = pa.array(np.full(len(table), number, np.int32))
    return table.append_column(pa.field("lane_number", pa.int32(), nullable=False), numbers)
