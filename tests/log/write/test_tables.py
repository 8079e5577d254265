"""From a spool to a table: every event once, in one order, however the spool is cut up."""

from __future__ import annotations

import math
import random
import struct
from itertools import pairwise

import pytest

from eventlog.event import schema
from eventlog.log.segment import SpoolMark
from eventlog.log.write import facts as ff
from eventlog.log.write import marks
from eventlog.log.write.tables import build, clip
from tests.log.spools import Hand, InFlight, words


def test_the_table_has_the_one_schema(hand: Hand) -> None:
    hand.fact("noted")
    hand.point(1)
    built = build(hand.spool, SpoolMark(), hand.spool.end(), "lane", 7)
    assert built.table.schema.equals(schema())
    assert built.table["seq"].to_pylist() == [7, 8]
    assert set(built.table["lane"].to_pylist()) == {"lane"}


def test_an_empty_spool_is_an_empty_table(hand: Hand) -> None:
    built = build(hand.spool, SpoolMark(), hand.spool.end(), "lane", 0)
    assert len(built.table) == 0
    assert built.table.schema.equals(schema())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.5])
def test_values_are_kept_to_the_bit(hand: Hand, value: float) -> None:
    hand.spool.append(None, "noted", "run:1", "loss", 0, value, None)
    taken = hand.take()
    struct.pack_into("@qqdII", taken[0].map, taken[1] << 5, 5, 0, value, hand.stream, hand.key)
    table = build(hand.spool, SpoolMark(), hand.spool.end(), "lane", 0).table
    kept = [struct.pack("d", v) for v in table["value"].to_pylist()]
    assert kept == [struct.pack("d", value)] * 2


@pytest.mark.parametrize("step", [-(2**63), 2**63 - 1, 0])
def test_steps_are_kept(hand: Hand, step: int) -> None:
    hand.spool.append(None, "noted", "run:1", None, step, None, None)
    hand.point(step)
    table = build(hand.spool, SpoolMark(), hand.spool.end(), "lane", 0).table
    assert table["step"].to_pylist() == [step, step]


def test_facts_are_the_same_alone_and_among_points(hand: Hand) -> None:
    for n, value in enumerate([math.nan, math.inf, -0.0, 5e-324, None]):
        key, step = ("loss", -n) if n % 2 else (None, None)
        hand.spool.append(n, "noted", f"run:{n % 2}", key, step, value, f'"{n}"', newest=False)
    alone = build(hand.spool, SpoolMark(), hand.spool.end(), "lane", 0).table
    hand.point(1)
    among = build(hand.spool, SpoolMark(), hand.spool.end(), "lane", 0).table.slice(0, len(alone))
    assert [repr(row) for row in alone.to_pylist()] == [repr(row) for row in among.to_pylist()]


def test_what_is_absent_is_null(hand: Hand) -> None:
    hand.spool.append(None, "noted", "run:1", None, None, None, None)
    [row] = build(hand.spool, SpoolMark(), hand.spool.end(), "lane", 0).table.to_pylist()
    assert [row[name] for name in ("key", "step", "value", "data")] == [None] * 4


def test_void_rows_are_listed_and_left_out(hand: Hand) -> None:
    hand.point(1)
    hand.take()
    hand.point(2)
    built = build(hand.spool, SpoolMark(), hand.spool.end(), "lane", 0)
    assert built.holes == (1,)
    assert words(built.table) == [1, 2]


def test_the_newest_time_is_that_of_facts(hand: Hand) -> None:
    hand.fact("noted", 1_000)
    hand.spool.append(9_000, "metric.logged", "run:1", "loss", 1, 1.0, None, newest=False)
    assert build(hand.spool, SpoolMark(), hand.spool.end(), "lane", 0).newest_us == 1_000


def scribbled(hand: Hand, seed: int) -> list[object]:
    """Facts, points and burnt rows in some order; a mark now and then. What came, in order."""
    chance = random.Random(seed)
    said: list[object] = []
    for n in range(400):
        what = chance.random()
        if what < 0.3:
            hand.fact(f"fact{n}")
            said.append(f"fact{n}")
        elif what < 0.9:
            hand.point(n)
            said.append(n)
        else:
            hand.take()
    return said


@pytest.mark.parametrize("seed", range(10))
def test_no_cut_reorders_or_loses_anything(
    hand: Hand, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ff, "ROLL_BYTES", 1_000)
    chance = random.Random(seed)
    said = scribbled(hand, seed)
    end = marks.ready(hand.spool, SpoolMark())
    found: list[object] = []
    since = SpoolMark()
    while since != end:
        until, whole = clip(hand.spool, since, end, chance.randrange(1, 60))
        assert until > since or until.row > since.row
        assert whole == (until == end)
        found += hand.words(since, until)
        since = until
    assert found == said


@pytest.mark.parametrize("seed", range(10))
def test_what_is_read_before_it_ships_keeps_its_place(hand: Hand, seed: int) -> None:
    """Rows in flight come and go meanwhile; what was seen as seq n stays seq n."""
    chance = random.Random(seed)
    since, read, shipped = SpoolMark(), list[object](), list[object]()
    flying: list[InFlight] = []
    marks_limit = marks.FLIGHT_LIMIT_S
    marks.FLIGHT_LIMIT_S = 0.0
    try:
        for n in range(60):
            hand.point(n)
            if chance.random() < 0.5:
                hand.fact(f"fact{n}")
            if chance.random() < 0.2:
                flying.append(InFlight(hand, 1_000 + n))
            if flying and chance.random() < 0.3:
                flying.pop(chance.randrange(len(flying))).land()
            if chance.random() < 0.3:
                read = shipped + hand.words(since, marks.settled(hand.spool, since))
            if chance.random() < 0.3:
                until = marks.ready(hand.spool, since)
                shipped += hand.words(since, until)
                since = until
                assert shipped[: len(read)] == read[: len(shipped)]
    finally:
        marks.FLIGHT_LIMIT_S = marks_limit
        for flight in flying:
            flight.land()
    shipped += hand.words(since, marks.ready(hand.spool, since))
    assert shipped[: len(read)] == read
    assert len(shipped) == len(set(shipped)) == len(hand.words())


def test_a_fact_never_precedes_a_point_that_was_logged_before_it(hand: Hand) -> None:
    flights = []
    for n in range(20):
        hand.point(n)
        flights.append(InFlight(hand, 100 + n))
        hand.fact(f"fact{n:02}")
    since, found = SpoolMark(), list[object]()
    while flights:
        flights.pop().land()
        until = marks.ready(hand.spool, since)
        found += hand.words(since, until)
        since = until
    found += hand.words(since, marks.ready(hand.spool, since))
    expected = [word for n in range(20) for word in (n, 100 + n, f"fact{n:02}")]
    assert found == expected


def test_a_clip_bounds_rows(hand: Hand) -> None:
    hand.point(*range(100))
    until, whole = clip(hand.spool, SpoolMark(), hand.spool.end(), 30)
    assert (until.row, whole) == (30, False)


def test_a_clip_bounds_facts(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ff, "ROLL_BYTES", 200)
    for n in range(50):
        hand.fact(f"fact{n}")
    ends = [SpoolMark()]
    whole = False
    while not whole:
        until, whole = clip(hand.spool, ends[-1], hand.spool.end(), 30)
        ends.append(until)
    assert len(ends) > 5
    found = [word for a, b in pairwise(ends) for word in hand.words(a, b)]
    assert found == [f"fact{n}" for n in range(50)]
