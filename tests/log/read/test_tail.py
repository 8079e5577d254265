from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from eventlog.errors import Damage, NotALog, Unavailable
from eventlog.log.keep.compact import compact
from eventlog.log.manifest import Position
from eventlog.log.read import merge
from eventlog.log.read import tail as module
from eventlog.log.read.reader import Reader
from eventlog.log.read.tail import tail
from eventlog.log.segment import segment_key
from tests.log.hooked import Hooked, hooked_log
from tests.log.lanes import retire, write

Batch = tuple[pa.Table, Position]


class Watch(threading.Event):
    """A stop that never waits: it notes how long it was asked to, and acts instead."""

    def __init__(self, *actions: Any) -> None:
        super().__init__()
        self.waits_s: list[float] = []
        self._actions = list(actions)

    def wait(self, timeout: float | None = None) -> bool:
        self.waits_s.append(timeout or 0.0)
        if self._actions:
            self._actions.pop(0)()
        else:
            self.set()
        return self.is_set()


def follow(backend: Hooked, stop: Watch, after: Position | None = None, **more: Any) -> list[Batch]:
    return list(tail(Reader(backend), after, stop=stop, **more))


def rows(batches: list[Batch]) -> list[tuple[str, int]]:
    return [(row["lane"], row["seq"]) for table, _ in batches for row in table.to_pylist()]


def test_events_come_once_and_in_the_order_of_their_lane() -> None:
    backend = hooked_log()
    write(backend, "b", 0, 3)
    write(backend, "a", 0, 2)
    stop = Watch(
        lambda: write(backend, "a", 2, 4, slot=1),
        lambda: compact(Reader(backend)),
        lambda: write(backend, "a", 4, 6, slot=2),
        lambda: write(backend, "b", 3, 5, slot=1),
        lambda: compact(Reader(backend)),
    )
    found = rows(follow(backend, stop))
    assert [seq for lane, seq in found if lane == "a"] == list(range(6))
    assert [seq for lane, seq in found if lane == "b"] == list(range(5))


def test_nothing_that_is_below_the_position_comes() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 3)
    position = Reader(backend).snapshot().position
    write(backend, "a", 3, 5, slot=1)
    assert rows(follow(backend, Watch(), position)) == [("a", 3), ("a", 4)]


def test_each_batch_comes_with_the_position_behind_it() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 3)
    stop = Watch(lambda: write(backend, "a", 3, 5, slot=1))
    for n, (_, position) in enumerate(batches := follow(backend, stop)):
        rest = Reader(backend).snapshot().tables(position)
        assert sum(map(len, rest)) == sum(len(table) for table, _ in batches[n + 1 :])


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY_ROWS", 10)
    monkeypatch.setattr(merge, "BUCKET_ROWS", 7)


def long_log() -> Hooked:
    """Lanes that retired, one that is compacted in part, one that is not."""
    backend = hooked_log()
    for lane in ("old-1", "old-2"):
        write(backend, lane, 0, 8)
        write(backend, lane, 8, 9, slot=1, final=True)
    write(backend, "a", 0, 12)
    retire(backend)
    write(backend, "a", 12, 15, slot=1)
    write(backend, "b", 0, 10)
    return backend


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("after", [None, Position(1, {"a": 5}, 0)])
def test_a_long_log_comes_in_pieces_each_with_its_exact_position(after: Position | None) -> None:
    backend = long_log()
    expected = {
        (row["lane"], row["seq"])
        for table in Reader(backend).snapshot().tables(after)
        for row in table.to_pylist()
    }
    batches = follow(backend, Watch(), after)
    assert len(batches) > 3
    assert sorted(rows(batches)) == sorted(expected)
    for n, (_, position) in enumerate(batches):
        rest = sorted(rows(batches[n + 1 :]))
        again = rows(follow(backend, Watch(), position))
        assert sorted(again) == rest
        later = Reader(backend).snapshot().tables(position)
        found = [(r["lane"], r["seq"]) for table in later for r in table.to_pylist()]
        assert sorted(found) == rest


@pytest.mark.usefixtures("tiny")
def test_a_lane_keeps_its_order_over_many_pieces() -> None:
    found = rows(follow(long_log(), Watch()))
    assert [seq for lane, seq in found if lane == "a"] == list(range(15))


def test_waits_grow_while_nothing_comes_and_shrink_when_something_does() -> None:
    backend = hooked_log()
    nothing = [lambda: None] * 12
    stop = Watch(*nothing, lambda: write(backend, "a", 0, 1), lambda: None)
    follow(backend, stop, poll_s=2.0, idle_s=30.0)
    assert stop.waits_s[0] == 3.0
    assert stop.waits_s[:12] == sorted(stop.waits_s[:12])
    assert stop.waits_s[11] == 30.0
    assert stop.waits_s[13] == 2.0


def test_the_backend_says_how_often_to_look() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 1)
    stop = Watch()
    follow(backend, stop)
    assert stop.waits_s == [backend.poll_s]


def test_a_look_costs_two_listings() -> None:
    backend = hooked_log()
    write(backend, "a", 0, 1)
    stop = Watch(backend.asked.clear, lambda: None)
    follow(backend, stop)
    assert backend.asked == [("list", "wal/"), ("list", "manifest/")] * 2


def test_an_hour_of_silence_costs_at_most_400_requests() -> None:
    backend = hooked_log()
    stop = Watch(*[lambda: None] * 1000)
    requests: list[int] = []
    for _ in _hour(backend, stop, poll_s=3.0, requests=requests):
        pass
    assert requests[0] <= 400


def test_an_hour_with_an_active_writer_costs_at_most_3000_requests() -> None:
    """A writer that ships every 15 s, one put each."""
    backend = hooked_log()
    slots = iter(range(10_000))
    elapsed_s = 0.0
    shipped_s = 0.0
    puts = 0

    class Busy(Watch):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal elapsed_s, shipped_s, puts
            elapsed_s += timeout or 0.0
            while shipped_s + 15.0 <= elapsed_s:
                shipped_s += 15.0
                slot = next(slots)
                write(backend, "a", slot, slot + 1, slot=slot)
                puts += 1
            if elapsed_s >= 3600:
                self.set()
            return self.is_set()

    stop = Busy()
    found = follow(backend, stop, poll_s=3.0)
    assert len(rows(found)) > 200
    assert len(backend.asked) <= 3000
    assert puts >= 239


def _hour(backend: Hooked, stop: Watch, poll_s: float, requests: list[int]) -> Iterator[Batch]:
    backend.asked.clear()
    batches = tail(Reader(backend), None, poll_s=poll_s, stop=stop)
    yield from batches
    looks = next(n for n, _ in enumerate(stop.waits_s) if sum(stop.waits_s[: n + 1]) >= 3600)
    requests.append(len(backend.asked) * (looks + 1) // len(stop.waits_s))


def test_an_outage_is_survived_with_one_warning_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = [0.0]
    monkeypatch.setattr(module, "_now_s", lambda: now_s[0])
    backend = hooked_log()
    write(backend, "a", 0, 1)

    def down(verb: str, key: str) -> None:
        raise Unavailable("no answer")

    def go_down() -> None:
        backend.hook = down
        write_later()

    def write_later() -> None:
        backend.hook, hook = None, backend.hook
        write(backend, "a", 1, 2, slot=1)
        backend.hook = hook

    def pass_20_s() -> None:
        now_s[0] += 20.0

    def come_up() -> None:
        backend.hook = None

    stop = Watch(go_down, *[pass_20_s] * 7, come_up)
    with caplog.at_level(logging.WARNING, "eventlog"):
        found = rows(follow(backend, stop))
    assert found == [("a", 0), ("a", 1)]
    assert len(caplog.records) == 3


def test_a_place_without_a_log_is_an_error_and_not_waited_for() -> None:
    with pytest.raises(NotALog):
        follow(Hooked(), Watch())


def test_damage_ends_the_tail_unless_it_is_to_be_skipped() -> None:
    backend = hooked_log()
    for slot in range(3):
        write(backend, "a", slot, slot + 1, slot=slot)
    backend.replace(segment_key("a", 1), b"x")
    with pytest.raises(Damage):
        follow(backend, Watch())
    assert rows(follow(backend, Watch(), damage="skip")) == [("a", 0), ("a", 2)]


def test_setting_stop_ends_a_wait_at_once() -> None:
    backend = hooked_log()
    stop = threading.Event()
    thread = threading.Thread(
        target=lambda: list(tail(Reader(backend), stop=stop, poll_s=3600.0, idle_s=3600.0))
    )
    thread.start()
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
