"""The races that the protocol is made for, by name; and that the naive rule loses each of them."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from functools import partial

import pyarrow as pa
import pytest

from eventlog.backend import Backend
from eventlog.errors import Damage, Exists, Unavailable
from eventlog.event import Event, schema
from eventlog.log import claim, parquet
from eventlog.log import manifest as mf
from eventlog.log import segment as sg
from eventlog.log.keep.collect import collect
from eventlog.log.keep.compact import compact
from eventlog.log.keep.seal import seal
from eventlog.log.read.reader import Reader
from eventlog.testing.interleave import Stage
from tests.interleaving.world import (
    DAY_S,
    RawSpool,
    Truth,
    World,
    events_table,
    furnished,
    names_in,
    ship,
)
from tests.simulation.store import LOG_ID, SimStore

Act = Callable[[World, Backend], None]


def violation(world: World) -> str:
    """How the invariant fails, now or after housekeeping; "" where it holds."""
    try:
        world.check()
    except (AssertionError, Damage) as error:
        return str(error)
    return ""


def _compact(world: World, backend: Backend) -> None:
    compact(Reader(backend), seal_silent_days=1000, now=world.late())


def _collect(world: World, backend: Backend) -> None:
    collect(Reader(backend), grace_s=0, now=world.late())


def _passed(backend: Backend, passed: mf.Manifest) -> list[str]:
    """The wal below a manifest's watermarks."""
    places = [(e.key, sg.parse_key(e.key)) for e in backend.list("wal/")]
    marks = passed.lanes
    return [k for k, p in places if p and p.lane in marks and p.slot < marks[p.lane].slot]


# -- vacuum race ---------------------------------------------------------------------------------


def _vacuum_race(collector: Act) -> World:
    """A compactor stalls between its data files and its manifest; a collector runs meanwhile."""
    world = furnished()
    with Stage() as stage:
        stage.add("compactor", lambda: _compact(world, stage.wrap(world.store)))
        stage.run_until("compactor", "before put_new manifest/")
        world.store.pass_time(1000 * DAY_S)
        collector(world, world.store)
        stage.finish("compactor")
    return world


def _collect_unnamed(world: World, backend: Backend) -> None:
    """Naive: what the newest manifest does not name is garbage."""
    named = {f.key for f in mf.load(backend, LOG_ID).files}
    named |= {parquet.index_key(key) for key in named}
    backend.delete([e.key for e in backend.list("data/") if e.key not in named])


def _collect_unnamed_and_old(world: World, backend: Backend) -> None:
    """Naive: what no manifest names is garbage when it is older than an hour."""
    named = {
        key
        for e in backend.list("manifest/")
        for f in mf.decode(e.key, backend.get(e.key)).files
        for key in (f.key, parquet.index_key(f.key))
    }
    limit = world.store.now - dt.timedelta(hours=1)
    old = [e.key for e in backend.list("data/") if e.modified < limit]
    backend.delete([key for key in old if key not in named])


def test_vacuum_race() -> None:
    assert not violation(_vacuum_race(_collect))


@pytest.mark.parametrize("naive", [_collect_unnamed, _collect_unnamed_and_old])
def test_a_naive_collector_loses_the_vacuum_race(naive: Act) -> None:
    assert violation(_vacuum_race(naive))


# -- resurrection --------------------------------------------------------------------------------


def _resurrection(compactor: Act, after: Act) -> World:
    """A compactor stalls before its manifest; the chain passes it, and its name is collected."""
    world = furnished()
    with Stage() as stage:
        stage.add("sleeper", lambda: compactor(world, stage.wrap(world.store)))
        stalled_at = stage.run_until("sleeper", "before put_new manifest/")
        key = stalled_at.removeprefix("before put_new ")
        for n in range(3):
            world.spools["open"].append(f"r{n}")
            ship(world.store, world.spools["open"])
            _compact(world, world.store)
            _collect(world, world.store)
        assert key not in world.store.objects
        world.store.pass_time(1)
        stage.finish("sleeper")
        assert key in world.store.objects
    after(world, world.store)
    return world


def _compact_and_tidy(world: World, backend: Backend) -> None:
    """Naive: who has created a manifest takes it for the newest, and deletes what it replaces."""
    _compact(world, backend)
    _collect_by_youngest(world, backend)


def _collect_by_youngest(world: World, backend: Backend) -> None:
    """Naive: the manifest that was created last is the newest."""
    youngest = max(backend.list("manifest/"), key=lambda e: e.modified)
    manifest = mf.decode(youngest.key, backend.get(youngest.key))
    _delete_passed(backend, manifest, manifest.version)


def _delete_passed(backend: Backend, newest: mf.Manifest, version: int) -> None:
    named = {key for f in newest.files for key in (f.key, parquet.index_key(f.key))}
    versions = [(e.key, parquet.parse_data_key(e.key)) for e in backend.list("data/")]
    backend.delete([k for k, v in versions if v is not None and v <= version and k not in named])
    backend.delete(_passed(backend, newest))


def test_resurrection() -> None:
    assert not violation(_resurrection(_compact, _collect))


def test_a_compactor_that_trusts_its_manifest_loses_the_resurrection() -> None:
    assert violation(_resurrection(_compact_and_tidy, _collect))


def test_a_collector_that_trusts_the_youngest_manifest_loses_the_resurrection() -> None:
    assert violation(_resurrection(_compact, _collect_by_youngest))


def test_a_resurrected_manifest_is_reported_as_one_that_may_not_count() -> None:
    reports = []

    def report(world: World, backend: Backend) -> None:
        reports.append(compact(Reader(backend), seal_silent_days=1000, now=world.late()))

    _resurrection(report, _collect)
    assert reports[0].reason == "a newer manifest exists already"


# -- lost response -------------------------------------------------------------------------------


class _Deaf(SimStore):
    """Takes every segment, and says of the first that it did not."""

    told = False

    def put_new(self, key: str, data: bytes) -> None:
        super().put_new(key, data)
        if key.startswith("wal/") and not self.told:
            self.told = True
            raise Unavailable("the answer was lost")


def _ship_next_slot(backend: Backend, spool: RawSpool) -> None:
    """Naive: rows whose put failed, or met something, go into the next slot."""
    while spool.outbox is not None or spool.encode(rows=2, final=False):
        assert spool.outbox is not None
        header, raw = spool.outbox
        key = sg.segment_key(header.lane, header.slot)
        try:
            backend.put_new(key, raw)
        except Unavailable:
            end_seq = header.end_seq
        except Exists:
            end_seq = sg.split(key, backend.get(key))[0].end_seq
        else:
            spool.acknowledge()
            continue
        rows, rest = spool.names[header.first_seq : header.end_seq], spool.names[header.end_seq :]
        spool.names = spool.names[:end_seq] + rows + rest
        spool.slot, spool.seq, spool.outbox = header.slot + 1, end_seq, None


def _lost_response(shipper: Callable[[Backend, RawSpool], None]) -> World:
    world = World(_Deaf(), Truth())
    shipper(world.store, world.spool("a", "e0", "e1", "e2"))
    return world


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventlog.log.put.FIRST_WAIT_S", 0.0)


@pytest.mark.usefixtures("quick")
def test_lost_response() -> None:
    assert not violation(_lost_response(ship))


def test_a_writer_that_takes_the_next_slot_doubles_what_a_lost_response_landed() -> None:
    assert violation(_lost_response(_ship_next_slot))


# -- re-encoded retry ----------------------------------------------------------------------------


def _reencoded_retry(*, forget_outbox: bool) -> World:
    """The first put landed, the writer died untold, and more had been said since."""
    world = World(SimStore(), Truth())
    spool = world.spool("a", "e0", "e1")
    spool.encode(rows=2, final=False)
    assert spool.outbox is not None
    world.store.put_new(sg.segment_key("a", 0), spool.outbox[1])
    spool.append("e2")
    if forget_outbox:
        spool.outbox = None
        spool.encode(rows=8, final=False)
        _ship_next_slot(world.store, spool)
    else:
        ship(world.store, spool)
    return world


def test_re_encoded_retry() -> None:
    assert not violation(_reencoded_retry(forget_outbox=False))


def test_a_retry_that_is_encoded_anew_doubles_its_rows() -> None:
    assert violation(_reencoded_retry(forget_outbox=True))


# -- zombie below the watermark ------------------------------------------------------------------


def _zombie(*, retired: bool) -> World:
    """A put that the network kept lands again after its slot was compacted and collected."""
    world = World(SimStore(), Truth())
    spool = world.spool("a", "e0", "e1", "e2", "e3")
    ship(world.store, spool, final=retired)
    kept = world.store.get(key := sg.segment_key("a", 1))
    world.keep(world.store, times=3)
    assert ("a" in Reader(world.store).snapshot().lanes) is not retired
    world.store.put_new(key, kept)
    return world


def _read_all_there_is(store: SimStore) -> Counter[str]:
    """Naive: data files and whatever lies in ``wal/``."""
    manifest = mf.load(store, LOG_ID)
    found: Counter[str] = Counter()
    for file in manifest.files:
        found.update(parquet.OpenFile(store, file).read(columns=["key"])["key"].to_pylist())
    for key in store.held("wal/"):
        found.update(sg.decode(key, store.get(key))[1]["key"].to_pylist())
    return found


@pytest.mark.parametrize("retired", [False, True])
def test_zombie_below_the_watermark(retired: bool) -> None:
    world = _zombie(retired=retired)
    assert max(_read_all_there_is(world.store).values()) == 2, "the naive reader doubles it"
    assert not violation(world)


def _zombie_writer(*, seals_go: bool) -> World:
    """A lane was sealed, compacted and collected; its writer wakes and ships what it has."""
    world = World(SimStore(), Truth())
    spool = world.spool("a", "e0", "e1")
    ship(world.store, spool)
    spool.append("e2", "e3")
    spool.encode(rows=2, final=False)
    seal(world.store, "a", Reader(world.store).snapshot().lanes["a"], writer="other")
    world.keep(world.store)
    if seals_go:
        world.store.delete(world.store.held("wal/a/"))
    ship(world.store, spool)
    return world


def test_a_zombie_meets_the_seal_however_late_it_wakes() -> None:
    assert not violation(_zombie_writer(seals_go=False))


def test_a_collector_of_seals_loses_what_the_zombie_writes() -> None:
    assert violation(_zombie_writer(seals_go=True))


# -- a retired lane is put again -----------------------------------------------------------------


def _recovered_after_retirement(*, final_in_slot_0: bool) -> World:
    """A closing writer dies between its last put and noting it; recovery comes much later."""
    world = World(SimStore(), Truth())
    spool = world.spool("a", "e0", "e1")
    if final_in_slot_0:
        header = sg.Header("a", 0, 0, 2, spool.time_us, final=True)
        spool.outbox = sg.encode(header, events_table("a", 0, ["e0", "e1"], spool.time_us))
    else:
        ship(world.store, spool)
        spool.encode(rows=2, final=True)
    assert spool.outbox is not None
    header, raw = spool.outbox
    world.store.put_new(sg.segment_key("a", header.slot), raw)  # and it dies
    world.keep(world.store, times=3)
    assert "a" not in Reader(world.store).snapshot().lanes
    ship(world.store, spool, final=True)
    return world


def test_a_last_put_that_recovery_makes_again_after_retirement_is_not_read() -> None:
    assert not violation(_recovered_after_retirement(final_in_slot_0=False))


def test_a_first_slot_that_is_final_comes_back_after_retirement() -> None:
    assert violation(_recovered_after_retirement(final_in_slot_0=True))


# -- slow clock's lane ---------------------------------------------------------------------------


def test_slow_clocks_lane() -> None:
    """A lane whose clock is an hour slow arrives after a reader has read later times."""
    world = World(SimStore(), Truth())
    fast, slow = world.spool("a", "e0"), world.spool("b", "e1")
    fast.time_us, slow.time_us = 7200_000_000, 3600_000_000
    ship(world.store, fast)
    snapshot = Reader(world.store).snapshot()
    position, newest_us, before = snapshot.position, snapshot.newest_us, names_in(snapshot)
    ship(world.store, slow)
    for housekeeping in (0, 1, 3):
        world.keep(world.store, times=housekeeping)
        after = Reader(world.store).snapshot()
        assert before + names_in(after, position) == Counter(["e0", "e1"])
        later = [
            name
            for table in after.tables()
            for name, time in zip(table["key"].to_pylist(), table["time"].to_pylist(), strict=True)
            if time > dt.datetime.fromtimestamp(newest_us / 1e6, dt.UTC)
        ]
        assert before + Counter(later) != Counter(["e0", "e1"]), "time as position loses it"


# -- birth race ----------------------------------------------------------------------------------


class _ManifestFirst:
    """Naive: the manifest first, then the listing."""

    def __init__(self, backend: Backend) -> None:
        manifest = mf.load(backend, LOG_ID)
        wal = [(e.key, sg.parse_key(e.key)) for e in backend.list("wal/")]
        self.found: Counter[str] = Counter()
        for file in manifest.files:
            table = parquet.OpenFile(backend, file).read(columns=["key"])
            self.found.update(table["key"].to_pylist())
        for key, place in wal:
            mark = manifest.lanes.get(place.lane) if place else None
            if place and (mark is None or place.slot >= mark.slot):
                self.found.update(sg.decode(key, backend.get(key))[1]["key"].to_pylist())


def _moved_between(read: Callable[[Backend], Counter[str]], stop: str) -> Counter[str]:
    """A young lane is compacted, collected and retired while a reader is at its ``stop``."""
    world = World(SimStore(), Truth())
    ship(world.store, world.spool("a", "e0", "e1", "e2"), final=True)
    with Stage() as stage:
        stage.add("reader", lambda: read(stage.wrap(world.store)))
        stage.run_until("reader", stop)
        world.keep(world.store, times=3)
        found = stage.finish("reader")
    assert isinstance(found, Counter)
    return found


@pytest.mark.parametrize("stop", ["after list manifest/", "before list wal/", "after list wal/"])
def test_birth_race(stop: str) -> None:
    found = _moved_between(lambda backend: names_in(Reader(backend).snapshot()), stop)
    assert found == Counter(["e0", "e1", "e2"])


def test_a_lane_that_retires_while_a_reader_lists_is_not_read_from_its_memory() -> None:
    """The listing still shows its slot 0, the manifest no longer its name, and no fetch fails."""
    world = World(SimStore(), Truth())
    ship(world.store, world.spool("z", "z0"))
    ship(world.store, world.spool("a", "e0", "e1", "e2"), final=True)
    with Stage() as stage:
        reader = Reader(stage.wrap(world.store))
        before = names_in(reader.snapshot())
        stage.add("reader", lambda: names_in(reader.snapshot()))
        stage.run_until("reader", "after list wal/")
        world.keep(world.store, times=3)
        assert stage.finish("reader") == before


def test_a_reader_that_lists_after_the_manifest_loses_the_birth_race() -> None:
    found = _moved_between(lambda backend: _ManifestFirst(backend).found, "before list wal/")
    assert found == Counter()


def test_a_lane_born_behind_a_readers_position_is_read_by_its_next_look() -> None:
    """Born, compacted and retired between two looks: no name of it is left, only its number."""
    world = World(SimStore(), Truth())
    ship(world.store, world.spool("z", "e0"))
    world.look(Reader(world.store))
    ship(world.store, world.spool("a", "e1", "e2"), final=True)
    world.keep(world.store, times=3)
    position, before = world.truth.positions[0]
    snapshot = Reader(world.store).snapshot()
    assert "a" not in snapshot.lanes
    assert names_in(snapshot, position) == Counter(["e1", "e2"])
    by_name = [lane for lane in snapshot.lanes if lane not in position.lanes]
    assert by_name == [], "a position of names alone has nothing new to read"
    assert before == Counter(["e0"])


def test_a_lane_born_while_a_compactor_looks_keeps_its_name() -> None:
    """Born, closed and compacted by another at any stop of ours: its wal is still there."""
    stop = 0
    while True:
        world = World(SimStore(), Truth())
        ship(world.store, world.spool("z", "z0"))
        with Stage() as stage:
            backend = stage.wrap(world.store)
            stage.add("compactor", partial(_compact, world, backend))
            while stage.stops("compactor") < stop and stage.step("compactor"):
                pass
            if stage.ended("compactor"):
                break
            ship(world.store, world.spool("a", "e0", "e1", "e2"), final=True)
            _compact(world, world.store)
            stage.finish("compactor")
        assert "a" in mf.load(world.store, LOG_ID).lanes
        assert not violation(world)
        stop += 1
    assert stop > 10


# -- alias moved by a slower clock ---------------------------------------------------------------


def _move_alias(backend: Backend, version: int, time_us: int) -> claim.Claim:
    event = Event("", 0, time_us, "alias.set", "model:resnet", "best", None, float(version), None)
    return claim.claim(backend, "model", "resnet", event)


def test_alias_moved_by_a_slower_clock() -> None:
    """The second move has the earlier time; it must win, whatever order the lanes are read in."""
    store = SimStore()
    moves = [_move_alias(store, 1, 7200_000_000), _move_alias(store, 2, 3600_000_000)]
    for order in (moves, moves[::-1]):
        table = _announced(order)
        unwrapped = claim.unwrap(table)
        rows = sorted(
            zip(unwrapped["seq"].to_pylist(), unwrapped["value"].to_pylist(), strict=True)
        )
        assert rows == [(0, 1.0), (1, 2.0)]
        by_time = max(
            zip(unwrapped["time"].to_pylist(), unwrapped["value"].to_pylist(), strict=True)
        )
        assert by_time[1] == 1.0, "by time the older move wins for ever"


def _announced(claims: list[claim.Claim]) -> pa.Table:
    events = [c.announcement()._replace(lane=f"w{n}") for n, c in enumerate(claims)]
    columns = list(zip(*events, strict=True))
    arrays = [pa.array(c, type=f.type) for c, f in zip(columns, schema(), strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema())


def test_two_movers_of_an_alias_are_both_kept_in_one_order() -> None:
    for stop in range(6):
        store = SimStore()
        with Stage() as stage:
            backend = stage.wrap(store)
            stage.add("a", partial(_move_alias, backend, 1, 7200_000_000))
            stage.add("b", partial(_move_alias, backend, 2, 3600_000_000))
            stage.play(["a"] * stop + ["b"] * 10)
        found = claim.read(store, claim.Chain("model", "resnet"), [0, 1])
        assert {c.event.value for c in found} == {1.0, 2.0}
        assert [c.n for c in found] == [0, 1]
