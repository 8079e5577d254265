"""Collection: exactly what is garbage goes."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from eventlog.errors import Missing
from eventlog.event import BLOB_MARK
from eventlog.log import blob, parquet
from eventlog.log import manifest as mf
from eventlog.log import segment as sg
from eventlog.log.keep.collect import Report, collect
from eventlog.log.keep.compact import compact
from eventlog.log.keep.seal import seal
from eventlog.log.read.reader import Reader, Snapshot
from tests.interleaving.world import (
    DAY_S,
    UNKNOWN,
    RawSpool,
    Truth,
    World,
    events_table,
    names_in,
    ship,
)
from tests.simulation.store import LOG_ID, SimStore

HOUR_S = 3600.0


def _collect(world: World, **options: object) -> Report:
    return collect(Reader(world.store), now=world.store.now, **options)  # type: ignore[arg-type]


def _compact(world: World) -> None:
    compact(Reader(world.store), now=world.store.now, seal_silent_days=1000)


def _key(lane: str, slot: int) -> str:
    return sg.segment_key(lane, slot)


def test_the_wal_below_the_watermark_goes_at_once(world: World) -> None:
    spool = world.spool("a", "a0", "a1", "a2")
    ship(world.store, spool)
    _compact(world)
    spool.append("a3")
    ship(world.store, spool)
    report = _collect(world)
    assert report.segments == [_key("a", 0), _key("a", 1)]
    assert world.store.held("wal/") == [_key("a", 2)]
    world.check()


def test_nothing_of_the_wal_goes_before_it_is_compacted(world: World) -> None:
    ship(world.store, world.spool("a", "a0"), final=True)
    world.store.pass_time(1000 * DAY_S)
    assert _collect(world).segments == []


def test_the_first_slot_stays_while_a_late_put_may_still_arrive() -> None:
    world = World(SimStore(late_put_s=DAY_S), Truth())
    ship(world.store, world.spool("a", "a0", "a1", "a2"), final=True)
    _compact(world)
    _collect(world)
    assert world.store.held("wal/") == [_key("a", 0)]
    _compact(world)
    assert "a" in mf.load(world.store, LOG_ID).lanes
    world.store.pass_time(DAY_S)
    assert _collect(world).segments == [_key("a", 0)]
    _compact(world)
    assert "a" not in mf.load(world.store, LOG_ID).lanes


def test_first_slots_are_deleted_before_any_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for lane in "ab":
        ship(world.store, world.spool(lane, f"{lane}0", f"{lane}1", f"{lane}2"), final=True)
    _compact(world)
    calls: list[list[str]] = []
    monkeypatch.setattr(world.store, "delete", lambda keys: calls.append(list(keys)))
    _collect(world)
    assert calls[0] == [_key("a", 0), _key("b", 0)]


def test_seals_stay_for_ever(world: World) -> None:
    ship(world.store, world.spool("a", "a0", "a1", "a2"))
    seal(world.store, "a", UNKNOWN, writer="me")
    seal(world.store, "b", UNKNOWN, writer="me")
    world.keep(world.store, times=3)
    assert world.store.held("wal/") == [_key("a", 2), _key("b", 0)]


def test_a_late_duplicate_below_the_watermark_is_deleted_again(world: World) -> None:
    ship(world.store, world.spool("a", "a0", "a1", "a2"))
    duplicate = world.store.get(_key("a", 1))
    world.keep(world.store, times=1)
    world.store.put_new(_key("a", 1), duplicate)
    assert _collect(world).segments == [_key("a", 1)]


def test_a_late_duplicate_of_a_retired_lane_is_reported_and_left(world: World) -> None:
    ship(world.store, world.spool("a", "a0", "a1", "a2"), final=True)
    duplicate = world.store.get(_key("a", 1))
    world.keep(world.store, times=3)
    world.store.put_new(_key("a", 1), duplicate)
    report = _collect(world)
    assert (report.orphans, report.segments) == ([_key("a", 1)], [])
    world.check()


def _orphan_file(world: World, version: int) -> str:
    import numpy as np

    table = events_table("z", 0, ["z0"], 0)
    table = table.append_column("lane_number", pa.array(np.zeros(1, np.int32)))
    return parquet.write(world.store, table, kind="facts", version=version, tier=0).key


def test_a_data_file_goes_when_its_version_has_passed_and_nobody_names_it(world: World) -> None:
    ship(world.store, world.spool("a", "a0"))
    _compact(world)
    passed, coming = _orphan_file(world, 1), _orphan_file(world, 2)
    world.store.pass_time(1000 * DAY_S)
    assert _collect(world).data == sorted([passed, parquet.index_key(passed)])
    assert coming in world.store.held("data/")
    named = mf.load(world.store, LOG_ID).files
    assert all(file.key in world.store.objects for file in named)


def _merged(world: World) -> Snapshot:
    """Eight commits, compacted each and merged by the last; the snapshot before the last."""
    spool = world.spool("a")
    for n in range(8):
        spool.append(f"a{n}", f"b{n}")
        ship(world.store, spool)
        _compact(world)
        if n == 6:
            snapshot = Reader(world.store).snapshot()
    return snapshot


def test_a_file_that_a_retained_manifest_names_is_kept_for_its_readers(world: World) -> None:
    begun = _merged(world)
    named = {file.key for file in begun.manifest.files}
    assert not named & set(_collect(world, grace_s=HOUR_S).data)
    assert sum(names_in(begun).values()) == 14
    world.spools["a"].append("c0")
    ship(world.store, world.spools["a"])
    _compact(world)
    world.store.pass_time(HOUR_S)
    assert named < set(_collect(world, grace_s=HOUR_S).data)
    world.check()


def test_old_manifests_go_but_never_the_newest_two(world: World) -> None:
    spool = world.spool("a")
    for n in range(4):
        spool.append(f"a{n}")
        ship(world.store, spool)
        _compact(world)
    assert _collect(world).manifests == []
    world.store.pass_time(HOUR_S)
    assert _collect(world).manifests == [mf.manifest_key(1), mf.manifest_key(2)]
    world.store.pass_time(1000 * HOUR_S)
    assert _collect(world).manifests == []


def _often_compacted(world: World, times: int) -> set[str]:
    """As many versions; the data files that any of them names."""
    spool, named = world.spool("a"), set[str]()
    for n in range(times):
        spool.append(f"a{n}", f"b{n}")
        ship(world.store, spool)
        _compact(world)
        named |= {file.key for file in mf.load(world.store, LOG_ID).files}
    return named


def test_of_many_young_manifests_only_those_stay_that_keep_data_files(world: World) -> None:
    named = _often_compacted(world, 20)
    _collect(world)
    assert world.store.held("manifest/") == [mf.manifest_key(v) for v in (7, 15, 19, 20)]
    assert named <= set(world.store.held("data/"))
    world.check()


def test_young_manifests_stay_while_one_of_them_cannot_be_read(world: World) -> None:
    _often_compacted(world, 20)
    world.store.objects[mf.manifest_key(9)] = (b"nonsense", world.store.now)
    report = _collect(world)
    assert [damage.key for damage in report.damage] == [mf.manifest_key(9)]
    assert (report.manifests, report.data) == ([], [])


def test_a_retained_manifest_that_is_damaged_keeps_all_data_files(world: World) -> None:
    spool = world.spool("a")
    for n in range(3):
        spool.append(f"a{n}")
        ship(world.store, spool)
        _compact(world)
    orphan = _orphan_file(world, 1)
    world.store.objects[mf.manifest_key(2)] = (b"nonsense", world.store.now)
    report = _collect(world)
    assert [damage.key for damage in report.damage] == [mf.manifest_key(2)]
    assert orphan in world.store.held("data/")


def test_marks_of_passed_versions_and_old_probes_go(world: World) -> None:
    ship(world.store, world.spool("a", "a0"))
    _compact(world)
    for key in ("compacting/000000000001", "compacting/000000000002", "probe/old"):
        world.store.put_new(key, b"")
    world.store.pass_time(HOUR_S)
    world.store.put_new("probe/new", b"")
    report = _collect(world)
    assert (report.marks, report.probes) == (["compacting/000000000001"], ["probe/old"])


def test_a_dry_run_says_what_would_go_and_deletes_nothing(world: World) -> None:
    spool = world.spool("a")
    for n in range(4):
        spool.append(f"a{n}")
        ship(world.store, spool)
        _compact(world)
    world.store.pass_time(HOUR_S)
    before = dict(world.store.objects)
    dry = _collect(world, dry_run=True)
    assert world.store.objects == before
    assert dry == _collect(world)
    assert dry.size_bytes == sum(len(before[k][0]) for k in before.keys() - world.store.objects)


def _ship_data(world: World, lane: str, data: str) -> None:
    table = events_table(lane, 0, [lane], 0)
    table = table.set_column(8, table.schema.field("data"), pa.array([data], pa.large_string()))
    _, raw = sg.encode(sg.Header(lane, 0, 0, 1), table)
    world.store.put_new(_key(lane, 0), raw)


def test_an_old_blob_that_nobody_names_goes(world: World) -> None:
    named = blob.put_payload(world.store, b"named")
    lost = blob.put_payload(world.store, b"lost")
    _ship_data(world, "a", named)
    assert _collect(world).blobs == []
    world.store.pass_time(blob.COLLECTION_AGE_S)
    young = blob.put_payload(world.store, b"young")
    assert _collect(world).blobs == [blob.parse_mark(lost).key]
    assert blob.resolve(world.store, named) == "named"
    assert blob.resolve(world.store, young) == "young"


def test_a_blob_is_in_use_when_a_compacted_event_names_it(world: World) -> None:
    named = blob.put_payload(world.store, b"named")
    _ship_data(world, "a", named)
    _compact(world)
    world.store.pass_time(blob.COLLECTION_AGE_S)
    assert _collect(world).blobs == []


def test_a_writer_that_meets_a_blob_about_to_go_writes_its_own(world: World) -> None:
    old = blob.put_payload(world.store, b"same")
    world.store.pass_time(blob.COLLECTION_AGE_S)
    new = blob.put_payload(world.store, b"same")
    assert _collect(world).blobs == [blob.parse_mark(old).key]
    assert blob.resolve(world.store, new) == "same"


def test_no_blob_goes_while_some_event_cannot_be_read(world: World) -> None:
    blob.put_payload(world.store, b"lost")
    ship(world.store, world.spool("a", "a0"))
    world.store.objects[_key("a", 0)] = (b"nonsense", world.store.now)
    world.store.pass_time(blob.COLLECTION_AGE_S)
    report = _collect(world)
    assert report.blobs == []
    assert [damage.key for damage in report.damage] == [_key("a", 0)]


def test_the_stores_clock_decides_where_the_caller_knows_no_time(world: World) -> None:
    world.store.put_new("probe/old", b"")
    world.store.pass_time(2 * HOUR_S)
    assert collect(Reader(world.store)).probes == ["probe/old"]
    assert world.store.held("probe/") == []


def test_a_mark_is_what_blobs_say_it_is() -> None:
    assert BLOB_MARK == "@blob "
    assert json.loads(blob.Mark("blobs/aa/x", 3).to_text()[len(BLOB_MARK) :])["size"] == 3


def test_a_reader_of_a_collected_manifest_goes_on_with_the_newest(world: World) -> None:
    begun = _merged(world)
    world.spools["a"].append("c0")
    ship(world.store, world.spools["a"])
    world.keep(world.store)
    with pytest.raises(Missing):
        world.store.get(begun.manifest.files[0].key)
    assert sum(names_in(begun).values()) == 14


def test_spools_with_nothing_in_them_leave_nothing(world: World) -> None:
    ship(world.store, RawSpool("a", world.truth), final=True)
    world.keep(world.store, times=3)
    assert world.store.held("wal/") == []
    assert mf.load(world.store, LOG_ID).lanes == {}
