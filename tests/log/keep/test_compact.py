"""Compaction: what it moves, what it leaves, and when it yields."""

from __future__ import annotations

import pytest

from eventlog.errors import Unavailable, UsageError
from eventlog.log import manifest as mf
from eventlog.log import parquet
from eventlog.log import segment as sg
from eventlog.log.keep import compact as module
from eventlog.log.keep import tiers
from eventlog.log.keep.compact import Report, compact, should_compact
from eventlog.log.keep.seal import seal
from eventlog.log.read import order
from eventlog.log.read.reader import Reader
from tests.interleaving.world import DAY_S, UNKNOWN, RawSpool, World, names_in, ship
from tests.simulation.store import LOG_ID


def _names(lane: str, count: int) -> list[str]:
    return [f"{lane}{n}" for n in range(count)]


def _compact(world: World, **options: object) -> Report:
    return compact(Reader(world.store), now=world.store.now, **options)  # type: ignore[arg-type]


def _manifest(world: World) -> mf.Manifest:
    return mf.load(world.store, LOG_ID)


def test_all_of_the_wal_becomes_data_files_and_nothing_changes_for_readers(world: World) -> None:
    for lane in "abc":
        ship(world.store, world.spool(lane, *_names(lane, 9)))
    before = world.check_once()
    report = _compact(world)
    assert (report.version, report.events, report.segments) == (1, 27, 15)
    assert world.check_once() == before
    snapshot = Reader(world.store).snapshot()
    assert not any(snapshot.segments(lane) for lane in "abc")
    marks = snapshot.manifest.lanes
    assert {lane: (marks[lane].slot, marks[lane].seq) for lane in marks} == dict.fromkeys(
        "abc", (5, 9)
    )


def test_facts_and_points_lie_in_files_of_their_own_in_their_order(world: World) -> None:
    for lane in "ba":
        ship(world.store, world.spool(lane, *_names(lane, 50)), rows=7)
    _compact(world)
    files = _manifest(world).files
    assert sorted(file.kind for file in files) == ["facts", "points"]
    for file in files:
        table = parquet.OpenFile(world.store, file).read()
        assert order.sort(table, file.kind).equals(table)
        assert len(table) == 50


def test_lanes_are_numbered_once_and_keep_their_number(world: World) -> None:
    ship(world.store, world.spool("b", "b0"))
    _compact(world)
    ship(world.store, world.spool("a", "a0"))
    _compact(world)
    found = _manifest(world)
    assert found.lanes_seen == 2
    assert {name: mark.number for name, mark in found.lanes.items()} == {"b": 0, "a": 1}


def test_compacting_nothing_makes_no_manifest(world: World) -> None:
    assert _compact(world).version is None
    ship(world.store, world.spool("a", "a0"))
    _compact(world)
    report = _compact(world)
    assert (report.version, report.reason) == (None, "there is nothing to compact")
    assert world.store.held("compacting/") == []


def test_the_newest_fact_time_is_kept_for_new_lanes_clocks(world: World) -> None:
    spool = world.spool("a", "a0")
    spool.time_us = 77_000_000
    ship(world.store, spool)
    _compact(world)
    assert _manifest(world).newest_us == 77_000_000
    assert Reader(world.store).snapshot().newest_us == 77_000_000


def test_a_closed_lane_retires_once_its_wal_is_gone(world: World) -> None:
    ship(world.store, world.spool("a", "a0", "a1", "a2"), final=True)
    ship(world.store, world.spool("b", "b0"))
    _compact(world)
    assert _manifest(world).lanes["a"].ended == "closed"
    world.keep(world.store, times=1)
    assert _compact(world).retired == ["a"]
    assert list(_manifest(world).lanes) == ["b"]
    assert _manifest(world).lanes_seen == 2
    assert sum(world.check_once().values()) == 4


def test_a_sealed_lane_never_retires(world: World) -> None:
    ship(world.store, world.spool("a", "a0"))
    seal(world.store, "a", UNKNOWN, writer="me")
    world.keep(world.store, times=3)
    mark = _manifest(world).lanes["a"]
    assert (mark.slot, mark.seq, mark.ended) == (2, 1, "sealed")


def test_a_lane_that_is_silent_for_a_week_by_the_stores_clock_is_sealed(world: World) -> None:
    ship(world.store, world.spool("quiet", "a0"))
    world.store.pass_time(5 * DAY_S)
    fresh = world.spool("busy", "b0")
    fresh.time_us = 1  # its own clock is half a century slow, which counts for nothing
    ship(world.store, fresh)
    world.store.pass_time(3 * DAY_S)
    report = _compact(world)
    assert report.sealed == ["quiet"]
    ended = {name: mark.ended for name, mark in _manifest(world).lanes.items()}
    assert ended == {"quiet": "sealed", "busy": ""}


def test_silence_is_noticed_when_all_of_the_lane_is_compacted_and_collected(world: World) -> None:
    ship(world.store, world.spool("quiet", "a0", "a1", "a2"))
    _compact(world)
    world.keep(world.store, times=1)
    assert world.store.held("wal/") == []
    world.store.pass_time(8 * DAY_S)
    assert _compact(world).sealed == ["quiet"]
    assert _manifest(world).lanes["quiet"].ended == "sealed"


def test_the_stores_clock_is_asked_where_the_caller_does_not_know_it(world: World) -> None:
    ship(world.store, world.spool("quiet", "a0"))
    world.store.pass_time(8 * DAY_S)
    assert compact(Reader(world.store)).sealed == ["quiet"]
    assert world.store.held("probe/") == []


def test_a_damaged_lane_stops_at_the_damage_and_the_others_go_on(world: World) -> None:
    for lane in "ab":
        ship(world.store, world.spool(lane, *_names(lane, 8)))
    key = sg.segment_key("a", 2)
    raw = bytearray(world.store.get(key))
    raw[10] ^= 1
    world.store.objects[key] = (bytes(raw), world.store.now)
    report = _compact(world)
    assert [damage.key for damage in report.damage] == [key]
    marks = _manifest(world).lanes
    assert (marks["a"].slot, marks["a"].seq) == (2, 4)
    assert (marks["b"].slot, marks["b"].seq) == (4, 8)
    again = _compact(world)
    assert again.version is None
    assert [damage.key for damage in again.damage] == [key]


def test_a_segment_of_forged_rows_is_not_compacted(world: World) -> None:
    ship(world.store, world.spool("a", "a0"))
    _, table = sg.decode(sg.segment_key("a", 0), world.store.get(sg.segment_key("a", 0)))
    _, raw = sg.encode(sg.Header("b", 0, 0, 1), table)
    world.store.put_new(sg.segment_key("b", 0), raw)
    report = _compact(world)
    assert [damage.key for damage in report.damage] == [sg.segment_key("b", 0)]
    found = _manifest(world).lanes
    assert found["a"].seq == 1
    assert "b" not in found or found["b"].seq == 0


def test_a_young_mark_of_another_compactor_is_respected(world: World) -> None:
    ship(world.store, world.spool("a", "a0"))
    world.store.put_new("compacting/000000000001", b"somebody")
    assert _compact(world).reason == "another process is compacting"
    assert _manifest(world).version == 0
    world.store.pass_time(601)
    assert _compact(world).version == 1


def test_a_failed_compaction_takes_its_mark_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(world.store, world.spool("a", "a0"))

    def fail(*args: object, **options: object) -> None:
        raise Unavailable("the store is away")

    monkeypatch.setattr(parquet, "write", fail)
    with pytest.raises(Unavailable):
        _compact(world)
    assert world.store.held("compacting/") == []


def test_eight_small_files_become_one_of_the_next_tier(world: World) -> None:
    spool = world.spool("a")
    for n in range(tiers.FAN_IN):
        spool.append(f"a{2 * n}", f"a{2 * n + 1}")
        ship(world.store, spool)
        _compact(world)
    files = _manifest(world).files
    assert sorted((file.kind, file.tier, file.rows) for file in files) == [
        ("facts", 1, 8),
        ("points", 1, 8),
    ]
    for file in files:
        table = parquet.OpenFile(world.store, file).read()
        assert order.sort(table, file.kind).equals(table)
    assert sum(world.check_once().values()) == 16


def test_files_are_cut_at_the_target_and_full_ones_are_left_alone(world: World) -> None:
    spool = world.spool("a")
    for n in range(20):
        spool.append(*(f"a{n}-{i}" for i in range(40)))
        ship(world.store, spool, rows=11)
        _compact(world, target_rows=100)
    files = _manifest(world).files
    assert all(file.rows <= 100 for file in files)
    assert sum(file.rows >= 75 for file in files) == 4
    small: dict[tuple[str, int], int] = {}
    for file in files:
        if file.rows < 75:
            small[file.kind, file.tier] = small.get((file.kind, file.tier), 0) + 1
    assert max(small.values(), default=0) < tiers.FAN_IN
    assert sum(world.check_once().values()) == 800


def test_a_damaged_data_file_is_left_out_of_merging_and_named(world: World) -> None:
    spool = world.spool("a")
    for n in range(tiers.FAN_IN + 1):
        if n == tiers.FAN_IN - 1:
            file = next(f for f in _manifest(world).files if f.kind == "facts")
            raw = bytearray(world.store.get(file.key))
            raw[len(raw) // 2] ^= 4
            world.store.objects[file.key] = (bytes(raw), world.store.now)
        spool.append(f"a{2 * n}", f"a{2 * n + 1}")
        ship(world.store, spool)
        report = _compact(world)
        if n == tiers.FAN_IN - 1:
            assert [damage.key for damage in report.damage] == [file.key]
    found = _manifest(world).files
    assert {(f.kind, f.tier) for f in found} == {
        ("facts", 0),
        ("facts", 1),
        ("points", 0),
        ("points", 1),
    }
    assert file in found


def test_a_lost_answer_to_the_manifest_is_recognised(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(world.store, world.spool("a", "a0"))
    put_new = world.store.put_new

    def lose(key: str, data: bytes) -> None:
        put_new(key, data)
        if key.startswith("manifest/"):
            monkeypatch.setattr(world.store, "put_new", put_new)
            raise Unavailable("the answer was lost")

    monkeypatch.setattr(world.store, "put_new", lose)
    monkeypatch.setattr("eventlog.log.put.FIRST_WAIT_S", 0.0)
    assert _compact(world).version == 1


def test_compaction_begins_anew_where_another_one_was_faster(world: World) -> None:
    ship(world.store, world.spool("a", "a0", "a1", "a2"))
    write = parquet.write
    calls: list[int] = []

    def race(*args: object, **options: object) -> object:
        if not calls:
            calls.append(1)
            compact(Reader(world.store), now=world.late(), seal_silent_days=1000)
            world.spools["a"].append("a3")
            ship(world.store, world.spools["a"])
        return write(*args, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "write", race)
        report = _compact(world)
    assert report.version == 2
    assert sum(world.check_once().values()) == 4


def test_compaction_of_a_part_leaves_the_rest_to_the_next(world: World) -> None:
    for lane in "abc":
        ship(world.store, world.spool(lane, *_names(lane, 8)))
    before = world.check_once()
    assert _compact(world, most_segments=6).segments == 6
    marks = _manifest(world).lanes
    assert {lane: mark.slot for lane, mark in marks.items()} == {"a": 4, "b": 2}
    assert world.check_once() == before
    assert _compact(world, most_segments=6).segments == 6
    assert {lane: mark.slot for lane, mark in _manifest(world).lanes.items()} == dict.fromkeys(
        "abc", 4
    )
    world.check()


def test_an_engine_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="local"):
        _compact(world, engine="cloud")


def test_compaction_on_close_is_for_what_is_worthwhile_and_cheap(world: World) -> None:
    assert not should_compact(Reader(world.store).snapshot())
    ship(world.store, world.spool("few", *_names("f", 10)))
    assert not should_compact(Reader(world.store).snapshot())
    ship(world.store, world.spool("many", *_names("m", 64)), rows=1)
    snapshot = Reader(world.store).snapshot()
    assert should_compact(snapshot)
    assert should_compact(snapshot, closing=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHEAP_ROWS", 50)
        assert not should_compact(snapshot, closing=True)


def test_a_sweep_of_short_lanes_leaves_no_trace(world: World) -> None:
    for n in range(300):
        ship(world.store, RawSpool(f"lane{n:04}", world.truth, [f"e{n}"]), final=True)
        world.truth.offered.add(f"e{n}")
    world.keep(world.store, times=3)
    _compact(world)
    snapshot = Reader(world.store).snapshot()
    assert (snapshot.manifest.lanes, snapshot.position.lanes) == ({}, {})
    assert snapshot.manifest.lanes_seen == 300
    assert world.store.held("wal/") == []
    assert sum(names_in(snapshot).values()) == 300
