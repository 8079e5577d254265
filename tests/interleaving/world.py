"""A small log with everything in it, raw writers that follow the protocol, and the invariant.

The writers here are built on segments alone, with a spool that is a Python object: it survives
when its actor is killed, as a directory does. Every event has a name of its own, in `key`, so that
"exactly once" is judged by what was said, not by the identity that the log gave it.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa

from eventlog.backend import Backend
from eventlog.errors import Damage, Missing
from eventlog.event import POINT_TYPE, schema
from eventlog.log import segment as sg
from eventlog.log.keep.collect import collect
from eventlog.log.keep.compact import compact
from eventlog.log.keep.seal import seal
from eventlog.log.manifest import Position
from eventlog.log.put import put_or_get
from eventlog.log.read.reader import LaneState, Reader, Snapshot
from tests.simulation.store import SimStore

DAY_S = 86_400.0
UNKNOWN = LaneState(None, 0, 0, 0, "")  # of a lane that nobody has looked at


def events_table(lane: str, first_seq: int, names: list[str], time_us: int) -> pa.Table:
    """Facts and points, alternating; `key` says which event it is."""
    n = len(names)
    seqs = list(range(first_seq, first_seq + n))
    is_point = [seq % 2 == 1 for seq in seqs]
    columns: dict[str, list[object]] = {
        "lane": [lane] * n,
        "seq": list(seqs),
        "time": [time_us] * n,
        "type": [POINT_TYPE if p else "noted" for p in is_point],
        "stream": [f"run:{seq % 3}" for seq in seqs],
        "key": list(names),
        "step": [seq if p else None for seq, p in zip(seqs, is_point, strict=True)],
        "value": [float(seq) if p else None for seq, p in zip(seqs, is_point, strict=True)],
        "data": [None if p else "{}" for p in is_point],
    }
    arrays = [pa.array(columns[f.name], type=f.type) for f in schema()]
    return pa.Table.from_arrays(arrays, schema=schema())


@dataclass
class Truth:
    """What the writers know: what they said, and what the store acknowledged."""

    offered: set[str] = field(default_factory=set)
    acked: set[str] = field(default_factory=set)
    positions: list[tuple[Position, Counter[str]]] = field(default_factory=list)


@dataclass
class RawSpool:
    """What survives of a writer: its events, how far they are shipped, and its outbox."""

    lane: str
    truth: Truth
    names: list[str] = field(default_factory=list)
    base: int = 0  # which of the names is seq 0 of the lane
    slot: int = 0
    seq: int = 0
    outbox: tuple[sg.Header, bytes] | None = None
    closed: bool = False
    time_us: int = 1_000_000

    def append(self, *names: str) -> None:
        self.names.extend(names)
        self.truth.offered.update(names)

    def encode(self, *, rows: int, final: bool) -> bool:
        """Put the next segment into the outbox, once; False where there is nothing to ship.

        The first slot is never final with events in it: a crash between its landing and the
        acknowledgement would let recovery put it again after the lane has retired.
        """
        names = self.names[self.base + self.seq :][:rows]
        last = final and self.base + self.seq + len(names) == len(self.names)
        last = last and (self.slot > 0 or not names)
        if self.closed or not (names or last):
            return False
        header = sg.Header(
            self.lane, self.slot, self.seq, len(names), self.time_us, final=last, writer="raw"
        )
        self.outbox = sg.encode(header, events_table(self.lane, self.seq, names, self.time_us))
        return True

    def acknowledge(self) -> None:
        assert self.outbox is not None
        header, self.outbox = self.outbox[0], None
        start = self.base + self.seq
        self.truth.acked.update(self.names[start : start + header.count])
        self.slot, self.seq, self.closed = header.slot + 1, header.end_seq, header.final

    def fence(self, end_seq: int) -> None:
        """The lane ended at ``end_seq``: what lies at or beyond it goes into the next lane."""
        stem, _, number = self.lane.partition("~")
        self.truth.acked.update(self.names[self.base : self.base + end_seq])
        self.base = min(self.base + end_seq, len(self.names))
        self.lane = f"{stem}~{int(number or 0) + 1}"
        self.slot, self.seq, self.outbox = 0, 0, None


def ship(backend: Backend, spool: RawSpool, *, rows: int = 2, final: bool = False) -> None:
    """Ship all of a spool as its owner does."""
    while spool.outbox is not None or spool.encode(rows=rows, final=final):
        assert spool.outbox is not None
        header, raw = spool.outbox
        key = sg.segment_key(header.lane, header.slot)
        try:
            there = put_or_get(backend, key, raw)
        except Missing:
            continue
        found = sg.split(key, there)[0] if there is not None else header
        if found.kind == "seal":
            spool.fence(found.end_seq)
        elif not found.same_put(header):
            raise Damage(key, "somebody else wrote it")
        else:
            spool.acknowledge()


def adopt(backend: Backend, spool: RawSpool) -> None:
    """Ship a dead writer's spool as a non-owner: seal its lane first."""
    state = LaneState(None, spool.slot, spool.seq, 0, "")
    spool.fence(seal(backend, spool.lane, state, writer="non-owner").end_seq)
    ship(backend, spool, final=True)


def names_in(snapshot: Snapshot, after: Position | None = None) -> Counter[str]:
    """How often each event is in the snapshot and not below ``after``."""
    found: Counter[str] = Counter()
    for table in snapshot.tables(after):
        found.update(table["key"].to_pylist())
    return found


@dataclass
class World:
    """The store, the truth about it, and the spools of writers that are gone or going on."""

    store: SimStore
    truth: Truth
    spools: dict[str, RawSpool] = field(default_factory=dict)

    def spool(self, lane: str, *names: str) -> RawSpool:
        spool = self.spools[lane] = RawSpool(lane, self.truth)
        spool.append(*names)
        return spool

    def look(self, reader: Reader) -> None:
        """Read all, and remember how far that was."""
        acked = set(self.truth.acked)
        snapshot = reader.snapshot()
        found = names_in(snapshot)
        assert max(found.values(), default=1) == 1, f"seen twice: {found}"
        assert acked <= set(found), f"lost: {acked - set(found)}"
        self.truth.positions.append((snapshot.position, found))

    def keep(self, backend: Backend, *, times: int = 2) -> None:
        """Compact and collect, as a patient housekeeper does, and retire what can retire."""
        for _ in range(times):
            compact(Reader(backend), seal_silent_days=1000, now=self.late())
            collect(Reader(backend), grace_s=0, now=self.late())

    def late(self) -> dt.datetime:
        """A time by which every mark is old."""
        return self.store.now + dt.timedelta(seconds=DAY_S)

    def check(self) -> None:
        """The invariant, now and after housekeeping."""
        before = self.check_once()
        self.keep(self.store)
        after = self.check_once()
        assert before == after, "housekeeping changed what is read"

    def check_once(self) -> Counter[str]:
        snapshot = Reader(self.store).snapshot()
        found = names_in(snapshot)
        twice = {name for name, count in found.items() if count > 1}
        assert not twice, f"seen twice: {sorted(twice)}"
        lost = self.truth.acked - set(found)
        assert not lost, f"acknowledged and lost: {sorted(lost)}"
        assert set(found) <= self.truth.offered
        for position, below in self.truth.positions:
            rest = names_in(snapshot, position)
            assert below + rest == found, f"the fold from {position} differs: {below} {rest}"
        return found


def furnished(late_put_s: float = 0.0) -> World:
    """A log with lanes in every state, as if made anew.

    ``old`` is closed, compacted and about to retire, ``open`` goes on and is half compacted,
    ``new`` is closed and not compacted, ``dead`` and ``gone`` have something in their spools.
    """
    if late_put_s not in _furnished:
        _furnished[late_put_s] = _furnish(World(SimStore(late_put_s), Truth()))
    return copy.deepcopy(_furnished[late_put_s])


_furnished: dict[float, World] = {}


def _furnish(world: World) -> World:
    store = world.store
    ship(store, world.spool("old", "o0", "o1", "o2"), final=True)
    ship(store, world.spool("open", "p0", "p1"))
    ship(store, world.spool("dead", "d0", "d1"))
    world.look(reader := Reader(store))
    world.keep(store, times=1)
    world.spools["open"].append("p2", "p3", "p4")
    ship(store, world.spools["open"])
    ship(store, world.spool("new", "n0", "n1", "n2"), final=True)
    ship(store, world.spool("gone", "g0"))
    for lane in ("dead", "gone"):
        world.spools[lane].append(f"{lane[0]}7", f"{lane[0]}8", f"{lane[0]}9")
        world.spools[lane].encode(rows=2, final=False)
    world.look(reader)
    return world
