"""Collection: deleting what no reader and no stalled compactor can need any more.

Age alone never decides over events. A wal segment goes because the newest manifest has passed it;
a data file because the chain has passed the version that it was made for and no manifest names it.
DESIGN.md says why each rule is safe. Every rule stays true while the collector sleeps, so that it
may stall between looking and deleting.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventlog.backend import Backend, Entry
from eventlog.errors import Damage, Missing
from eventlog.log import blob, claim
from eventlog.log import manifest as mf
from eventlog.log import segment as sg
from eventlog.log.clock import PROBE_PREFIX, age_s, store_now
from eventlog.log.parquet import index_key, parse_data_key

if TYPE_CHECKING:
    from eventlog.log.read.reader import Reader

KEEP_MANIFESTS = 2
FEW_MANIFESTS = 8  # young ones that are kept without asking what for
BATCH = 1000


@dataclass
class Report:
    """What a collection deleted, or would delete.

    Attributes:
        segments, data, manifests, marks, probes, blobs: the keys of each sort.
        size_bytes: of all of them.
        orphans: segments of lanes that have retired, which nobody reads: late duplicates of a put.
        damage: what kept something from being judged; it was not deleted.
    """

    segments: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    probes: list[str] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)
    size_bytes: int = 0
    orphans: list[str] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)


@dataclass
class _Sweep:
    """One collection: the manifest it stands on, and what it does with what it finds."""

    reader: Reader
    newest: mf.Manifest
    now: dt.datetime
    grace_s: float
    dry_run: bool
    report: Report
    read: dict[str, mf.Manifest] = field(default_factory=dict)

    @property
    def backend(self) -> Backend:
        return self.reader.backend

    def delete(self, sort: list[str], entries: Iterable[Entry]) -> None:
        """Delete the entries, noting their keys in ``sort``."""
        found = list(entries)
        for at in range(0, len(found), BATCH):
            keys = [entry.key for entry in found[at : at + BATCH]]
            if not self.dry_run:
                self.backend.delete(keys)
            sort.extend(keys)
        self.report.size_bytes += sum(entry.size_bytes for entry in found)

    def retained(self) -> Iterator[mf.Manifest]:
        """The manifests that are there and stay; `Damage` where one cannot be read."""
        gone = set(self.report.manifests)
        for _, entry in _versions(self.backend):
            if entry.key not in gone:
                with contextlib.suppress(Missing):
                    if entry.key not in self.read:
                        raw = self.backend.get(entry.key)
                        self.read[entry.key] = mf.decode(entry.key, raw)
                    yield self.read[entry.key]

    def older(self, entry: Entry, limit_s: float) -> bool:
        """Whether the store has had the object for at least ``limit_s``."""
        return age_s(entry.modified, self.now) >= limit_s


def collect(
    reader: Reader,
    *,
    grace_s: float = 3600.0,
    dry_run: bool = False,
    now: dt.datetime | None = None,
) -> Report:
    """Delete what is garbage; safe beside everybody else, and to be killed at any point.

    Args:
        grace_s: how long the data files that a manifest names are kept, once it is not the newest,
            for readers that began with it.
        dry_run: only report.
        now: the present time by the store's clock, if the caller knows it.
    """
    backend = reader.backend
    newest = mf.load(backend, reader.format.log_id)
    now = now or store_now(backend)
    sweep = _Sweep(reader, newest, now, grace_s, dry_run, Report())
    _segments(sweep)
    _manifests(sweep)
    _data(sweep)
    _passing(sweep)
    _blobs(sweep)
    return sweep.report


def _segments(sweep: _Sweep) -> None:
    """The wal below the watermarks, but young first slots and seals."""
    first: list[Entry] = []
    others: list[Entry] = []
    for lane, entries in _by_lane(sweep.backend):
        mark = sweep.newest.lanes.get(lane)
        if mark is None:
            if 0 not in entries:
                sweep.report.orphans.extend(entry.key for entry in entries.values())
            continue
        for slot, entry in entries.items():
            if slot >= mark.slot or (mark.ended == "sealed" and slot == mark.slot - 1):
                continue
            if slot > 0:
                others.append(entry)
            elif sweep.older(entry, sweep.backend.late_put_s):
                first.append(entry)
    # Slot 0 goes first: without it nobody reads the rest, even once the lane's name is gone.
    sweep.delete(sweep.report.segments, first)
    sweep.delete(sweep.report.segments, others)


def _by_lane(backend: Backend) -> Iterator[tuple[str, dict[int, Entry]]]:
    """The listed segments of each lane by slot."""
    lane, entries = "", dict[int, Entry]()
    for entry in backend.list("wal/"):
        place = sg.parse_key(entry.key)
        if place is None:
            continue
        if place.lane != lane and entries:
            yield lane, entries
            entries = {}
        lane = place.lane
        entries[place.slot] = entry
    if entries:
        yield lane, entries


def _manifests(sweep: _Sweep) -> None:
    """Manifests that are old and not among the newest, and of many those that keep no file."""
    listed = list(_versions(sweep.backend))
    kept = {version for version, _ in listed[-KEEP_MANIFESTS:]} | {sweep.newest.version}
    rest = [(v, e) for v, e in listed if v not in kept]
    old = [e for _, e in rest if sweep.older(e, sweep.grace_s)]
    sweep.delete(sweep.report.manifests, old)
    if len(rest) - len(old) > FEW_MANIFESTS:
        needless = set(_needless(sweep))
        sweep.delete(sweep.report.manifests, [e for v, e in rest if v in needless - kept])


def _needless(sweep: _Sweep) -> Iterator[int]:
    """Versions whose data files newer manifests name too, and so keep for longer.

    To name them is all that a manifest is kept for: nobody reads one that is not the newest.
    """
    try:
        retained = sorted(sweep.retained(), key=lambda manifest: manifest.version, reverse=True)
    except Damage:  # said where the data files are judged
        return
    named: set[str] = set()
    for manifest in retained:
        files = {file.key for file in manifest.files}
        if manifest.version < sweep.newest.version and files <= named:
            yield manifest.version
        named |= files


def _versions(backend: Backend) -> Iterator[tuple[int, Entry]]:
    for entry in backend.list("manifest/"):
        name = entry.key.removeprefix("manifest/").removesuffix(".json")
        if name.isdigit():
            yield int(name), entry


def _data(sweep: _Sweep) -> None:
    """Data files that the chain has passed and that no manifest names.

    A file made for a later version than the newest may belong to a compactor that sleeps between
    writing it and its manifest.
    """
    listed = [
        entry
        for entry in sweep.backend.list("data/")
        if (version := parse_data_key(entry.key)) is not None and version <= sweep.newest.version
    ]
    if not listed:
        return
    named = _named_files(sweep)
    if named is not None:
        sweep.delete(sweep.report.data, [entry for entry in listed if entry.key not in named])


def _named_files(sweep: _Sweep) -> set[str] | None:
    """The keys that the retained manifests name; None where one of them cannot be read."""
    named: set[str] = set()
    try:
        for manifest in [sweep.newest, *sweep.retained()]:
            named.update(key for file in manifest.files for key in (file.key, index_key(file.key)))
    except Damage as damage:
        sweep.report.damage.append(damage)
        return None
    return named


def _passing(sweep: _Sweep) -> None:
    """Marks of compactions that are over, and probes that nobody waits for."""
    backend, report = sweep.backend, sweep.report
    marks = []
    for entry in backend.list("compacting/"):
        name = entry.key.removeprefix("compacting/")
        if name.isdigit() and int(name) <= sweep.newest.version:
            marks.append(entry)
    sweep.delete(report.marks, marks)
    probes = [e for e in backend.list(PROBE_PREFIX) if sweep.older(e, sweep.grace_s)]
    sweep.delete(report.probes, probes)


def _blobs(sweep: _Sweep) -> None:
    """Old blobs that no event and no claim names.

    A blob is shipped before the event that names it, so that a young one may still get its name;
    and nobody names an old one anew (`blob.put_payload`).
    """
    old = [
        entry
        for entry in sweep.backend.list(blob.PREFIX)
        if blob.digest_of(entry.key) and sweep.older(entry, blob.COLLECTION_AGE_S)
    ]
    if not old:
        return
    try:
        named = set(_named_blobs(sweep))
    except Damage as damage:
        sweep.report.damage.append(damage)
        return
    sweep.delete(sweep.report.blobs, [entry for entry in old if entry.key not in named])


def _named_blobs(sweep: _Sweep) -> Iterator[str]:
    """The blobs that are in use; `Damage` where some event cannot be read."""
    backend = sweep.backend
    for table in sweep.reader.snapshot().tables(columns=["type", "data"]):
        yield from (mark.key for mark in blob.named(backend, table))
    keys = [entry.key for entry in backend.list(claim.PREFIX)]
    for found in _claims(backend, keys):
        yield from (mark.key for mark in blob.named_by_claim(found))


def _claims(backend: Backend, keys: Sequence[str]) -> Iterator[claim.Claim]:
    for key in keys:
        yield claim.decode(key, backend.get(key))
