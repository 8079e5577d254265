"""Damaged objects under a reader: each is named, and the rest can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog.errors import Damage, Missing
from eventlog.log import manifest as mf
from eventlog.log.cache import SegmentCache
from eventlog.log.keep.compact import compact
from eventlog.log.read import reader as module
from eventlog.log.read.reader import Reader, Snapshot
from eventlog.log.segment import segment_key
from tests.log.damage import assert_each_is_named, cuts, flips
from tests.log.hooked import Hooked, hooked_log
from tests.log.lanes import forge, seal, write
from tests.log.read.identities import seen, span


def three_slots() -> Hooked:
    backend = hooked_log()
    for slot in range(3):
        write(backend, "a", 2 * slot, 2 * slot + 2, slot=slot)
    write(backend, "b", 0, 2)
    return backend


def test_every_damaged_segment_is_named_at_the_snapshot() -> None:
    backend = three_slots()
    key = segment_key("a", 1)
    raw = backend.get(key)
    for damaged in [*flips(raw, 97), *cuts(raw, 31)]:
        backend.replace(key, damaged)
        with pytest.raises(Damage) as caught:
            Reader(backend).snapshot()
        assert caught.value.key == key
        skipped = Reader(backend).snapshot(damage="skip")
        assert [damage.key for damage in skipped.damage] == [key]
        assert seen(skipped) == span("a", 0, 2) + span("a", 4, 6) + span("b", 0, 2)


def test_the_position_passes_over_a_damaged_segment() -> None:
    backend = three_slots()
    backend.replace(segment_key("a", 1), b"x")
    snapshot = Reader(backend).snapshot(damage="skip")
    assert snapshot.position.lanes == {"a": 6, "b": 2}
    assert [ref.header.slot for ref in snapshot.segments("a")] == [0, 2]


def test_a_damaged_last_segment_is_waited_for() -> None:
    backend = three_slots()
    backend.replace(segment_key("a", 2), b"x")
    snapshot = Reader(backend).snapshot(damage="skip")
    assert snapshot.lanes["a"][1:3] == (2, 4)
    assert seen(snapshot) == span("a", 0, 4) + span("b", 0, 2)


def test_a_damaged_segment_is_not_fetched_again_until_it_was_restored() -> None:
    backend = three_slots()
    key = segment_key("a", 1)
    raw = backend.get(key)
    backend.replace(key, raw[:-1])
    reader = Reader(backend)
    reader.snapshot(damage="skip")
    backend.asked.clear()
    reader.snapshot(damage="skip")
    assert backend.counts["get_many"] == 0
    backend.replace(key, raw)
    restored = reader.snapshot()
    assert seen(restored) == span("a", 0, 6) + span("b", 0, 2)
    assert not restored.damage


def test_damaged_segments_are_not_cached(tmp_path: Path) -> None:
    backend = three_slots()
    key = segment_key("a", 1)
    raw = backend.get(key)
    backend.replace(key, raw[:-1])
    with pytest.raises(Damage):
        Reader(backend, SegmentCache(tmp_path)).snapshot()
    backend.replace(key, raw)
    Reader(backend, SegmentCache(tmp_path)).snapshot()


@pytest.mark.parametrize("first_seq", [0, 1, 3, 4, 100])
def test_a_segment_that_does_not_continue_its_lane_is_damage(first_seq: int) -> None:
    backend = hooked_log()
    write(backend, "a", 0, 2)
    write(backend, "a", first_seq, first_seq + 2, slot=1)
    with pytest.raises(Damage, match=f"begins at event {first_seq} .* 2 is due") as caught:
        Reader(backend).snapshot()
    assert caught.value.key == segment_key("a", 1)
    assert seen(Reader(backend).snapshot(damage="skip")) == span("a", 0, 2)


def test_a_segment_that_does_not_continue_the_watermark_is_damage() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 2)
    compact(Reader(backend))
    write(backend, "a", 1, 3, slot=1)
    with pytest.raises(Damage, match="2 is due"):
        Reader(backend).snapshot()


def test_a_segment_copied_from_another_lane_is_damage() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 2)
    backend.put_new(segment_key("b", 0), backend.get(segment_key("a", 0)))
    with pytest.raises(Damage, match="lane 'a'") as caught:
        Reader(backend).snapshot()
    assert caught.value.key == segment_key("b", 0)


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("end", ["final", "seal"])
def test_nothing_counts_beyond_the_end_of_a_lane(end: str, compacted: bool) -> None:
    backend = hooked_log()
    write(backend, "a", 0, 2, final=end == "final")
    if end == "seal":
        seal(backend, "a", 2, slot=1)
    if compacted:
        compact(Reader(backend))
    write(backend, "a", 2, 4, slot=2 if end == "seal" else 1)
    snapshot = Reader(backend).snapshot()
    assert seen(snapshot) == span("a", 0, 2)
    assert ["beyond the end" in damage.what for damage in snapshot.damage] == [True]


def test_a_header_whose_rows_are_not_its_own_is_damage_when_it_is_read() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 2)
    write(backend, "b", 0, 2)
    forge(backend, segment_key("a", 0), count=3)
    with pytest.raises(Damage) as caught:
        seen(Reader(backend).snapshot())
    assert caught.value.key == segment_key("a", 0)
    skipped = Reader(backend).snapshot(damage="skip")
    assert seen(skipped) == span("b", 0, 2)
    assert [damage.key for damage in skipped.damage] == [segment_key("a", 0)]


def test_a_damaged_newest_manifest_is_named() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 2)
    compact(Reader(backend))
    key = mf.manifest_key(1)
    raw = backend.get(key)

    def read(damaged: bytes) -> Snapshot:
        backend.replace(key, damaged)
        return Reader(backend).snapshot(damage="skip")

    assert_each_is_named([*flips(raw, 97), *cuts(raw, 31)], key, read)


@pytest.mark.parametrize("part", [".parquet", ".idx"])
def test_a_damaged_data_file_is_named_and_the_rest_can_be_read(part: str) -> None:
    backend = hooked_log()
    write(backend, "a", 0, 2)
    compact(Reader(backend))
    (key,) = [entry.key for entry in backend.list("data/") if entry.key.endswith(part)]
    write(backend, "a", 2, 4, slot=1)
    backend.replace(key, backend.get(key)[:-1])
    with pytest.raises(Damage) as caught:
        seen(Reader(backend).snapshot())
    assert caught.value.key == key
    skipped = Reader(backend).snapshot(damage="skip")
    assert seen(skipped) == span("a", 2, 4)
    assert [damage.key for damage in skipped.damage] == [key]


def test_a_data_file_that_is_gone_for_good_is_damage() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 2)
    compact(Reader(backend))
    (key,) = [entry.key for entry in backend.list("data/") if entry.key.endswith(".parquet")]
    write(backend, "a", 2, 4, slot=1)
    backend.delete([key])
    with pytest.raises(Damage, match="gone") as caught:
        seen(Reader(backend).snapshot())
    assert caught.value.key == key
    skipped = Reader(backend).snapshot(damage="skip")
    assert seen(skipped) == span("a", 2, 4)
    assert [damage.key for damage in skipped.damage] == [key]


def test_segments_that_somebody_deletes_under_a_reader_are_damage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BODIES_BYTES", 0)
    backend = three_slots()
    snapshot = Reader(backend).snapshot()
    backend.delete([segment_key("a", 1)])
    with pytest.raises(Damage, match="segments are gone"):
        seen(snapshot)


def test_segments_that_are_listed_and_cannot_be_fetched_end_a_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BODIES_BYTES", 0)
    backend = three_slots()
    snapshot = Reader(backend).snapshot()

    def hook(verb: str, key: str) -> None:
        if verb == "get_many":
            raise Missing(key)

    backend.hook = hook
    with pytest.raises(Damage, match="it is gone"):
        seen(snapshot)
