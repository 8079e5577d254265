"""Recovery: what a writer left is shipped once, by whoever finds it, however often it is begun."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from eventlog.errors import ForkedLane, Unavailable
from eventlog.log.create import ensure_log
from eventlog.log.keep import recover
from eventlog.log.read.reader import Reader
from eventlog.log.write.lock import alone, take_lock
from eventlog_backends.memory import MemoryBackend
from tests.log import lanes
from tests.log.spools import (
    WORDS,
    Died,
    Hand,
    as_boot,
    dying_at,
    leave,
    recovered,
    shipper_of,
    steps,
    stored,
)

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.parametrize("shipped", range(4))
def test_the_next_opener_ships_what_is_left(
    tmp_path: Path, store: MemoryBackend, shipped: int
) -> None:
    leave(tmp_path, store, shipped)
    report = recovered(store, tmp_path)
    assert (report.recovered, report.failed) == (["lane"], {})
    assert stored(store, died=True) == [*WORDS, recover.DIED]
    assert list(tmp_path.iterdir()) == []


def test_an_owner_goes_on_in_the_same_lane_and_ends_it(
    tmp_path: Path, store: MemoryBackend
) -> None:
    leave(tmp_path, store)
    recovered(store, tmp_path)
    assert lanes.ended(store) == {"lane": "closed"}


@pytest.mark.parametrize("shipped", range(4))
def test_after_a_reboot_the_rest_goes_into_the_next_lane(
    tmp_path: Path, store: MemoryBackend, shipped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, store, shipped)
    as_boot(monkeypatch, "another boot")
    report = recovered(store, tmp_path)
    assert (report.recovered, report.failed) == (["lane"], {})
    assert stored(store, died=True) == [*WORDS, recover.DIED]
    assert lanes.ended(store) == {"lane": "sealed", "lane~1": "closed"}


def test_the_owner_that_slept_meets_the_seal_of_its_recoverer(
    tmp_path: Path, store: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Hand(tmp_path / "a")
    zombie = shipper_of(hand, store)
    hand.point(1)
    zombie.ship()
    hand.point(2)
    hand.spool.sync()
    shutil.copytree(hand.spool.directory, tmp_path / "b" / "lane")
    as_boot(monkeypatch, "another boot")
    recovered(store, tmp_path / "b")
    monkeypatch.undo()
    with pytest.raises(ForkedLane):  # what it has is there already, under the next name
        zombie.ship()
    assert stored(store) == [1, 2]
    hand.spool.close()


@pytest.mark.parametrize("owner", [True, False])
def test_a_recovery_killed_at_any_step_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: bool
) -> None:
    for number in range(1_000):
        store = MemoryBackend()
        ensure_log(store)
        root = tmp_path / str(number)
        leave(root, store)
        with monkeypatch.context() as patched:
            if not owner:
                as_boot(patched, "another boot")
            steps(patched, dying_at(number))
            try:
                recovered(store, root)
            except Died:
                finished = False
            else:
                finished = True
            steps(patched, lambda name: None)
            recovered(store, root)
            recovered(store, root)
        assert stored(store) == WORDS
        assert stored(store, died=True).count(recover.DIED) == 1
        if finished:
            break
    assert number >= 5


def test_killed_again_and_again_at_each_step_a_recovery_still_ends(
    tmp_path: Path, store: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, store)
    as_boot(monkeypatch, "another boot")
    number = 0
    while list(tmp_path.iterdir()):
        steps(monkeypatch, dying_at(number))
        try:
            recovered(store, tmp_path)
        except Died:
            number += 1
    assert stored(store) == WORDS


class FlakyStore(MemoryBackend):
    """Loses the answer of every put in the log once, and every second request altogether."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()
        ensure_log(self)

    def put_new(self, key: str, data: bytes) -> None:
        if key.startswith("wal/") and key not in self._seen:
            self._seen.add(key)
            super().put_new(key, data)
            raise Unavailable("no answer")
        super().put_new(key, data)


@pytest.mark.parametrize("owner", [True, False])
def test_lost_answers_do_not_double_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: bool
) -> None:
    store = FlakyStore()
    hand = Hand(tmp_path)
    shipper = shipper_of(hand, store)
    for n in range(3):
        hand.point(2 * n, 2 * n + 1)
        hand.fact(f"fact{n}")
        with pytest.raises(Unavailable):
            shipper.ship()
    hand.die()
    if not owner:
        as_boot(monkeypatch, "another boot")
    for _ in range(10):
        recovered(store, tmp_path)
    assert stored(store) == WORDS
    assert list(tmp_path.iterdir()) == []


def test_two_recoverers_at_once_do_it_once(
    tmp_path: Path, store: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second, of another process, comes at every step of the first."""
    for number in range(1_000):
        second = meet_at(tmp_path / str(number), number, monkeypatch)
        if second is None:
            break
        assert (second.recovered, second.failed) == ([], {})
    assert number >= 5


def meet_at(root: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> recover.SyncReport | None:
    """One recovery, at whose ``number``-th step another one comes: what that one did."""
    backend = MemoryBackend()
    ensure_log(backend)
    leave(root, backend)
    count = iter(range(number + 1))
    second: list[recover.SyncReport] = []

    def come(name: str) -> None:
        if next(count, None) == number:
            second.append(recover._look(Reader(backend), root, False, None, None))

    with monkeypatch.context() as patched:
        steps(patched, come)
        first = recovered(backend, root)
    assert first.recovered == ["lane"]
    assert stored(backend) == WORDS
    return second[0] if second else None


def test_threads_wait_for_each_other_s_recovery(
    tmp_path: Path, store: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, store)
    seen: list[list[object]] = []
    threads: list[threading.Thread] = []

    def look() -> None:
        recovered(store, tmp_path)
        seen.append(stored(store))

    def come(name: str) -> None:
        if not threads:
            threads.append(threading.Thread(target=look))
            threads[0].start()

    steps(monkeypatch, come)
    recovered(store, tmp_path)
    threads[0].join()
    assert seen == [WORDS]


def test_a_lock_held_by_a_child_of_the_dead_is_free_for_a_non_owner(
    tmp_path: Path, store: MemoryBackend
) -> None:
    directory = leave(tmp_path, store)
    who = json.loads((directory / "lock").read_bytes())
    (directory / "lock").write_text(json.dumps(who | {"pid": 2**22 - 1, "pid_start": "1"}))
    inherited = os.open(directory / "lock", os.O_RDWR)
    fcntl.flock(inherited, fcntl.LOCK_EX)
    held = take_lock(directory)
    assert held is not None
    assert not held.owner
    os.close(held.fd)
    assert recovered(store, tmp_path).recovered == ["lane"]
    os.close(inherited)
    assert stored(store) == WORDS


def test_a_held_lock_that_cannot_be_read_is_left_alone(
    tmp_path: Path, store: MemoryBackend
) -> None:
    hand = Hand(tmp_path)
    (hand.spool.directory / "lock").write_bytes(b"\xff\x00rubbish")
    assert recovered(store, tmp_path).alive == ["lane"]
    hand.spool.close()


def test_a_live_writer_is_left_alone(tmp_path: Path, store: MemoryBackend) -> None:
    hand = Hand(tmp_path)
    hand.point(1)
    assert recovered(store, tmp_path).alive == ["lane"]
    hand.spool.close()


def test_one_s_own_lane_is_passed_over(tmp_path: Path, store: MemoryBackend) -> None:
    leave(tmp_path, store)
    assert recovered(store, tmp_path, skip="lane") == recover.SyncReport()


def test_being_alone_ends_with_its_block(tmp_path: Path) -> None:
    with alone(tmp_path) as first:
        assert first
        with alone(tmp_path) as second:
            assert not second
    with alone(tmp_path) as again:
        assert again
    with alone(tmp_path / "gone") as nothing:
        assert not nothing


# -- outages -------------------------------------------------------------------------------------


def test_an_outage_leaves_the_spools_as_they_were(
    tmp_path: Path, store: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, store, lane="lane1")
    leave(tmp_path, store, lane="lane2")
    put = store.put_new

    def away(key: str, data: bytes) -> None:
        raise Unavailable("the store is away")

    monkeypatch.setattr(store, "put_new", away)
    report = recovered(store, tmp_path)
    assert list(report.failed) == ["lane1"]
    assert report.recovered == []
    monkeypatch.setattr(store, "put_new", put)
    assert recovered(store, tmp_path).recovered == ["lane1", "lane2"]
    assert sorted(map(str, stored(store))) == sorted(map(str, WORDS * 2))


def test_one_broken_spool_does_not_keep_the_others(tmp_path: Path, store: MemoryBackend) -> None:
    broken = leave(tmp_path, store, lane="a-broken")
    (broken / "points-nonsense").write_bytes(b"x" * 100)
    leave(tmp_path, store, lane="b-sound")
    report = recovered(store, tmp_path)
    assert list(report.failed) == ["a-broken"]
    assert report.recovered == ["b-sound"]
    (broken / "points-nonsense").unlink()
    assert recovered(store, tmp_path).recovered == ["a-broken"]


def test_a_spool_that_cannot_be_opened_is_let_go_of(tmp_path: Path, store: MemoryBackend) -> None:
    broken = leave(tmp_path, store)
    (broken / "facts-nonsense").write_bytes(b"")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        assert list(recovered(store, tmp_path).failed) == ["lane"]
    assert len(os.listdir("/proc/self/fd")) == before
