"""The reader: what is in a log right now.

It lists ``wal/`` while it knows the newest manifest, and looks for a newer one after: if there is
one, the listing is out of date and is made again. So a lane that no manifest names and whose slot 0
is listed is a young one for certain, not one that retired meanwhile, even where its headers come
from a cache; and a snapshot with a newer manifest holds all that one with an older manifest held.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from eventlog.backend import Backend, Entry, Range
from eventlog.errors import Damage, Missing
from eventlog.log import manifest as mf
from eventlog.log import segment as sg
from eventlog.log.cache import SegmentCache
from eventlog.log.read.masks import below
from eventlog.log.read.parallel import in_threads
from eventlog.log.read.snapshot import LaneState, OnDamage, SegmentRef, Snapshot, check_damage

if TYPE_CHECKING:
    import pyarrow as pa

    from eventlog.log.parquet import OpenFile

TRIES = 8
FETCH_BYTES = 32 * 1024 * 1024  # of segments fetched together
BODIES_BYTES = 64 * 1024 * 1024  # of segments kept in memory
OPEN_FILES = 256
THREADS_BYTES = 1024 * 1024  # of segments: to check fewer on other threads takes longer


class Reader:
    """Reads one log. Cheap to make, touches nothing until asked, may be used from any thread.

    It remembers the headers of the segments it has seen, so that a snapshot costs two listings and
    the segments that are new. Keep one for as long as you read.

    Args:
        backend: the store.
        cache: where to keep what was fetched from a remote store (`eventlog.log.cache.cache_for`).
        witness: told the newest time of a fact in each snapshot, microseconds since 1970.
    """

    def __init__(
        self,
        backend: Backend,
        cache: SegmentCache | None = None,
        witness: Callable[[int], None] | None = None,
    ) -> None:
        self.backend = backend
        self.cache = cache
        self._witness = witness
        self._format: mf.Format | None = None
        self._manifest: mf.Manifest | None = None
        self._lock = threading.Lock()
        self._headers: dict[str, sg.Header] = {}
        self._damaged: dict[str, tuple[Entry, Damage]] = {}
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._bodies_bytes = 0
        self._files: OrderedDict[str, OpenFile] = OrderedDict()

    @property
    def format(self) -> mf.Format:
        """What log this is. Read once; `NotALog` where there is none."""
        if self._format is None:
            self._format = mf.read_format(self.backend)
        return self._format

    def snapshot(self, damage: OnDamage = "raise") -> Snapshot:
        """Everything that is in the log now.

        Args:
            damage: what to do about a damaged segment: "raise", or "skip" it and what it held; its
                lane goes on with the next segment that is intact, and `Snapshot.damage` names it.

        Raises:
            NotALog: there is no log.
            Damage: a segment or the newest manifest is not what was written.
        """
        check_damage(damage)
        with self._lock:
            why: object = "a new manifest each time"
            for _ in range(TRIES):
                try:
                    found = self._attempt(damage)
                except Missing as error:  # compaction moved it: a newer manifest says where to
                    found, why = None, error
                if found is not None:
                    if self._witness is not None:
                        self._witness(found.newest_us)
                    return found
        raise Damage("wal/", f"objects vanish faster than they can be read ({why})")

    def _attempt(self, damage: OnDamage) -> Snapshot | None:
        """A snapshot, or None where a new manifest appeared while ``wal/`` was listed."""
        log_id = self.format.log_id
        known = self._manifest or mf.load(self.backend, log_id)
        listing = self._list()
        self._manifest = manifest = mf.load(self.backend, log_id, known)
        if manifest.version != known.version:
            return None
        walks = {
            lane: _Walk(lane, manifest.lanes.get(lane), listing.get(lane, {}))
            for lane in sorted({*listing, *manifest.lanes})
        }
        self._fetch([entry for walk in walks.values() for entry in walk.wanted()])
        damaged = {key: bad for key, (_, bad) in self._damaged.items()}
        lanes, segments, found, gaps = {}, {}, [], []
        for lane, walk in walks.items():
            if lane in manifest.lanes or 0 in walk.slots:
                walk.run(self._headers, damaged)
                lanes[lane], segments[lane] = walk.state, walk.refs
                found += [*walk.damage, *walk.beyond]
                gaps += walk.gaps
                if walk.damage and damage == "raise":
                    raise walk.damage[0]
        return Snapshot(self, manifest, lanes, segments, found, damage, gaps=gaps)

    def _list(self) -> dict[str, dict[int, Entry]]:
        """Every segment in the store, by lane and slot; what is gone is forgotten."""
        lanes: dict[str, dict[int, Entry]] = {}
        present = set()
        for entry in self.backend.list("wal/"):
            place = sg.parse_key(entry.key)
            if place is not None:
                lanes.setdefault(place.lane, {})[place.slot] = entry
                present.add(entry.key)
        self._headers = {key: head for key, head in self._headers.items() if key in present}
        self._damaged = {key: bad for key, bad in self._damaged.items() if key in present}
        return lanes

    def _fetch(self, wanted: Sequence[Entry]) -> None:
        """Learn the headers of these segments."""
        new = [e for e in wanted if e.key not in self._headers and not self._known_damaged(e)]
        for entries in _batches(new):
            keys = [entry.key for entry in entries]
            raws = self._get(keys)
            many = sum(map(len, raws)) >= THREADS_BYTES
            heads = in_threads(_head, keys, raws) if many else map(_head, keys, raws)
            for entry, raw, head in zip(entries, raws, heads, strict=True):
                if isinstance(head, Damage):
                    self._damaged[entry.key] = (entry, head)
                else:
                    self._headers[entry.key] = head
                    self._damaged.pop(entry.key, None)
                    self._keep(entry.key, raw)

    def _known_damaged(self, entry: Entry) -> bool:
        """Whether it was damaged before, and nobody has restored it since."""
        return entry.key in self._damaged and self._damaged[entry.key][0] == entry

    def _get(self, keys: Sequence[str]) -> list[bytes]:
        """The segments, whole: from memory, from the local cache, or from the store."""
        found = {key: self._bodies.get(key) for key in keys}
        if self.cache:
            for key in [key for key in keys if found[key] is None]:
                found[key] = self.cache.get(key)
        absent = [key for key in keys if found[key] is None]
        ranges = [Range(key) for key in absent]
        found.update(zip(absent, self.backend.get_many(ranges) if ranges else (), strict=True))
        return [found[key] or b"" for key in keys]

    def _keep(self, key: str, raw: bytes) -> None:
        """Have a segment at hand that was checked."""
        if self.cache:
            self.cache.put(key, 0, None, raw)
        if key not in self._bodies:
            self._bodies[key] = raw
            self._bodies_bytes += len(raw)
        while self._bodies_bytes > BODIES_BYTES:
            self._bodies_bytes -= len(self._bodies.popitem(last=False)[1])

    def read_segments(
        self, refs: Sequence[SegmentRef], columns: Collection[str] | None = None
    ) -> list[pa.Table]:
        """The events of these segments, with ``columns``, lane and seq (None: with all columns).

        `Missing` where compaction has moved one.
        """
        with self._lock:
            raws = self._get([ref.key for ref in refs])
            checked = [self._bodies.get(r.key) is raw for r, raw in zip(refs, raws, strict=True)]
        work = functools.partial(_decoded, columns)
        if sum(ref.header.count for ref in refs) < sg.THREADS_ROWS:
            return list(map(work, refs, raws, checked))
        return in_threads(work, refs, raws, checked)

    def open_file(self, file: mf.DataFile) -> OpenFile:
        """A data file, whose index is kept in memory for the next time."""
        from eventlog.log.parquet import OpenFile

        with self._lock:
            opened = self._files.pop(file.key, None)
            if opened is None or opened.file != file:
                opened = OpenFile(self.backend, file, self.cache)
            self._files[file.key] = opened
            if len(self._files) > OPEN_FILES:
                self._files.popitem(last=False)
        return opened


def _head(key: str, raw: bytes) -> sg.Header | Damage:
    try:
        return sg.split(key, raw)[0]
    except Damage as damage:
        return damage


def _decoded(
    columns: Collection[str] | None, ref: SegmentRef, raw: bytes, checked: bool
) -> pa.Table:
    header, table = sg.decode(ref.key, raw, columns, checked=checked)
    if header != ref.header:
        raise Damage(ref.key, "it is another segment than it was")
    return table


class _Walk:
    """One lane from the manifest's mark on: slot by slot, up to the first hole or its end."""

    def __init__(self, lane: str, mark: mf.LaneMark | None, slots: Mapping[int, Entry]) -> None:
        self._lane = lane
        self._mark = mark or mf.LaneMark(-1, 0, 0)
        self.slots = slots
        self.refs: list[SegmentRef] = []
        self.damage: list[Damage] = []
        self.beyond: list[Damage] = []
        self.gaps: list[Damage] = []
        self.state = LaneState(
            mark.number if mark else None,
            self._mark.slot,
            self._mark.seq,
            self._mark.newest_us,
            self._mark.ended,
        )

    def wanted(self) -> Iterator[Entry]:
        """The segments whose headers the walk needs."""
        slot = self._mark.slot
        while not self._mark.ended and slot in self.slots:
            yield self.slots[slot]
            slot += 1

    def run(self, headers: Mapping[str, sg.Header], damaged: Mapping[str, Damage]) -> None:
        """Find out how far the lane goes."""
        gap = False
        for entry in self.wanted():
            if self.state.ended:
                break
            header = headers.get(entry.key)
            if header is None:
                self.damage.append(damaged[entry.key])
                gap = True
            elif self._follows(header, gap):
                self._take(SegmentRef(entry.key, header))
                gap = False
            else:
                gap = True
        self._look_beyond()

    def _follows(self, header: sg.Header, gap: bool) -> bool:
        due = self.state.next_seq
        if header.first_seq == due or (gap and header.first_seq > due):
            return True
        what = f"the segment begins at event {header.first_seq} of its lane, where {due} is due"
        self.damage.append(Damage(sg.segment_key(self._lane, header.slot), what))
        return False

    def _take(self, ref: SegmentRef) -> None:
        header = ref.header
        self.refs.append(ref)
        self.state = self.state._replace(
            next_slot=header.slot + 1,
            next_seq=header.end_seq,
            newest_us=max(self.state.newest_us, header.newest_us),
            ended="sealed" if header.kind == "seal" else "closed" if header.final else "",
        )

    def _look_beyond(self) -> None:
        """Name what is listed where nothing should be, and what is gone before it."""
        if self.state.ended:
            for slot in sorted(slot for slot in self.slots if slot >= self.state.next_slot)[:1]:
                what = f"the segment lies beyond the end of its lane, which was {self.state.ended}"
                self.beyond.append(Damage(sg.segment_key(self._lane, slot), what))
            return
        hole = self._mark.slot + sum(1 for _ in self.wanted())
        for slot in sorted(slot for slot in self.slots if slot > hole)[:1]:
            what = f"it is gone, though slot {slot} is there: its lane cannot be read beyond it"
            self.gaps.append(Damage(sg.segment_key(self._lane, hole), what))


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """The entries in runs that fit memory."""
    batch: list[Entry] = []
    size_bytes = 0
    for entry in entries:
        batch.append(entry)
        size_bytes += entry.size_bytes
        if size_bytes >= FETCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


__all__ = ["LaneState", "Reader", "SegmentRef", "Snapshot", "below"]
