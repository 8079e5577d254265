"""Shipping: each event once in the store, whatever the store answers and whoever dies."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from eventlog.errors import BackendError, Damage, Exists, ForkedLane, Unavailable
from eventlog.log import segment as sg
from eventlog.log.blob import Mark
from eventlog.log.create import ensure_log
from eventlog.log.keep.compact import compact
from eventlog.log.keep.seal import seal
from eventlog.log.read.reader import LaneState, Reader
from eventlog.log.write import facts as ff
from eventlog.log.write import ship
from eventlog.log.write.ship import Shipper
from eventlog_backends.memory import MemoryBackend
from tests.log import lanes
from tests.log.spools import Hand, InFlight, shipper_of, stored, words


class Store(MemoryBackend):
    """Does what it is told before a put, and after it."""

    before: list[BaseException | None]
    after: list[BaseException | None]

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = [], []
        ensure_log(self)

    def put_new(self, key: str, data: bytes) -> None:
        if key.startswith("wal/") and self.before and (error := self.before.pop(0)):
            raise error
        super().put_new(key, data)
        if key.startswith("wal/") and self.after and (error := self.after.pop(0)):
            raise error


@pytest.fixture
def store() -> Store:
    return Store()


def no_answer() -> Unavailable:
    return Unavailable("no answer")


def seal_it(store: Store, lane: str, slot: int, seq: int) -> None:
    seal(store, lane, LaneState(None, slot, seq, 0, ""), writer="somebody")


def test_facts_and_points_arrive_in_order(hand: Hand, store: Store) -> None:
    shipper = shipper_of(hand, store)
    hand.point(1, 2)
    hand.fact("noted")
    assert shipper.ship()
    hand.point(3)
    assert shipper.ship()
    assert stored(store) == [1, 2, "noted", 3]


def test_nothing_new_puts_nothing(hand: Hand, store: Store) -> None:
    shipper = shipper_of(hand, store)
    hand.point(1)
    shipper.ship()
    before = sorted(e.key for e in store.list())
    assert shipper.ship()
    assert sorted(e.key for e in store.list()) == before


def test_a_lost_answer_is_recognised(hand: Hand, store: Store) -> None:
    shipper = shipper_of(hand, store)
    hand.point(1)
    store.after = [no_answer()]
    with pytest.raises(Unavailable):
        shipper.ship()
    hand.point(2)
    assert shipper.ship()
    assert stored(store) == [1, 2]


def test_a_retry_puts_the_same_bytes(hand: Hand, store: Store) -> None:
    shipper = shipper_of(hand, store)
    hand.point(1)
    store.before = [no_answer()]
    with pytest.raises(Unavailable):
        shipper.ship()
    assert shipper.pending is not None
    waiting = shipper.pending.read_bytes()
    hand.point(2)
    shipper.ship()
    assert store.get(sg.segment_key("lane", 0)) == waiting


def test_a_seal_sends_the_rest_to_the_next_lane(hand: Hand, store: Store) -> None:
    shipper = shipper_of(hand, store)
    hand.point(1)
    shipper.ship()
    hand.point(2)
    hand.fact("noted")
    seal_it(store, "lane", 1, 1)
    assert shipper.ship()
    assert (shipper.lane, shipper.slot, shipper.seq) == ("lane~1", 1, 2)
    assert stored(store) == [1, 2, "noted"]


def test_a_seal_in_the_first_slot_sends_everything_to_the_next_lane(
    hand: Hand, store: Store
) -> None:
    shipper = shipper_of(hand, store)
    hand.point(1)
    seal_it(store, "lane", 0, 0)
    assert shipper.ship(final=False)
    assert stored(store) == [1]
    assert lanes.contents(store)[0][0] == "lane~1"


def test_who_was_sealed_while_idle_still_ends_well(hand: Hand, store: Store) -> None:
    shipper = shipper_of(hand, store)
    hand.point(1)
    shipper.ship()
    seal_it(store, "lane", 1, 1)
    hand.spool.finish()
    assert shipper.ship(final=True)
    assert shipper.ended
    assert shipper.pending is None
    assert stored(store) == [1]


def test_who_was_sealed_before_its_last_events_ends_the_next_lane(hand: Hand, store: Store) -> None:
    shipper = shipper_of(hand, store)
    hand.point(1)
    shipper.ship()
    seal_it(store, "lane", 1, 1)
    hand.point(2)
    hand.spool.finish()
    assert shipper.ship(final=True)
    assert stored(store) == [1, 2]
    assert Reader(store).snapshot().lanes["lane~1"].ended == "closed"


def test_sealed_again_and_again_nothing_is_lost(hand: Hand, store: Store) -> None:
    shipper = shipper_of(hand, store)
    for n in range(5):
        hand.point(n)
        seal_it(store, shipper.lane, shipper.slot, shipper.seq)
        shipper.ship()
    assert stored(store) == [0, 1, 2, 3, 4]
    assert shipper.lane == "lane~5"


def test_foreign_content_under_our_name_is_a_fork(hand: Hand, store: Store) -> None:
    shipper = shipper_of(hand, store)
    lanes.write(store, "lane", 0, 3)
    hand.point(1)
    with pytest.raises(ForkedLane, match="adopt") as caught:
        shipper.ship()
    assert caught.value.key == sg.segment_key("lane", 0)


def test_a_segment_that_was_compacted_before_the_answer_came_is_not_doubled(
    hand: Hand, store: Store
) -> None:
    shipper = shipper_of(hand, store)
    hand.point(1)
    store.after = [no_answer()]
    with pytest.raises(Unavailable):
        shipper.ship()
    compact(Reader(store))
    lanes.retire(store)
    hand.point(2)
    assert shipper.ship()
    assert stored(store) == [1, 2]


def test_the_first_slot_is_never_the_last_with_events_in_it(hand: Hand, store: Store) -> None:
    """Put again after the lane has retired it would be a new lane with the same events."""
    shipper = shipper_of(hand, store)
    hand.point(1)
    hand.spool.finish()
    hand.spool.sync()
    assert shipper.ship(final=True)
    headers = [sg.split(e.key, store.get(e.key))[0] for e in store.list("wal/")]
    assert [(h.count, h.final) for h in headers] == [(1, False), (0, True)]


def test_an_owner_that_comes_back_after_its_lane_retired_doubles_nothing(
    tmp_path: Path, store: Store
) -> None:
    hand = Hand(tmp_path / "spool")
    shipper = shipper_of(hand, store)
    hand.point(1)
    hand.spool.finish()
    hand.spool.sync()
    store.after = [None, no_answer()]
    with pytest.raises(Unavailable):
        shipper.ship(final=True)
    lanes.retire(store)
    assert store_keys(store, "wal/") == []
    again = Shipper.resume(hand.spool, store)
    again.ship()
    assert stored(store) == [1]


def store_keys(store: Store, prefix: str) -> list[str]:
    return [entry.key for entry in store.list(prefix)]


def test_who_waits_for_a_row_in_flight_is_told_so(hand: Hand, store: Store) -> None:
    shipper = shipper_of(hand, store)
    slow = InFlight(hand, 1)
    hand.point(2)
    assert not shipper.ship()
    assert not shipper.ship(final=True)
    slow.land()
    assert shipper.ship()
    assert stored(store) == [1, 2]


def test_long_runs_of_void_rows_do_not_stop_shipping(
    hand: Hand, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship, "SEGMENT_ROWS", 10)
    shipper = shipper_of(hand, store)
    for _ in range(50):
        hand.take()
    hand.point(1)
    assert shipper.ship()
    assert stored(store) == [1]


def test_a_long_spool_is_cut_into_segments(
    hand: Hand, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship, "SEGMENT_ROWS", 100)
    shipper = shipper_of(hand, store)
    hand.point(*range(1_000))
    assert shipper.ship()
    assert len(store_keys(store, "wal/")) == 10
    assert stored(store) == list(range(1_000))


def test_what_is_shipped_is_forgotten_here(
    hand: Hand, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ff, "ROLL_BYTES", 500)
    shipper = shipper_of(hand, store)
    for n in range(60):
        hand.point(*range(n * 100, n * 100 + 100))
        hand.fact(f"fact{n}")
        shipper.ship()
    names = sorted(p.name for p in hand.spool.directory.rglob("*") if p.is_file())
    assert names == [
        "000000-000000000059",
        hand.spool.facts.last.path.name,
        "lock",
        "points-000000000004096",
    ]


def test_payloads_come_before_the_events_that_name_them(hand: Hand, store: Store) -> None:
    seen: list[list[str]] = []
    put = store.put_new

    def look(key: str, data: bytes) -> None:
        if key.startswith("wal/"):
            seen.append(store_keys(store, "blobs/"))
        put(key, data)

    key = f"blobs/aa/aa{'0' * 62}"
    hand.spool.keep_blob(key, b"payload")
    hand.spool.append(None, "noted", "run:1", None, None, None, Mark(key, 7).to_text())
    store.put_new = look  # type: ignore[method-assign]
    assert shipper_of(hand, store).ship()
    assert seen == [[key]]
    assert not hand.spool.blob(key).exists()


def payload_of(hand: Hand, raw: bytes) -> str:
    """The key of a payload that waits in the spool, with an event that names it."""
    digest = hashlib.sha256(raw).hexdigest()
    key = f"blobs/{digest[:2]}/{digest}"
    hand.spool.keep_blob(key, raw)
    hand.spool.append(None, "noted", "run:1", None, None, None, Mark(key, len(raw)).to_text())
    return key


def test_a_payload_whose_answer_was_lost_is_put_once(hand: Hand, store: Store) -> None:
    key = payload_of(hand, b"payload")
    store.after = [no_answer()]
    shipper = shipper_of(hand, store)
    with pytest.raises(Unavailable):
        shipper.ship()
    assert shipper.ship()
    assert store.get(key) == b"payload"
    assert stored(store) == ["noted"]


def test_a_payload_stays_here_while_the_store_holds_a_broken_one(hand: Hand, store: Store) -> None:
    key = payload_of(hand, b"payload")
    store.put_new(key, b"")
    with pytest.raises(Damage, match=key):
        shipper_of(hand, store).ship()
    assert hand.spool.blob(key).read_bytes() == b"payload"


def test_own_reads_see_what_ships_at_the_same_time(hand: Hand, store: Store) -> None:
    shipper = shipper_of(hand, store)
    hand.point(1)
    store.before = [no_answer()]
    with pytest.raises(Unavailable):
        shipper.ship()
    hand.fact("noted")
    hand.point(2)
    tail = shipper.tail()
    assert words(tail) == [1, "noted", 2]
    assert tail["seq"].to_pylist() == [0, 1, 2]
    shipper.ship()
    assert stored(store) == [1, "noted", 2]
    assert len(shipper.tail()) == 0


@pytest.mark.parametrize("error", [Unavailable("slow"), BackendError("odd"), OSError(5, "disk")])
def test_whatever_goes_wrong_the_next_try_goes_on(
    hand: Hand, store: Store, error: Exception
) -> None:
    shipper = shipper_of(hand, store)
    for n in range(6):
        hand.point(n)
        (store.before if n % 2 else store.after).append(error)
        with pytest.raises(type(error)):
            shipper.ship()
    shipper.ship()
    assert stored(store) == list(range(6))


def test_a_store_that_says_exists_and_shows_nothing_is_given_up(hand: Hand, store: Store) -> None:
    shipper = shipper_of(hand, store)
    hand.point(1)
    store.before = [Exists("there")] * 20
    with pytest.raises(ForkedLane):
        shipper.ship()
    store.before = []
    assert shipper.ship()
    assert stored(store) == [1]


def test_a_local_store_links_the_outbox(tmp_path: Path) -> None:
    from eventlog_backends.local import LocalBackend

    backend = LocalBackend(tmp_path / "log")
    hand = Hand(tmp_path / "log" / "spool")
    shipper = shipper_of(hand, backend)
    hand.point(1)
    shipper.ship()
    [posted] = hand.spool.posted()
    assert os.stat(posted).st_nlink == 2
    assert stored(backend) == [1]
    hand.spool.close()
