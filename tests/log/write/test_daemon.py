"""The daemon: durable and in the store without anybody's help, and no outage stops anybody."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.errors import BackendError, Denied, NotCreateOnly, SpoolError, Unavailable
from eventlog.log.create import ensure_log
from eventlog.log.write import daemon as dm
from eventlog.log.write import warned
from eventlog.log.write.daemon import Daemon
from eventlog_backends.memory import MemoryBackend
from tests.log.spools import Hand, InFlight, shipper_of, stored
from tests.waiting import until


class Store(MemoryBackend):
    """Away while ``error`` is set, and holds puts back while ``gate`` is shut."""

    def __init__(self) -> None:
        super().__init__()
        ensure_log(self)
        self.error: BaseException | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.tries = 0

    def put_new(self, key: str, data: bytes) -> None:
        if key.startswith("wal/"):
            self.tries += 1
            assert self.gate.wait(30)
            if self.error is not None:
                raise self.error
        super().put_new(key, data)


class Bench:
    """A spool with a daemon."""

    def __init__(
        self,
        hand: Hand,
        ship_s: tuple[float, float] = (3600, 3600),
        store: Store | None = None,
    ) -> None:
        self.hand, self.store = hand, store or Store()
        self.prepared, self.shipped = 0, 0
        self.not_prepared: Exception | None = None
        self.shipper = shipper_of(hand, self.store)
        self.daemon = Daemon(
            self.shipper,
            ship_s,
            prepare=self._prepare,
            every_tick=lambda: None,
            after_ship=self._after_ship,
        )
        self.daemon.start()

    def _prepare(self) -> None:
        self.prepared += 1
        if self.not_prepared is not None:
            raise self.not_prepared

    def _after_ship(self) -> None:
        self.shipped += 1


@pytest.fixture
def bench(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(dm, "TICK_S", 0.005)
    monkeypatch.setattr(dm, "RETRY_S", (0.001, 0.005))
    bench = Bench(hand)
    yield bench
    bench.store.gate.set()
    bench.daemon.stop()
    bench.daemon.join()


def test_what_is_written_becomes_durable_by_itself(bench: Bench) -> None:
    bench.hand.point(1)
    bench.hand.fact("noted")
    until(lambda: bench.hand.spool.durable == bench.hand.spool.end())


def test_nothing_is_shipped_before_its_time(bench: Bench) -> None:
    bench.hand.point(1)
    until(lambda: bench.hand.spool.durable.row == 1)
    assert bench.store.tries == 0


def test_what_is_asked_for_is_shipped_now(bench: Bench) -> None:
    bench.hand.point(1)
    bench.daemon.ship_now(30)
    assert stored(bench.store) == [1]
    assert bench.shipped == 1


def test_much_is_shipped_before_its_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dm, "BIG_ROWS", 10)
    bench.hand.point(*range(10))
    until(lambda: stored(bench.store) == list(range(10)))


def test_it_ships_by_itself(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dm, "TICK_S", 0.005)
    bench = Bench(hand, (0.01, 0.02))
    for n in range(3):
        hand.point(n)
        until(lambda n=n: stored(bench.store) == list(range(n + 1)))  # type: ignore[misc]
    bench.daemon.stop()
    bench.daemon.join()


def test_the_log_is_made_before_the_first_shipment_and_only_once(bench: Bench) -> None:
    for n in range(3):
        bench.hand.point(n)
        bench.daemon.ship_now(30)
    assert bench.prepared == 1


def test_a_log_that_cannot_be_made_is_tried_again(bench: Bench) -> None:
    bench.not_prepared = Unavailable("away")
    bench.hand.point(1)
    with pytest.raises(Unavailable):
        bench.daemon.ship_now(0.05)
    bench.not_prepared = None
    bench.daemon.ship_now(30)
    assert stored(bench.store) == [1]


def test_who_waits_in_vain_gets_the_store_s_error(bench: Bench) -> None:
    bench.store.error = Unavailable("the store is away")
    bench.hand.point(1)
    with pytest.raises(Unavailable, match="the store is away"):
        bench.daemon.ship_now(0.1)
    bench.store.error = None
    bench.daemon.ship_now(30)
    assert stored(bench.store) == [1]


def test_wrong_credentials_are_said_at_once(bench: Bench) -> None:
    bench.store.error = Denied("no such key")
    bench.hand.point(1)
    with pytest.raises(Denied, match="no such key"):
        bench.daemon.ship_now(3600)


def test_who_waits_for_a_silent_store_waits_no_longer_than_it_said(bench: Bench) -> None:
    bench.store.gate.clear()
    bench.hand.point(1)
    with pytest.raises(Unavailable, match="safe in the spool"):
        bench.daemon.ship_now(0.05)


def test_who_waits_for_a_stopped_thread_is_told_so(bench: Bench) -> None:
    slow = InFlight(bench.hand, 1)
    bench.hand.point(2)
    with pytest.raises(SpoolError, match="in the middle of logging"):
        bench.daemon.ship_now(0.2)
    slow.land()
    bench.daemon.ship_now(30)
    assert stored(bench.store) == [1, 2]


def test_a_long_outage_warns_once_and_says_when_it_is_over(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.store.error = Unavailable("the store is away")
    with caplog.at_level(logging.WARNING, logger="eventlog"):
        bench.hand.point(1)
        with pytest.raises(Unavailable):
            bench.daemon.ship_now(0.1)
        until(lambda: bench.store.tries > 10)
        warned = [r.getMessage() for r in caplog.records]
        assert len(warned) == 1
        assert "the store is away" in warned[0]
        assert str(bench.hand.spool.directory) in warned[0]
        bench.store.error = None
        bench.daemon.ship_now(30)
        assert "takes what waited" in caplog.records[-1].getMessage()


def test_two_writers_to_one_store_warn_once(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Bench(Hand(tmp_path / "other", "other"), store=bench.store)
    bench.store.error = Unavailable("the store is away")
    with caplog.at_level(logging.WARNING, logger="eventlog"):
        for each in (bench, other):
            each.hand.point(1)
            with pytest.raises(Unavailable):
                each.daemon.ship_now(0.1)
        other.daemon.stop()
        other.daemon.join()
    assert len(caplog.records) == 1
    other.hand.spool.close()


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (Unavailable("It is away."), "are sent when it answers"),
        (Denied("The key may not write."), "Where it needs other credentials"),
        (NotCreateOnly("It overwrites."), "open the log in a store that can hold one"),
        (BackendError("There is no bucket."), "sent once that is put right"),
        (ZeroDivisionError("a bug"), "please report this"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_warning_says_what_the_user_has_to_do(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: Exception, advice: str
) -> None:
    bench.store.error = error
    bench.hand.point(1)
    with caplog.at_level(logging.WARNING, logger="eventlog"):
        with pytest.raises(type(error)):
            bench.daemon.ship_now(0.1)
        until(lambda: caplog.records)
    message = caplog.records[0].getMessage()
    assert advice in message
    assert ("when it answers" in message) == isinstance(error, Unavailable)
    assert ".." not in message


def test_an_outage_that_is_over_claims_nothing_that_it_cannot_know(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.store.error = Unavailable("the store is away")
    bench.hand.point(1)
    with caplog.at_level(logging.WARNING, logger="eventlog"):
        with pytest.raises(Unavailable):
            bench.daemon.ship_now(0.05)
        bench.store.error = None
        bench.daemon.ship_now(30)
    assert "lost" not in caplog.text


def waits_said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "waiting up to" in r.getMessage()]


@pytest.mark.parametrize("silent", [True, False])
def test_who_ends_a_lane_is_told_once_that_the_store_keeps_it_waiting(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setattr(dm, "SAY_AFTER_S", 0.02)
    bench.hand.point(1)
    if silent:
        bench.store.gate.clear()
    bench.store.error = Unavailable("the store is away")
    with caplog.at_level(logging.WARNING, logger="eventlog"), pytest.raises(Unavailable):
        bench.daemon.ship_now(0.2, final=True)
    [line] = waits_said(caplog)
    assert bench.store.url in line
    assert str(bench.hand.spool.directory) in line
    assert "Ctrl-C" in line


def test_nobody_is_told_of_a_wait_that_is_none(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.store.error = Unavailable("the store is away")
    bench.hand.point(1)
    with caplog.at_level(logging.WARNING, logger="eventlog"), pytest.raises(Unavailable):
        bench.daemon.ship_now(0.1, final=True)  # many tries, and each wakes who waits
    assert waits_said(caplog) == []


def test_a_minute_later_it_warns_again(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warned, "WARN_EVERY_S", 0.0)
    bench.store.error = Unavailable("the store is away")
    with caplog.at_level(logging.WARNING, logger="eventlog"):
        bench.hand.point(1)
        with pytest.raises(Unavailable):
            bench.daemon.ship_now(0.1)
        until(lambda: len(caplog.records) > 2)


def test_an_outage_stops_nobody_and_loses_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.store.error = Unavailable("the store is away")
    with caplog.at_level(logging.CRITICAL, logger="eventlog"):
        bench.hand.point(0)
        with pytest.raises(Unavailable):
            bench.daemon.ship_now(0.02)
        for n in range(1, 20_000):
            bench.hand.point(n)
        bench.store.error = None
        bench.daemon.ship_now(30)
    assert stored(bench.store) == list(range(20_000))


def test_a_broken_writer_is_named_with_its_traceback(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.store.error = ZeroDivisionError("a bug")
    with caplog.at_level(logging.WARNING, logger="eventlog"):
        bench.hand.point(1)
        with pytest.raises(ZeroDivisionError):
            bench.daemon.ship_now(0.1)
    assert caplog.records[0].exc_info is not None


def test_the_end_ends_the_lane_and_the_thread(bench: Bench) -> None:
    bench.hand.point(1)
    bench.hand.spool.finish()
    bench.daemon.ship_now(30, final=True)
    bench.daemon.join(30)
    assert not bench.daemon.is_alive()
    assert bench.shipper.ended


def test_who_asks_after_the_end_is_not_left_waiting(bench: Bench) -> None:
    bench.daemon.stop()
    bench.daemon.join()
    with pytest.raises(Unavailable):
        bench.daemon.ship_now(3600)


def test_many_may_ask_at_once(bench: Bench) -> None:
    bench.hand.point(1)
    threads = [threading.Thread(target=bench.daemon.ship_now, args=(30,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(t.is_alive() for t in threads)
    assert stored(bench.store) == [1]


def test_asking_with_nothing_to_ship_is_no_request(bench: Bench) -> None:
    bench.daemon.ship_now(30)
    assert bench.store.tries == 0
