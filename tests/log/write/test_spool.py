"""Spools: what returned is there, in its order, and safe once it was synced."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from eventlog.errors import LogClosed
from eventlog.log.segment import SpoolMark
from eventlog.log.write import facts as ff
from eventlog.log.write import lock, marks
from eventlog.log.write.lock import take_lock
from eventlog.log.write.names import Names
from eventlog.log.write.spool import Spool
from tests.log.spools import (
    NO_ROWS,
    Died,
    Hand,
    InFlight,
    dying_at,
    reopened,
    steps,
)


def test_a_spool_is_born_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(old: str, new: str) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", killed)
        with pytest.raises(Died):
            Spool.create(tmp_path, "lane", Names(), [NO_ROWS])
    assert [p.name for p in tmp_path.iterdir()] == [".tmp-lane"]


def test_what_died_unborn_is_swept_after_an_hour(tmp_path: Path) -> None:
    young, old = tmp_path / ".tmp-young", tmp_path / ".tmp-old"
    young.mkdir()
    old.mkdir()
    os.utime(old, (0, 0))
    lock.sweep_unborn(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [".tmp-young"]


def test_a_live_spool_cannot_be_taken(hand: Hand) -> None:
    assert take_lock(hand.spool.directory) is None


def test_a_deleted_spool_is_gone(hand: Hand) -> None:
    hand.spool.delete()
    assert not hand.spool.directory.exists()
    assert take_lock(hand.spool.directory) is None


def test_who_closed_its_spool_leaves_it_to_others(hand: Hand) -> None:
    directory = hand.die()
    held = take_lock(directory)
    assert held is not None
    assert held.owner
    os.close(held.fd)


# -- order ---------------------------------------------------------------------------------------


def test_facts_and_points_keep_their_order(hand: Hand) -> None:
    hand.point(1, 2)
    hand.fact("rewound")
    hand.point(3)
    hand.fact("ended")
    hand.fact("really")
    assert hand.words() == [1, 2, "rewound", 3, "ended", "really"]


def test_the_order_holds_over_all_files(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ff, "ROLL_BYTES", 2_000)
    expected: list[object] = []
    for n in range(300):
        hand.point(*range(n * 100, n * 100 + 50))
        hand.fact(f"fact{n}")
        expected += [*range(n * 100, n * 100 + 50), f"fact{n}"]
    assert len(hand.spool.points.files) > 1
    assert len(hand.spool.facts.files) > 1
    assert hand.words() == expected


def test_a_fact_waits_for_the_rows_before_it(hand: Hand) -> None:
    hand.point(1)
    slow = InFlight(hand, 2)
    hand.point(3)
    hand.fact("after")
    first = marks.ready(hand.spool, hand.spool.durable)
    assert hand.words(until=first) == [1]
    slow.land()
    second = marks.ready(hand.spool, first)
    assert hand.words(first, second) == [2, 3, "after"]


def test_facts_before_a_row_in_flight_do_not_wait(hand: Hand) -> None:
    hand.fact("before")
    slow = InFlight(hand, 1)
    hand.fact("after")
    assert hand.words(until=marks.ready(hand.spool, hand.spool.durable)) == ["before"]
    slow.land()


def test_what_comes_while_the_disk_syncs_keeps_its_order(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand.point(1)
    fdatasync = os.fdatasync

    def log_meanwhile(fd: int) -> None:
        monkeypatch.setattr(os, "fdatasync", fdatasync)
        hand.point(2)
        hand.fact("after")
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", log_meanwhile)
    begin = hand.spool.durable
    first = marks.ready(hand.spool, begin)
    second = marks.ready(hand.spool, first)
    assert hand.words(begin, first) + hand.words(first, second) == [1, 2, "after"]


def test_who_reads_its_own_events_sees_all_it_wrote(hand: Hand) -> None:
    slow = InFlight(hand, 1)
    hand.point(2)
    timer = threading.Timer(0.05, slow.land)
    timer.start()
    mark = marks.settled(hand.spool, hand.spool.durable)
    timer.join()
    assert hand.words(until=mark) == [1, 2]


def test_a_thread_that_stands_still_does_not_stop_readers(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "FLIGHT_LIMIT_S", 0.01)
    hand.fact("before")
    slow = InFlight(hand, 1)
    hand.fact("after")
    assert hand.words(until=marks.settled(hand.spool, hand.spool.durable)) == ["before"]
    slow.land()


def test_the_time_of_facts_never_decreases(hand: Hand) -> None:
    hand.fact("first", 1_000)
    hand.fact("an hour back", 400)
    times = [r[1] for _, r, _ in marks.records(hand.spool, *ends(hand)) if r[0] == ff.EVENT]
    assert times == [1_000, 1_000]


def test_points_may_go_back_in_time_and_leave_the_clock_alone(hand: Hand) -> None:
    hand.fact("first", 1_000)
    hand.spool.append(5, "metric.logged", "run:1", "loss", 1, 1.0, None, newest=False)
    hand.spool.append(9_000, "metric.logged", "run:1", "loss", 1, 1.0, None, newest=False)
    hand.fact("second", 1_001)
    times = [r[1] for _, r, _ in marks.records(hand.spool, *ends(hand)) if r[0] == ff.EVENT]
    assert times == [1_000, 5, 9_000, 1_001]


def ends(hand: Hand) -> tuple[SpoolMark, SpoolMark]:
    return SpoolMark(), hand.spool.end()


# -- names ---------------------------------------------------------------------------------------


def test_a_name_is_written_before_its_number_is_known(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        steps(patched, dying_at(0))
        with pytest.raises(Died):
            hand.spool.name(ff.KEY, "new")
    assert hand.spool.names.known(ff.KEY, "new") is None


def test_names_are_repeated_in_each_file(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ff, "ROLL_BYTES", 100)
    for n in range(20):
        hand.fact(f"fact{n}")
    first = hand.spool.facts.files[0].number
    hand.spool.facts.drop_below(hand.spool.facts.last.number)
    hand.point(7)
    assert hand.spool.facts.files[0].number > first
    dead = reopened(hand.die())
    assert dead.names.texts(ff.KEY) == {hand.key: "loss"}
    assert dead.names.texts(ff.STREAM) == {hand.stream: "run:1"}
    dead.close()


def test_a_name_made_by_a_signal_handler_meanwhile_is_another_number(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled: list[int] = []

    def handler(name: str) -> None:
        if not handled:
            handled.append(0)
            handled[0] = hand.spool.name(ff.KEY, "theirs")

    steps(monkeypatch, handler)
    ours = hand.spool.name(ff.KEY, "ours")
    assert handled[0] != ours
    assert hand.spool.names.texts(ff.KEY)[ours] == "ours"
    assert hand.spool.names.texts(ff.KEY)[handled[0]] == "theirs"


def test_one_name_that_two_make_at_once_is_one_name(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled: list[int] = []

    def handler(name: str) -> None:
        if not handled:
            handled.append(0)
            handled[0] = hand.spool.name(ff.KEY, "same")

    steps(monkeypatch, handler)
    assert hand.spool.name(ff.KEY, "same") == handled[0]


# -- signal handlers -----------------------------------------------------------------------------


def test_a_handler_that_logs_in_the_middle_of_a_write_tears_nothing(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def interrupted(fd: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        done = write(fd, data[:4])
        hand.fact("handler")
        hand.spool.sync()
        return done

    monkeypatch.setattr(os, "write", interrupted)
    hand.fact("interrupted")
    hand.fact("after")
    assert sorted(map(str, hand.words())) == ["after", "handler", "interrupted"]


def test_a_handler_that_logs_and_then_raises_loses_only_what_did_not_return(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def interrupted(fd: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        write(fd, data)
        hand.fact("handler")
        raise SystemExit

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(SystemExit):
        hand.fact("interrupted")
    hand.fact("after")
    assert hand.words() == ["handler", "after"]


def test_a_handler_that_flushes_does_not_wait_for_the_row_it_interrupted(hand: Hand) -> None:
    taken = hand.take()
    hand.point(2)
    hand.spool.sync(hand.spool.end())
    hand.fill(taken, 1)
    hand.spool.sync(hand.spool.end())
    assert hand.words() == [1, 2]


def test_a_handler_that_flushes_during_a_flush_does_not_hang(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand.point(1)
    handled: list[str] = []

    def handler(name: str) -> None:
        if name == "spool.sync" and not handled:
            handled.append(name)
            hand.fact("handler")
            hand.spool.sync(hand.spool.end())

    steps(monkeypatch, handler)
    hand.spool.sync(hand.spool.end())
    assert hand.words() == [1, "handler"]


# -- the end -------------------------------------------------------------------------------------


def test_a_finished_spool_takes_nothing_more(hand: Hand) -> None:
    hand.point(1)
    hand.spool.finish()
    with pytest.raises(LogClosed):
        hand.fact("late")
    with pytest.raises(LogClosed):
        hand.point(2)
    assert hand.words() == [1]


def test_a_row_in_flight_at_the_end_still_counts(hand: Hand) -> None:
    slow = InFlight(hand, 1)
    hand.spool.finish()
    slow.land()
    assert hand.words(until=marks.ready(hand.spool, hand.spool.durable)) == [1]
