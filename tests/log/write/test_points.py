"""Rows of points: taken in one step, filled in another, and whatever comes in between."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from pathlib import Path

import pytest

from eventlog.log.write import points as pt
from eventlog.log.write.inside import writing
from eventlog.log.write.points import ROW, ROW_BYTES, PointFile, Points
from tests.log.spools import Hand, InFlight


def a_file(directory: Path, *, locked: bool = False) -> PointFile:
    return PointFile(directory / "points-000000000000000", 4_096, locked=locked)


def test_a_row_never_crosses_a_page() -> None:
    assert ROW_BYTES == 32
    assert os.sysconf("SC_PAGE_SIZE") % ROW_BYTES == 0


def test_the_key_is_the_last_field_of_a_row() -> None:
    assert ROW.pack(1, 2, 3.0, 4, 5)[-4:] == (5).to_bytes(4, "little")


@pytest.mark.parametrize("locked", [False, True])
def test_rows_are_taken_one_after_the_other(tmp_path: Path, locked: bool) -> None:
    rows = a_file(tmp_path, locked=locked).rows
    assert [rows.take(), rows.take_many(5), rows.take(), rows.take_many(1)] == [0, 1, 6, 7]


def test_what_is_taken_beyond_the_end_does_not_count(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    file.rows.take_many(5_000)
    assert file.taken() == file.capacity == 4_096


def test_an_exhausted_file_gives_no_more_rows(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    file.rows.take_many(10)
    assert file.exhaust() == 10
    assert file.rows.take() >= file.capacity


def test_disk_space_is_reserved_at_birth(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    assert os.fstat(file.fd).st_size == 4_096 * ROW_BYTES
    assert os.fstat(file.fd).st_blocks * 512 >= 4_096 * ROW_BYTES


def test_a_birth_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, size_bytes: int) -> None:
        raise OSError(28, "No space left on device")

    points = Points(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(pt, "allocate", full)
        with pytest.raises(OSError, match="No space"):
            points.grow()
    assert list(tmp_path.iterdir()) == []
    assert points.grow().first_row == 0


def test_what_an_interrupted_birth_left_is_in_nobody_s_way(tmp_path: Path) -> None:
    (tmp_path / "points-000000000000000").write_bytes(b"left over")
    assert Points(tmp_path).grow().capacity == 4_096


def test_files_grow_and_number_their_rows_on(tmp_path: Path) -> None:
    points = Points(tmp_path)
    sizes = [points.grow().capacity for _ in range(5)]
    assert sizes == [4_096, 16_384, 65_536, 262_144, 262_144]
    assert [f.first_row for f in points.files] == [0, 4_096, 20_480, 86_016, 348_160]


def test_written_rows_are_settled(hand: Hand) -> None:
    hand.point(*range(10))
    assert hand.spool.points.advance() == 10
    assert hand.spool.points.holes == []


def test_a_burnt_row_is_void_at_once_when_nobody_is_inside(hand: Hand) -> None:
    hand.point(0)
    hand.take()
    hand.point(1)
    assert hand.spool.points.advance() == 3
    assert hand.spool.points.holes == [1]


def test_a_row_in_flight_is_never_void(hand: Hand) -> None:
    hand.point(0)
    slow = InFlight(hand, 1)
    hand.point(2)
    assert [hand.spool.points.advance() for _ in range(5)] == [1] * 5
    slow.land()
    assert hand.spool.points.advance() == 3
    assert hand.spool.points.holes == []


def test_a_row_that_its_thread_gave_up_is_void_afterwards(hand: Hand) -> None:
    slow = InFlight(hand, -1)
    hand.point(1)
    assert hand.spool.points.advance() == 0
    slow.land()
    assert hand.spool.points.advance() == 2
    assert hand.spool.points.holes == [0]


def test_threads_that_come_later_do_not_keep_a_burnt_row_alive(hand: Hand) -> None:
    hand.take()
    first = InFlight(hand, 1)
    assert hand.spool.points.advance() == 0
    later = InFlight(hand, 2)
    first.land()
    assert hand.spool.points.advance() == 2
    later.land()
    assert hand.spool.points.advance() == 3


def test_many_burnt_rows_are_settled_together(hand: Hand) -> None:
    for _ in range(5_000):
        hand.take()
    hand.point(1)
    assert hand.spool.points.advance() == 5_001
    assert hand.spool.points.holes == list(range(5_000))


def test_settled_rows_keep_nobody_s_variables_alive(hand: Hand) -> None:
    class Tensor:
        pass

    seen: list[weakref.ref[Tensor]] = []
    took, go = threading.Event(), threading.Event()

    def log_slowly() -> None:
        taken = hand.take()
        took.set()
        assert go.wait(30)
        hand.fill(taken, 1)

    def train() -> None:
        batch = Tensor()
        seen.append(weakref.ref(batch))
        log_slowly()

    writing(log_slowly)
    thread = threading.Thread(target=train)
    thread.start()
    assert took.wait(30)
    hand.spool.points.advance()
    go.set()
    thread.join()
    assert hand.spool.points.advance() == 1
    gc.collect()
    assert seen[0]() is None


def test_rows_of_all_files_are_read_in_order(hand: Hand) -> None:
    hand.point(*range(30_000))
    spans = list(hand.spool.points.spans(4_000, 21_000))
    assert [(first, len(raw) // ROW_BYTES) for first, raw in spans] == [
        (4_000, 96),
        (4_096, 16_384),
        (20_480, 520),
    ]


def test_files_that_are_shipped_are_deleted_but_for_the_last(hand: Hand) -> None:
    hand.point(*range(21_000))
    hand.spool.points.drop_below(20_480)
    left = sorted(p.name for p in hand.spool.directory.glob("points-*"))
    assert left == ["points-000000000020480"]
    hand.spool.points.drop_below(10**9)
    assert len(hand.spool.points.files) == 1


def test_a_handler_s_file_comes_after_the_one_it_interrupted(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal comes while a file is being made, and its handler logs points of its own."""
    handled: list[int] = []
    make = PointFile.__init__

    def interrupted(self: PointFile, *args: object, **options: object) -> None:
        make(self, *args, **options)  # type: ignore[arg-type]
        if not handled:
            handled.append(1)
            hand.point(100, 101)

    monkeypatch.setattr(PointFile, "__init__", interrupted)
    hand.point(1)
    hand.fact("end")
    assert hand.spool.points.advance() == hand.spool.points.taken()
    assert hand.words() == [100, 101, 1, "end"]
    assert len(list(hand.spool.directory.glob("points-*"))) == 1


def test_a_moved_file_keeps_what_is_written_meanwhile(hand: Hand) -> None:
    hand.point(*range(10))
    slow = InFlight(hand, 10)
    file = hand.spool.points.files[0]
    moved: list[PointFile] = []

    def swap(old: pt.Rows, new: pt.Rows) -> None:
        hand.cell[0] = new
        hand.point(11)
        slow.land()

    moved.append(file.moved(swap))
    hand.spool.points.files[0] = moved[0]
    assert hand.spool.points.advance() == 12
    assert hand.words() == list(range(12))


@pytest.mark.parametrize("locked", [False, True])
def test_threads_take_each_row_once(tmp_path: Path, locked: bool) -> None:
    hand = Hand(tmp_path / "spool", locked=locked)

    def work(thread: int) -> None:
        for n in range(5_000):
            hand.point(thread * 100_000 + n)

    writing(Hand.point)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    settled = 0
    while any(t.is_alive() for t in threads):
        threads[0].join(0.005)
        settled = max(settled, hand.spool.points.advance())
    assert hand.spool.points.advance() == hand.spool.points.taken() >= settled
    steps = [step for step in hand.words() if isinstance(step, int)]
    assert sorted(steps) == [t * 100_000 + n for t in range(8) for n in range(5_000)]
    for n in range(8):
        own = [s for s in steps if s // 100_000 == n]
        assert own == sorted(own)
    hand.spool.close()
