"""Checking every byte of a log: ``eventlog verify``.

Nothing stops at the first damage: the report names all of it. What is checked: the format file;
every manifest; every segment and that each lane's slots continue one another; every byte range of
every data file that counts, and that the files hold each lane's events once and up to its
watermark; every claim and that its chain is dense; every blob; every payload that an event names;
and, on this machine, the spools.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from eventlog.backend import Backend, Entry
from eventlog.errors import Damage, Missing, NewerFormat
from eventlog.log import blob, claim, manifest, segment
from eventlog.log.keep.lane_sums import LaneSums
from eventlog.log.keep.verify_spools import damage_in_spools
from eventlog.log.progress import Progress, silent

if TYPE_CHECKING:
    import pyarrow as pa

    from eventlog.log.read.reader import Reader

_PASSES = 3


@dataclass
class Report:
    """What was found.

    Attributes:
        objects, size_bytes: what the store holds of the log.
        events: how many events were checked.
        damage: everything that is not as it was written.
    """

    objects: int = 0
    size_bytes: int = 0
    events: int = 0
    damage: list[Damage] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damage

    def add(self, damage: Damage) -> None:
        """Name a damage, once for each object and reason."""
        if all((damage.key, damage.what) != (known.key, known.what) for known in self.damage):
            self.damage.append(damage)


def verify(reader: Reader, *, progress: Progress = silent) -> Report:
    """Read every object of a log and check it; the report names all that is damaged.

    Raises:
        NotALog: there is none.
        NewerFormat: a newer eventlog wrote it, so that this one cannot judge it.
    """
    for _ in range(_PASSES):
        report, newest = _pass(reader, progress)
        if report.sound or manifest.newest(reader.backend, newest) is None:
            break  # else: compaction may have moved what we missed
    return report


def _pass(reader: Reader, progress: Progress) -> tuple[Report, int]:
    """One look at everything; with the version of the manifest that it went by."""
    report, backend = Report(), reader.backend
    log_id = reader.format.log_id
    segments = list(backend.list("wal/"))  # before the manifests, as every reader does
    entries = [entry for entry in backend.list() if not entry.key.startswith("wal/")]
    report.objects = len(entries) + len(segments)
    report.size_bytes = sum(entry.size_bytes for entry in entries + segments)
    check = _Check(backend, report, progress)
    newest = _manifests(check, entries, log_id)
    _segments(check, segments, newest)
    _data_files(check, newest)
    _claims(check, entries)
    _blobs(check, entries)
    _snapshot(reader, report)
    for damage in damage_in_spools(backend):
        report.add(damage)
    return report, newest.version


class _Check:
    """One pass: where damage goes, and how far it has come."""

    def __init__(self, backend: Backend, report: Report, progress: Progress) -> None:
        self.backend, self.report = backend, report
        self.marks: set[str] = set()  # the blobs that events name
        self._progress, self._done_bytes = progress, 0

    def done(self, what: str, size_bytes: int) -> None:
        """So many more bytes are checked."""
        self._done_bytes += size_bytes
        self._progress(f"checking {what}", self._done_bytes, self.report.size_bytes)

    def attempt(self, key: str, look: Callable[[], None], *, may_go: bool = False) -> bool:
        """Whether ``look`` found nothing wrong; what it found is noted.

        Args:
            may_go: the collector may delete the object at any time.
        """
        try:
            look()
        except Missing:
            if not may_go:
                self.report.add(Damage(key, "it is gone"))
        except Damage as damage:
            self.report.add(damage)
        else:
            return True
        return False

    def events(self, table: pa.Table) -> None:
        """Count events and note the blobs that they name."""
        self.report.events += len(table)
        self.marks.update(mark.key for mark in blob.named(self.backend, table))


def _under(entries: Iterable[Entry], prefix: str) -> list[Entry]:
    return [entry for entry in entries if entry.key.startswith(prefix)]


def _manifests(check: _Check, entries: list[Entry], log_id: str) -> manifest.Manifest:
    """Check every manifest; the newest that is intact."""
    found: list[manifest.Manifest] = []

    def look(key: str) -> None:
        made = manifest.decode(key, check.backend.get(key))
        if made.log_id != log_id:
            raise Damage(key, f"the manifest belongs to another log ({made.log_id})")
        found.append(made)

    held = _under(entries, "manifest/")
    for entry in held:
        last = entry is held[-1]
        check.attempt(entry.key, partial(look, entry.key), may_go=not last)
        check.done("manifests", entry.size_bytes)
    return found[-1] if found else manifest.Manifest(version=0, log_id=log_id)


def _segments(check: _Check, entries: list[Entry], newest: manifest.Manifest) -> None:
    lanes: dict[str, list[segment.Header]] = defaultdict(list)
    damaged: dict[str, set[int]] = defaultdict(set)

    def look(key: str, lane: str, compacted: bool) -> None:
        header, table = segment.decode(key, check.backend.get(key))
        lanes[lane].append(header)
        if not compacted:
            check.events(table)

    for entry in entries:
        place = segment.parse_key(entry.key)
        if place is None:
            check.report.add(Damage(entry.key, "it lies among the segments and is none"))
            continue
        mark = newest.lanes.get(place.lane)
        compacted = mark is not None and place.slot < mark.slot
        one = partial(look, entry.key, place.lane, compacted)
        if not check.attempt(entry.key, one, may_go=compacted):
            damaged[place.lane].add(place.slot)
        check.done("segments", entry.size_bytes)
    for lane, headers in lanes.items():
        for damage in _breaks(headers, newest.lanes.get(lane), damaged[lane]):
            check.report.add(damage)


def _breaks(
    headers: list[segment.Header], mark: manifest.LaneMark | None, damaged: set[int]
) -> Iterable[Damage]:
    """Where the slots of a lane above its watermark do not continue one another."""
    slot, seq = (mark.slot, mark.seq) if mark else (0, 0)
    for header in headers:
        if header.slot < slot:
            continue
        key = segment.segment_key(header.lane, header.slot)
        gap = set(range(slot, header.slot)) - damaged
        if gap:
            yield Damage(
                segment.segment_key(header.lane, min(gap)),
                f"it is gone, though slot {header.slot} of the lane is there",
            )
        elif header.slot == slot and header.first_seq != seq:
            yield Damage(key, f"it begins at event {header.first_seq} where {seq} is due")
        slot, seq = header.slot + 1, header.end_seq


def _data_files(check: _Check, newest: manifest.Manifest) -> None:
    sums = LaneSums()
    whole = True
    for file in newest.files:
        whole &= check.attempt(file.key, partial(_data_file, check, file, sums))
        check.done("data files", file.size_bytes)
    if whole:  # of damaged files the rows are not known
        for damage in sums.compare(newest):
            check.report.add(damage)


def _data_file(check: _Check, file: manifest.DataFile, sums: LaneSums) -> None:
    from eventlog.log.parquet import OpenFile

    opened = OpenFile(check.backend, file, None)
    rows = 0
    for group in range(len(opened.groups)):
        table = opened.read([group])
        check.events(table)
        sums.add(table)
        rows += len(table)
    if rows != file.rows:
        raise Damage(file.key, f"it holds {rows} events, and the manifest says {file.rows}")


def _claims(check: _Check, entries: list[Entry]) -> None:
    due: dict[str, int] = {}

    def look(key: str) -> None:
        found = claim.decode(key, check.backend.get(key))
        check.marks.update(mark.key for mark in blob.named_by_claim(found))

    for entry in _under(entries, claim.PREFIX):
        check.attempt(entry.key, partial(look, entry.key))
        prefix, _, number = entry.key.rpartition("/")
        n, expected = int(number) if number.isdigit() else -1, due.get(prefix, 0)
        if n != expected:
            check.report.add(
                Damage(f"{prefix}/{expected:08d}", f"it is gone, though {number} is there")
            )
        due[prefix] = n + 1
        check.done("claims", entry.size_bytes)


def _blobs(check: _Check, entries: list[Entry]) -> None:
    held = _under(entries, blob.PREFIX)
    for entry in held:
        if blob.digest_of(entry.key) is None:
            check.report.add(Damage(entry.key, "it lies among the blobs and is none"))
        else:
            named = entry.key in check.marks
            check.attempt(entry.key, partial(_blob, check.backend, entry.key), may_go=not named)
        check.done("blobs", entry.size_bytes)
    for key in sorted(check.marks - {entry.key for entry in held}):
        if not any(True for _ in check.backend.list(key)):  # written since we listed?
            check.report.add(Damage(key, "an event names this blob, and it is gone"))


def _blob(backend: Backend, key: str) -> None:
    blob.check(backend, key)


def _snapshot(reader: Reader, report: Report) -> None:
    """What a reader would stumble over, seen as a reader sees it."""
    try:
        for damage in reader.snapshot(damage="skip").damage:
            if all(damage.key != known.key for known in report.damage):
                report.add(damage)
    except NewerFormat:
        raise
    except Damage as damage:
        if all(damage.key != known.key for known in report.damage):
            report.add(damage)
