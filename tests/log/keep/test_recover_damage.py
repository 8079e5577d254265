"""Damaged spools: never a false event, every loss named, and no other spool the worse for it."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

import pytest

from eventlog.errors import Unavailable
from eventlog.log import segment as sg
from eventlog.log.keep import recover
from eventlog.log.keep.seal import seal
from eventlog.log.read.reader import LaneState
from eventlog.log.write import facts as ff
from eventlog.log.write.lock import sweep_unborn
from eventlog.log.write.points import ROW_BYTES
from eventlog_backends.memory import MemoryBackend
from tests.log import lanes
from tests.log.damage import cuts, flips
from tests.log.spools import WORDS, Hand, as_boot, leave, recovered, stored

pytestmark = pytest.mark.usefixtures("quiet")


class Spoils:
    """A small spool, of which one file is damaged over and over."""

    def __init__(self, tmp_path: Path, shipped: int = 1) -> None:
        self._made = MemoryBackend()
        self.root = tmp_path / "spool"
        leave(tmp_path / "made", self._made, shipped)
        leave(tmp_path / "made", self._made, 0, lane="z-sound")
        self._source = tmp_path / "made"
        self.files = sorted(
            p.relative_to(self._source) for p in (self._source / "lane").rglob("*") if p.is_file()
        )

    def recover(self, file: Path, raw: bytes) -> tuple[recover.SyncReport, list[object]]:
        """What comes of it where the file holds ``raw``."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self._source, self.root)
        (self.root / file).write_bytes(raw)
        store = MemoryBackend()
        for entry in self._made.list():
            store.put_new(entry.key, self._made.get(entry.key))
        report = recovered(store, self.root)
        assert "z-sound" in report.recovered
        sound = [row for row in lanes.contents(store) if row[0] == "z-sound"]
        assert len(sound) == len(WORDS) + 1
        found = [
            row[6] if row[3] == "metric.logged" else row[3]
            for row in lanes.contents(store)
            if str(row[0]).startswith("lane") and row[3] != recover.DIED
        ]
        return report, found

    def raw(self, file: Path) -> bytes:
        return (self._source / file).read_bytes()


def named(report: recover.SyncReport) -> bool:
    lost = report.lost_rows or report.lost_bytes or report.damaged_bytes
    return bool(report.failed or report.foreign or lost)


@pytest.mark.parametrize("shipped", [0, 1])
def test_cut_facts_never_become_others_and_their_loss_is_named(
    tmp_path: Path, shipped: int
) -> None:
    spoils = Spoils(tmp_path, shipped)
    [facts] = [f for f in spoils.files if f.name.startswith("facts")]
    for raw in cuts(spoils.raw(facts), 17):
        report, found = spoils.recover(facts, raw)
        assert set(found) <= set(WORDS)
        assert len(found) == len(set(found))
        whole = ff.parse(raw)[1] == len(raw)
        assert found == WORDS or named(report) or whole


@pytest.mark.parametrize("shipped", [0, 1])
def test_flipped_bits_in_facts_never_become_events_and_are_named(
    tmp_path: Path, shipped: int
) -> None:
    spoils = Spoils(tmp_path, shipped)
    [facts] = [f for f in spoils.files if f.name.startswith("facts")]
    for raw in flips(spoils.raw(facts), 151):
        report, found = spoils.recover(facts, raw)
        assert set(found) <= set(WORDS)
        assert len(found) == len(set(found))
        assert named(report)


@pytest.mark.parametrize("at", [0, 1, 2, 6, 9, 10, -1])
def test_a_damaged_fact_costs_that_fact_alone(tmp_path: Path, at: int) -> None:
    spoils = Spoils(tmp_path, 0)
    [facts] = [f for f in spoils.files if f.name.startswith("facts")]
    raw = bytearray(spoils.raw(facts))
    framed, _ = ff.parse(bytes(raw))
    starts = [0, *(end for _, end in framed)]
    events = [n for n, (record, _) in enumerate(framed) if record[0] == ff.EVENT]
    for n in events:
        damaged = bytearray(raw)
        damaged[range(starts[n], starts[n + 1])[at]] ^= 0x10
        report, found = spoils.recover(facts, bytes(damaged))
        assert found == [word for word in WORDS if word != framed[n].record[2]]
        assert (report.damaged_bytes, report.lost_bytes) == (starts[n + 1] - starts[n], 0)
        [copy] = (spoils.root / ".damaged").iterdir()
        assert copy.name == f"lane-{facts.name}"
        assert copy.read_bytes() == damaged


def test_damage_at_the_very_end_is_no_power_cut_either(tmp_path: Path) -> None:
    spoils = Spoils(tmp_path, 0)
    [facts] = [f for f in spoils.files if f.name.startswith("facts")]
    raw = spoils.raw(facts)[:-1]
    report, _ = spoils.recover(facts, raw)
    assert (report.damaged_bytes > 0, report.lost_bytes) == (True, 0)
    [copy] = (spoils.root / ".damaged").iterdir()
    assert copy.read_bytes() == raw


def test_bytes_that_are_missing_or_too_many_hide_one_frame_at_most(tmp_path: Path) -> None:
    spoils = Spoils(tmp_path, 0)
    [facts] = [f for f in spoils.files if f.name.startswith("facts")]
    raw = spoils.raw(facts)
    framed, _ = ff.parse(raw)
    starts = [0, *(end for _, end in framed)]
    [first, second, _] = [n for n, (r, _) in enumerate(framed) if r[0] == ff.EVENT]
    too_many = raw[: starts[first]] + b"abc" + raw[starts[first] :]
    missing = raw[: starts[first]] + raw[starts[first + 1] - 3 :]
    for damaged, lost in ((too_many, {"fact0"}), (missing, {"fact0", "fact1"})):
        report, found = spoils.recover(facts, damaged)
        assert second == first + 1
        assert found == [word for word in WORDS if word not in lost]
        assert report.damaged_bytes > 0


def test_damage_that_begins_among_what_was_shipped_hides_nothing_behind_it(tmp_path: Path) -> None:
    spoils = Spoils(tmp_path, 2)
    [facts] = [f for f in spoils.files if f.name.startswith("facts")]
    raw = bytearray(spoils.raw(facts))
    framed, _ = ff.parse(bytes(raw))
    ends = [end for _, end in framed]
    facts_at = [n for n, (record, _) in enumerate(framed) if record[0] == ff.EVENT]
    first, last = ends[facts_at[1] - 1], ends[facts_at[2] - 1]
    raw[first:last] = bytes(last - first)  # a block of zeros from the second fact to the third
    report, found = spoils.recover(facts, bytes(raw))
    assert report.failed == {}
    assert found == WORDS
    assert report.damaged_bytes == last - first


def test_damage_is_named_however_often_the_store_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(MemoryBackend):
        away = True

        def put_new(self, key: str, data: bytes) -> None:
            if self.away and key.startswith("wal/"):
                raise Unavailable("the store is away")
            super().put_new(key, data)

    store = lanes.a_log(Away())
    hand = Hand(tmp_path)
    hand.fact("first")
    start = hand.spool.facts.last.size
    hand.fact("second")
    end = hand.spool.facts.last.size
    hand.fact("third")
    path = hand.spool.facts.last.path
    hand.die()
    raw = bytearray(path.read_bytes())
    raw[end - 1] ^= 1
    path.write_bytes(raw)
    copy = tmp_path / ".damaged" / f"lane-{path.name}"
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.ERROR, logger="eventlog"):
            assert "lane" in recovered(store, tmp_path).failed
        [message] = [r.getMessage() for r in caplog.records if str(copy) in r.getMessage()]
        assert f"{path}: bytes {start}-{end - 1} " in message
        assert "Look at the disk" in message
        assert [copy.read_bytes() == raw, len(list(copy.parent.iterdir()))] == [True, 1]
    store.away = False
    report = recovered(store, tmp_path)
    assert (report.recovered, report.damaged_bytes) == (["lane"], end - start)
    assert stored(store) == ["first", "third"]
    died = [json.loads(str(row[8])) for row in lanes.contents(store) if row[3] == recover.DIED]
    assert died[0]["damaged_bytes"] == end - start


def test_after_a_power_cut_nothing_behind_a_bad_frame_counts(
    tmp_path: Path, store: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Hand(tmp_path)
    for n in range(3):
        hand.fact(f"fact{n}")
    path = hand.spool.facts.last.path
    hand.die()
    raw = bytearray(path.read_bytes())
    [_, end, last] = [end for record, end in ff.parse(bytes(raw))[0] if record[0] == ff.EVENT]
    raw[end - 1] ^= 1
    path.write_bytes(raw)
    as_boot(monkeypatch, "another boot")
    report = recovered(store, tmp_path)
    assert stored(store) == ["fact0"]
    assert report.lost_bytes > last - end
    assert report.damaged_bytes == 0
    assert not (tmp_path / ".damaged").exists()


def test_the_room_for_damaged_files_is_no_spool(tmp_path: Path, store: MemoryBackend) -> None:
    room = tmp_path / ".damaged"
    room.mkdir(parents=True)
    (room / "lane-facts-00000000").write_bytes(b"as it was found")
    os.utime(room, (0, 0))
    (room / "lock").write_bytes(b"")
    assert recover.lanes_in(tmp_path) == []
    assert recover.pending_bytes(store, tmp_path) == 0
    sweep_unborn(tmp_path)
    assert recovered(store, tmp_path) == recover.SyncReport()
    assert (room / "lane-facts-00000000").exists()


def test_what_a_recovery_mended_stays_mended(tmp_path: Path) -> None:
    frames = [
        ff.frame([ff.EVENT, n, "noted", "run:1", None, None, None, None, 0]) for n in range(5)
    ]
    raw = bytearray(b"".join(frames))
    raw[len(frames[0]) + 12] ^= 1
    raw[-3] ^= 1  # a torn end is none of it
    [(start, end)] = ff.damaged_ranges(bytes(raw))
    assert (start, end) == (len(frames[0]), len(frames[0]) + len(frames[1]))
    head = ff.void_header(bytes(raw), start, end)
    raw[start : start + len(head)] = head
    assert ff.damaged_ranges(bytes(raw)) == []
    records, stop = ff.parse(bytes(raw))
    assert [record[1] for record, _ in records] == [0, 2, 3]
    assert stop == len(raw) - len(frames[4])


@pytest.mark.parametrize("shipped", [0, 1])
def test_cut_points_are_counted(tmp_path: Path, shipped: int) -> None:
    spoils = Spoils(tmp_path, shipped)
    [points] = [f for f in spoils.files if f.name.startswith("points")]
    raw = spoils.raw(points)
    for size in range(0, 7 * ROW_BYTES, 13):
        report, found = spoils.recover(points, raw[:size])
        whole_rows = max(min(size // ROW_BYTES, 6), 2 * shipped)
        assert [w for w in found if isinstance(w, int)] == list(range(whole_rows))
        assert [w for w in found if isinstance(w, str)] == ["fact0", "fact1", "fact2"]
        assert named(report) == (size // ROW_BYTES < 6)


def test_a_row_whose_names_are_lost_is_counted(tmp_path: Path) -> None:
    spoils = Spoils(tmp_path, 0)
    [points] = [f for f in spoils.files if f.name.startswith("points")]
    raw = bytearray(spoils.raw(points))
    raw[2 * ROW_BYTES + 28] ^= 0x40
    report, found = spoils.recover(points, bytes(raw))
    assert found == [w for w in WORDS if w != 2]
    assert report.lost_rows == 1


@pytest.mark.parametrize("shipped", [1, 2, 3])
@pytest.mark.parametrize("how", [cuts, flips])
def test_a_damaged_outbox_loses_and_doubles_nothing(
    tmp_path: Path, shipped: int, how: type
) -> None:
    spoils = Spoils(tmp_path, shipped)
    posted = [f for f in spoils.files if f.parent.name == "out"][-1]
    for raw in how(spoils.raw(posted), 1_997):
        report, found = spoils.recover(posted, raw)
        assert report.failed == {}
        assert found == WORDS


@pytest.mark.parametrize("how", [cuts, flips])
def test_a_damaged_lock_loses_and_doubles_nothing(tmp_path: Path, how: type) -> None:
    spoils = Spoils(tmp_path)
    file = Path("lane/lock")
    for raw in how(spoils.raw(file), 31):
        report, found = spoils.recover(file, raw)
        assert found == WORDS or (named(report) and set(found) <= set(WORDS))
        assert len(found) == len(set(found))


def test_a_damaged_outbox_whose_lane_was_compacted_is_named(
    tmp_path: Path, store: MemoryBackend
) -> None:
    directory = leave(tmp_path, store, 2)
    lanes.retire(store)
    [posted] = (directory / "out").iterdir()
    posted.write_bytes(b"rubbish")
    report = recovered(store, tmp_path)
    assert "compaction has taken" in report.failed["lane"]
    assert stored(store) == WORDS[:6]


def test_the_store_s_own_loss_is_a_fork_and_named(tmp_path: Path, store: MemoryBackend) -> None:
    leave(tmp_path, store, 3)
    key = sg.segment_key("lane", 1)
    store.delete([key])
    seal(store, "lane", LaneState(None, 1, 3, 0, ""), writer="somebody")
    report = recovered(store, tmp_path)
    assert list(report.recovered) + list(report.failed) == ["lane"]
    assert len(stored(store)) == len(set(stored(store)))
