"""Snapshots: what they are, what they cost, and what the store may do meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog.errors import Damage, Missing, NotALog, Unavailable, UsageError
from eventlog.log import manifest as mf
from eventlog.log.cache import SegmentCache
from eventlog.log.keep.collect import collect
from eventlog.log.keep.compact import compact
from eventlog.log.read import reader as module
from eventlog.log.read.reader import Reader
from eventlog.log.segment import segment_key
from tests.log.hooked import Hooked, hooked_log
from tests.log.lanes import retire, seal, write
from tests.log.read.identities import seen, span

# -- what a snapshot is ----------------------------------------------------------------------


def test_a_place_that_is_no_log_is_named() -> None:
    with pytest.raises(NotALog):
        Reader(Hooked()).snapshot()


def test_an_empty_log_has_nothing_below_its_position() -> None:
    snapshot = Reader(hooked_log()).snapshot()
    assert seen(snapshot) == []
    assert snapshot.position == mf.Position()
    assert snapshot.newest_us == 0


def test_the_slots_of_a_lane_are_read_up_to_the_first_hole() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 3, slot=0)
    write(backend, "a", 3, 5, slot=1)
    write(backend, "a", 6, 9, slot=3)
    snapshot = Reader(backend).snapshot()
    assert seen(snapshot) == span("a", 0, 5)
    assert snapshot.lanes["a"][:3] == (None, 2, 5)
    assert [ref.header.slot for ref in snapshot.segments("a")] == [0, 1]
    assert not snapshot.damage


def test_a_lane_without_its_first_slot_is_not_there() -> None:
    backend = hooked_log()
    write(backend, "a", 3, 5, slot=1)
    snapshot = Reader(backend).snapshot()
    assert seen(snapshot) == []
    assert "a" not in snapshot.lanes


def test_a_snapshot_knows_the_newest_time_and_who_ended() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 2, final=True)
    write(backend, "b", 0, 5)
    seal(backend, "b", 5, slot=1)
    snapshot = Reader(backend).snapshot()
    assert snapshot.newest_us == 10**15 + 4
    assert (snapshot.lanes["a"].ended, snapshot.lanes["b"].ended) == ("closed", "sealed")
    assert (snapshot.lanes["b"].next_slot, snapshot.lanes["b"].next_seq) == (2, 5)
    assert snapshot.segments("b")[-1].header.kind == "seal"


def test_data_files_and_segments_add_up() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 30)
    compact(Reader(backend))
    write(backend, "a", 30, 40, slot=1)
    write(backend, "b", 0, 4)
    snapshot = Reader(backend).snapshot()
    assert seen(snapshot) == span("a", 0, 40) + span("b", 0, 4)
    assert snapshot.lanes["a"][:3] == (0, 2, 40)
    assert snapshot.position == mf.Position(1, {"a": 40, "b": 4}, 1)
    assert snapshot.count() == 44


def test_a_snapshot_stays_as_it_was() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 3)
    snapshot = Reader(backend).snapshot()
    write(backend, "a", 3, 5, slot=1)
    assert seen(snapshot) == span("a", 0, 3)


def test_tables_have_the_events_columns_in_their_order() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 9)
    compact(Reader(backend))
    write(backend, "b", 0, 9)
    tables = list(Reader(backend).snapshot().tables())
    names = ["lane", "seq", "time", "type", "stream", "key", "step", "value", "data"]
    assert {tuple(table.column_names) for table in tables} == {tuple(names)}
    wanted = list(Reader(backend).snapshot().tables(columns=["value", "lane"]))
    assert {tuple(table.column_names) for table in wanted} == {("lane", "value")}


def test_a_column_that_is_none_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no column 'run'"):
        Reader(hooked_log()).snapshot().tables(columns=["run"])


def test_a_bare_string_as_filter_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"\['run:a'\]"):
        Reader(hooked_log()).snapshot().tables(streams="run:a")


# -- what it costs ---------------------------------------------------------------------------


def test_a_second_snapshot_costs_two_listings() -> None:
    backend = hooked_log()
    for slot in range(50):
        write(backend, "a", slot, slot + 1, slot=slot)
    reader = Reader(backend)
    reader.snapshot()
    backend.asked.clear()
    reader.snapshot()
    assert backend.asked == [("list", "wal/"), ("list", "manifest/")]


def test_only_new_segments_are_fetched() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 1)
    reader = Reader(backend)
    reader.snapshot()
    write(backend, "a", 1, 2, slot=1)
    backend.asked.clear()
    assert seen(reader.snapshot()) == span("a", 0, 2)
    assert [key for verb, key in backend.asked if verb != "list"] == [segment_key("a", 1)]


def test_headers_of_collected_segments_are_forgotten() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 1)
    write(backend, "a", 1, 2, slot=1)
    reader = Reader(backend)
    reader.snapshot()
    compact(Reader(backend))
    collect(Reader(backend))
    reader.snapshot()
    assert len(reader._headers) == len(list(backend.list("wal/")))


def test_retired_lanes_leave_no_trace() -> None:
    backend = hooked_log()
    for n in range(30):
        write(backend, f"lane-{n}", 0, 2)
        write(backend, f"lane-{n}", 2, 3, slot=1, final=True)
    retire(backend)
    reader = Reader(backend)
    backend.asked.clear()
    snapshot = reader.snapshot()
    assert not snapshot.lanes
    assert snapshot.position == mf.Position(30, {}, snapshot.manifest.version)
    assert not [key for verb, key in backend.asked if key.startswith("wal/") and verb != "list"]
    assert len(seen(snapshot)) == 90


def test_segments_are_fetched_in_batches_that_fit_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FETCH_BYTES", 1)
    monkeypatch.setattr(module, "BODIES_BYTES", 1)
    backend = hooked_log()
    for slot in range(5):
        write(backend, "a", slot, slot + 1, slot=slot)
    assert seen(Reader(backend).snapshot()) == span("a", 0, 5)


def test_a_cache_answers_for_the_store(tmp_path: Path) -> None:
    backend = hooked_log()
    write(backend, "a", 0, 3)
    Reader(backend, SegmentCache(tmp_path)).snapshot()
    backend.asked.clear()
    assert seen(Reader(backend, SegmentCache(tmp_path)).snapshot()) == span("a", 0, 3)
    assert not [key for verb, key in backend.asked if key.startswith("wal/") and verb != "list"]


# -- while the store changes -----------------------------------------------------------------


def test_compaction_between_listing_and_manifest_loses_nothing() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 3)
    reader = Reader(backend)
    reader.snapshot()
    write(backend, "a", 3, 5, slot=1)

    def hook(verb: str, key: str) -> None:
        if (verb, key) == ("list", "manifest/") and not list(backend.list("manifest/")):
            compact(Reader(backend))
            collect(Reader(backend))

    backend.hook = hook
    assert seen(reader.snapshot()) == span("a", 0, 5)


@pytest.mark.parametrize("cached", [False, True])
def test_a_lane_that_retires_between_listing_and_manifest_is_not_read_twice(
    cached: bool, tmp_path: Path
) -> None:
    backend = hooked_log()
    write(backend, "a", 0, 3)
    write(backend, "a", 3, 5, slot=1, final=True)
    reader = Reader(backend, SegmentCache(tmp_path) if cached else None)
    reader.snapshot()
    fired: list[str] = []

    def hook(verb: str, key: str) -> None:
        if (verb, key) == ("list", "manifest/") and not fired:
            fired.append(key)
            retire(backend)
            assert not list(backend.list("wal/"))

    backend.hook = hook
    snapshot = reader.snapshot()
    assert fired
    assert seen(snapshot) == span("a", 0, 5)
    assert snapshot.position.lanes == {}


def test_a_segment_that_is_collected_before_it_is_fetched_is_found_in_the_data_files() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 3)
    write(backend, "a", 3, 5, slot=1)

    def hook(verb: str, key: str) -> None:
        if verb == "get_many":
            backend.hook = None
            compact(Reader(backend))
            collect(Reader(backend))

    backend.hook = hook
    assert seen(Reader(backend).snapshot()) == span("a", 0, 5)


def test_objects_that_are_listed_and_never_there_end_in_damage() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 3)

    def hook(verb: str, key: str) -> None:
        if verb == "get_many":
            raise Missing(key)

    backend.hook = hook
    with pytest.raises(Damage, match="vanish faster"):
        Reader(backend).snapshot()


def test_a_store_that_does_not_answer_is_said_so() -> None:
    backend = hooked_log()

    def hook(verb: str, key: str) -> None:
        raise Unavailable("no answer")

    reader = Reader(backend)
    reader.snapshot()
    backend.hook = hook
    with pytest.raises(Unavailable):
        reader.snapshot()
    backend.hook = None
    assert seen(reader.snapshot()) == []


def test_a_zombies_put_below_the_watermark_is_not_read() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 3)
    write(backend, "a", 3, 5, slot=1)
    raw = backend.get(segment_key("a", 1))
    compact(Reader(backend))
    collect(Reader(backend))
    backend.put_new(segment_key("a", 1), raw)
    assert seen(Reader(backend).snapshot()) == span("a", 0, 5)


def test_a_late_duplicate_of_a_retired_lane_is_not_read() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 3)
    write(backend, "a", 3, 5, slot=1, final=True)
    raw = backend.get(segment_key("a", 1))
    retire(backend)
    backend.put_new(segment_key("a", 1), raw)
    assert seen(Reader(backend).snapshot()) == span("a", 0, 5)


def test_a_late_seal_of_a_retired_lane_hides_nothing() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 3)
    write(backend, "a", 3, 5, slot=1, final=True)
    retire(backend)
    seal(backend, "a", 0, slot=0)
    begun = Reader(backend).snapshot()
    compact(Reader(backend))
    ended = Reader(backend).snapshot()
    for snapshot in (begun, ended):
        assert seen(snapshot) == span("a", 0, 5)
        assert seen(ended, snapshot.position) == []
        assert seen(ended, None, snapshot.position) == span("a", 0, 5)
