"""Copying: any log into any other, once, and every disagreement named."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.backend import Backend
from eventlog.errors import BackendError, Damage, NotALog, UsageError
from eventlog.event import Event
from eventlog.log import blob
from eventlog.log import claim as cl
from eventlog.log.keep import copy_lanes
from eventlog.log.keep.compact import compact
from eventlog.log.keep.copy import Report, copy
from eventlog.log.keep.verify import verify
from eventlog.log.read import merge
from eventlog.log.read.reader import Reader
from eventlog_backends.local import LocalBackend
from tests.log.claim_stores import BIG, LossyBackend, an_event
from tests.log.lanes import a_log, contents, ended, retire, seal, write


def bring(source: Backend, destination: Backend) -> Report:
    return copy(Reader(source), destination)


def a_source() -> LossyBackend:
    """Two lanes, one closed and one that goes on, a claim and a blob."""
    source = a_log()
    write(source, "lane-a", 0, 5)
    write(source, "lane-a", 5, 9, slot=1, final=True)
    write(source, "lane-b", 0, 7)
    cl.claim(source, "model", "resnet", an_event(data=blob.put_payload(source, BIG)))
    return source


def test_a_copy_holds_what_its_source_holds() -> None:
    source, copied = a_source(), LossyBackend()
    report = bring(source, copied)
    assert (report.events, report.claims, report.blobs, report.complete) == (16, 1, 1, True)
    assert contents(copied) == contents(source)
    assert verify(Reader(copied)).sound


def test_a_copy_is_a_log_of_its_own() -> None:
    source, copied = a_source(), LossyBackend()
    bring(source, copied)
    assert Reader(copied).format.log_id != Reader(source).format.log_id


def test_copying_again_brings_nothing() -> None:
    source, copied = a_source(), LossyBackend()
    bring(source, copied)
    keys = [e.key for e in copied.list()]
    report = bring(source, copied)
    assert (report.events, report.lanes, report.claims, report.blobs) == (0, 0, 0, 0)
    assert [e.key for e in copied.list()] == keys


def test_copying_again_brings_only_what_is_new() -> None:
    source, copied = a_source(), LossyBackend()
    bring(source, copied)
    write(source, "lane-b", 7, 9, slot=1)
    cl.claim(source, "model", "resnet", an_event())
    report = bring(source, copied)
    assert (report.events, report.lanes, report.claims) == (2, 1, 1)
    assert contents(copied) == contents(source)


@pytest.mark.parametrize("compacted", ["source", "copied", "both"])
def test_lanes_that_retired_are_copied_once(compacted: str) -> None:
    source, copied = a_source(), LossyBackend()
    bring(source, copied)
    write(source, "lane-b", 7, 8, slot=1, final=True)
    write(source, "lane-c", 0, 4, final=True)
    for name, backend in (("source", source), ("copied", copied)):
        if compacted in (name, "both"):
            retire(backend)
    assert bring(source, copied).events == 5
    assert bring(source, copied).events == 0
    assert contents(copied) == contents(source)


def test_a_retired_lane_retires_in_the_copy_too() -> None:
    source, copied = a_log(), LossyBackend()
    write(source, "lane-a", 0, 4, final=True)
    retire(source)
    bring(source, copied)
    retire(copied)
    assert Reader(copied).snapshot().lanes == {}
    assert list(copied.list("wal/")) == []


@pytest.mark.parametrize("kind", ["closed", "sealed"])
def test_a_lane_that_ended_after_the_first_copy_ends_in_the_copy(kind: str) -> None:
    source, copied = a_log(), LossyBackend()
    write(source, "lane-a", 0, 4)
    bring(source, copied)
    if kind == "sealed":
        seal(source, "lane-a", 4, slot=1)
    else:
        write(source, "lane-a", 4, 4, slot=1, final=True)
    bring(source, copied)
    assert ended(copied) == {"lane-a": kind}
    assert contents(copied) == contents(source)


def test_two_logs_become_one() -> None:
    source, other = a_source(), a_log()
    write(other, "lane-c", 0, 3)
    cl.claim(other, "model", "other", an_event(stream="model:other"))
    before = contents(other)
    assert bring(source, other).complete
    assert contents(other) == sorted(contents(source) + before)
    assert cl.length(other, cl.Chain("model", "resnet")) == 1


def test_a_log_that_copied_ours_and_went_on_comes_back() -> None:
    ours, theirs = a_source(), LossyBackend()
    bring(ours, theirs)
    write(theirs, "lane-t", 0, 3, final=True)
    write(ours, "lane-b", 7, 8, slot=1)
    assert bring(theirs, ours).events == 3
    assert bring(ours, theirs).events == 1
    assert contents(ours) == contents(theirs)


def test_a_forked_lane_is_named_and_the_others_are_copied() -> None:
    source, copied = a_log(), a_log()
    write(source, "lane-a", 0, 6, word="here")
    write(copied, "lane-a", 0, 5, word="there")
    write(source, "lane-b", 0, 4)
    report = bring(source, copied)
    assert [fork.key for fork in report.forks] == ["lane lane-a"]
    assert "event 0" in report.forks[0].what
    assert report.events == 4
    assert [row for row in contents(copied) if row[0] == "lane-a"] == contents_of("lane-a", 5)


def contents_of(lane: str, end: int) -> list[tuple[object, ...]]:
    backend = a_log()
    write(backend, lane, 0, end, word="there")
    return contents(backend)


def test_a_fork_in_a_compacted_lane_is_named() -> None:
    source, copied = a_log(), a_log()
    write(source, "lane-a", 0, 6, word="here", final=True)
    write(copied, "lane-a", 0, 6, word="there", final=True)
    retire(source)
    retire(copied)
    assert [fork.key for fork in bring(source, copied).forks] == ["lane lane-a"]


@pytest.mark.parametrize("adopted_at_source", [True, False])
def test_a_lane_that_was_adopted_elsewhere_is_a_fork_and_never_doubled(
    adopted_at_source: bool,
) -> None:
    adopted, original = a_log(), a_log()
    write(adopted, "lane-a", 0, 6)
    seal(adopted, "lane-a", 6, slot=1)
    write(adopted, "lane-a~1", 0, 3, final=True)
    write(original, "lane-a", 0, 6)
    write(original, "lane-a", 6, 9, slot=1)
    pair = (adopted, original) if adopted_at_source else (original, adopted)
    before = contents(pair[1])
    report = bring(*pair)
    assert [fork.key for fork in report.forks] == ["lane lane-a"]
    assert contents(pair[1]) == before


def test_a_lane_whose_writer_is_at_home_in_the_destination_is_left_to_it(tmp_path: Path) -> None:
    source, home = a_log(), LocalBackend(str(tmp_path / "log"))
    a_log(home)
    write(source, "lane-a", 0, 4)
    os.makedirs(tmp_path / "log" / "spool" / "lane-a")
    report = bring(source, home)
    assert "at home" in report.forks[0].what
    assert contents(home) == []


def test_claims_made_apart_are_named_and_the_other_chains_copied() -> None:
    source, copied = a_log(), a_log()
    for backend in (source, copied):
        cl.claim(backend, "model", "resnet", an_event())
    cl.claim(source, "model", "other", an_event(stream="model:other"))
    report = bring(source, copied)
    assert len(report.forks) == 1
    assert "'resnet'" in report.forks[0].what
    assert report.claims == 1


def test_a_damaged_blob_is_named_and_not_copied() -> None:
    source, copied = a_source(), LossyBackend()
    [entry] = source.list("blobs/")
    source.corrupt(entry.key, lambda raw: raw[:-1] + b"?")
    report = bring(source, copied)
    assert [damage.key for damage in report.damage] == [entry.key]
    assert report.events == 16
    assert list(copied.list("blobs/")) == []


def test_a_damaged_claim_is_named_and_not_copied() -> None:
    source, copied = a_source(), LossyBackend()
    [entry] = source.list("claims/")
    source.corrupt(entry.key, lambda raw: raw[:-9] + b"?" + raw[-8:])
    report = bring(source, copied)
    assert [damage.key for damage in report.damage] == [entry.key]
    assert list(copied.list("claims/")) == []


def test_of_a_damaged_lane_the_events_before_the_damage_are_copied() -> None:
    source, copied = a_source(), LossyBackend()
    source.corrupt("wal/lane-a/000000000001.arrow", lambda raw: raw[:-1])
    report = bring(source, copied)
    assert [damage.key for damage in report.damage] == ["wal/lane-a/000000000001.arrow"]
    assert not report.complete
    lost = [("lane-a", seq) for seq in range(5, 9)]
    assert contents(copied) == [row for row in contents(a_source()) if row[:2] not in lost]
    assert verify(Reader(copied)).sound


def test_a_restored_source_is_copied_to_its_end() -> None:
    source, copied = a_source(), LossyBackend()
    key = "wal/lane-b/000000000000.arrow"
    sound = source.get(key)
    source.corrupt(key, lambda raw: raw[:-1])
    assert bring(source, copied).events == 9
    source.corrupt(key, lambda _: sound)
    assert bring(source, copied).complete
    assert contents(copied) == contents(source)


def test_of_a_damaged_data_file_what_is_intact_is_copied() -> None:
    source, copied = a_source(), LossyBackend()
    compact(Reader(source))
    facts = next(e.key for e in source.list("data/") if e.key.endswith(".parquet"))
    source.corrupt(facts, lambda raw: bytes(len(raw)))
    report = bring(source, copied)
    assert {damage.key for damage in report.damage} == {facts}
    assert not report.complete
    assert {row[0] for row in contents(copied)} <= {"lane-a", "lane-b"}
    for lane in ("lane-a", "lane-b"):
        seqs = [row[1] for row in contents(copied) if row[0] == lane]
        assert seqs == list(range(len(seqs)))


def test_a_segment_that_is_gone_is_named_and_its_lane_copied_up_to_it() -> None:
    source, copied = a_source(), LossyBackend()
    write(source, "lane-b", 7, 9, slot=1)
    write(source, "lane-b", 9, 12, slot=2)
    source.delete(["wal/lane-b/000000000001.arrow"])
    report = bring(source, copied)
    assert [damage.key for damage in report.damage] == ["wal/lane-b/000000000001.arrow"]
    assert [row[1] for row in contents(copied) if row[0] == "lane-b"] == list(range(7))


def test_damage_in_the_destination_is_an_error() -> None:
    source, copied = a_source(), LossyBackend()
    bring(source, copied)
    write(source, "lane-b", 7, 9, slot=1)
    copied.corrupt("wal/lane-b/000000000000.arrow", lambda raw: raw[:-1])
    with pytest.raises(Damage, match="lane-b"):
        bring(source, copied)


def test_a_copy_of_nothing_is_an_error_and_makes_no_log() -> None:
    copied = LossyBackend()
    with pytest.raises(NotALog):
        bring(LossyBackend(), copied)
    assert list(copied.list()) == []


def test_a_log_is_not_copied_into_itself() -> None:
    source = a_source()
    with pytest.raises(UsageError, match="both source and destination"):
        bring(source, source)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_copy_that_dies_at_any_put_is_finished_by_the_next(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_lanes, "SEGMENT_ROWS", 3)
    source = a_source()
    write(source, "lane-c", 0, 3)
    seal(source, "lane-c", 3, slot=1)
    for alive in range(100):
        copied = LossyBackend()
        left = [alive]

        def fails(_verb: str, _key: str, left: list[int] = left) -> str | None:
            left[0] -= 1
            return when if left[0] < 0 else None

        copied.fails, copied.error = fails, BackendError
        try:
            bring(source, copied)
            break
        except BackendError:
            copied.fails = lambda _verb, _key: None
        assert bring(source, copied).complete
        assert contents(copied) == contents(source)
        assert ended(copied) == ended(source)
    assert alive > 10


def test_a_lane_that_another_copy_writes_meanwhile_is_looked_at_again() -> None:
    source = a_source()

    class Raced(LossyBackend):
        raced = False

        def put_new(self, key: str, data: bytes) -> None:
            if key.startswith("wal/lane-b/") and not self.raced:
                self.raced = True
                write(self, "lane-b", 0, 3)  # of the same events, cut elsewhere
            super().put_new(key, data)

    copied = Raced()
    assert bring(source, copied).complete
    assert contents(copied) == contents(source)


def test_logs_larger_than_a_bucket_are_copied_through_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(merge, "BUCKET_ROWS", 4)
    monkeypatch.setattr(copy_lanes, "BUCKET_ROWS", 4)
    source, copied = a_source(), LossyBackend()
    retire(source)
    bring(source, copied)
    assert contents(copied) == contents(source)
    write(source, "lane-b", 7, 20, slot=1)
    assert bring(source, copied).events == 13
    assert contents(copied) == contents(source)


def test_a_segment_names_only_the_words_in_it() -> None:
    source, copied = a_log(), LossyBackend()
    for n in range(50):
        write(source, f"lane-{n:02}", 0, 2)
    bring(source, copied)
    raw = copied.get("wal/lane-07/000000000000.arrow")
    assert b"lane-08" not in raw


def test_values_are_compared_by_their_bits() -> None:
    nan = float("nan")
    same = table([Event("a", 0, 1, "t", "s", "k", 1, nan, None)])
    assert list(merge.differing(same, same)) == []
    zero = table([Event("a", 0, 1, "t", "s", "k", 1, 0.0, None)])
    minus = table([Event("a", 0, 1, "t", "s", "k", 1, -0.0, None)])
    nothing = table([Event("a", 0, 1, "t", "s", None, 1, None, None)])
    assert list(merge.differing(zero, minus)) == [("a", 0)]
    assert list(merge.differing(zero, nothing)) == [("a", 0)]


def table(events: list[Event]) -> pa.Table:
    from tests.log.lanes import table_of

    return table_of(events)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["lane-a", "lane-b", "lane-c", "lane-c~1"]),
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()),
    ),
    st.booleans(),
    st.booleans(),
)
def test_logs_that_share_their_past_become_equal_by_copying_both_ways(
    lanes: dict[str, tuple[int, int, bool]], retire_one: bool, retire_other: bool
) -> None:
    one, other = a_log(), a_log()
    for lane, (in_one, in_other, closed) in lanes.items():
        for backend, end in ((one, in_one), (other, in_other)):
            if end:  # only the log that holds the most knows that the lane is closed
                write(backend, lane, 0, end, final=closed and end == max(in_one, in_other))
    for backend, wanted in ((one, retire_one), (other, retire_other)):
        if wanted:
            retire(backend)
    whole = sorted({*contents(one), *contents(other)}, key=lambda row: (str(row[0]), row[1]))
    assert bring(one, other).complete
    assert bring(other, one).complete
    assert contents(one) == contents(other) == whole
    assert (bring(one, other).lanes, bring(other, one).lanes) == (0, 0)
