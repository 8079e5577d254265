"""Claims: one winner for each number, whatever the clocks and the network do."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.errors import Damage, Unavailable, UsageError, VersionConflict
from eventlog.event import Event
from eventlog.log import claim as cl
from tests.log.claim_stores import LossyBackend, an_event, announced, once
from tests.log.damage import cuts, flips
from tests.log.lanes import table_of

RESNET = cl.Chain("model", "resnet")


def claim_one(
    backend: LossyBackend, event: Event | None = None, expected: int | None = None
) -> cl.Claim:
    return cl.claim(backend, "model", "resnet", event or an_event(), expected)


@pytest.mark.parametrize(
    ("stream", "kind", "name"),
    [
        ("model:resnet", "model", "resnet"),
        ("model:a:b", "model", "a:b"),
        ("lamp", "_", "lamp"),
        (":x", "_", ":x"),
        ("Model:x", "_", "Model:x"),
        ("../up:x", "_", "../up:x"),
    ],
)
def test_a_stream_names_its_chain(stream: str, kind: str, name: str) -> None:
    assert cl.chain_of(stream) == (kind, name)


def test_claims_of_one_name_are_numbered_from_nought() -> None:
    backend = LossyBackend()
    assert [claim_one(backend).n for _ in range(3)] == [0, 1, 2]
    assert cl.claim(backend, "model", "other", an_event()).n == 0


@pytest.mark.parametrize("value", [None, 0.0, -0.0, math.inf, math.nan, 0.1])
def test_a_claim_reads_back_as_it_was_made(value: float | None) -> None:
    backend = LossyBackend()
    made = claim_one(backend, an_event(value=value, key="a\0b\u2028", step=-5, data='{"x":[1]}'))
    [found] = cl.read(backend, RESNET, [0])
    assert repr(found) == repr(made)
    assert found.event.lane == RESNET.lane


@pytest.mark.parametrize("expected", [0, 1, 3, 7])
def test_a_claim_that_expected_another_version_is_refused(expected: int) -> None:
    backend = LossyBackend()
    for _ in range(2):
        claim_one(backend)
    with pytest.raises(VersionConflict) as caught:
        claim_one(backend, expected=expected)
    assert (caught.value.stream, caught.value.actual) == ("model:resnet", 2)
    assert cl.length(backend, RESNET) == 2


@pytest.mark.parametrize("length", [0, 1, 5])
def test_a_claim_that_expected_the_right_version_wins(length: int) -> None:
    backend = LossyBackend()
    for _ in range(length):
        claim_one(backend)
    assert claim_one(backend, expected=length).n == length


def test_an_expected_version_below_nought_is_refused() -> None:
    with pytest.raises(UsageError, match="from 0"):
        claim_one(LossyBackend(), expected=-1)


def test_eight_racing_threads_get_dense_numbers() -> None:
    backend = LossyBackend()

    def race(worker: int) -> list[tuple[int, str]]:
        return [
            (claim_one(backend, an_event(key=f"{worker}/{i}")).n, f"{worker}/{i}")
            for i in range(20)
        ]

    with ThreadPoolExecutor(8) as pool:
        won = sorted(pair for pairs in pool.map(race, range(8)) for pair in pairs)
    assert [n for n, _ in won] == list(range(160))
    stored = [found.event.key for found in cl.read(backend, RESNET, range(160))]
    assert stored == [key for _, key in won]


def test_of_eight_threads_that_expect_one_version_one_wins() -> None:
    backend = LossyBackend()
    claim_one(backend)

    def race(_: int) -> int:
        try:
            return claim_one(backend, expected=1).n
        except VersionConflict:
            return -1

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(race, range(8))) == [-1] * 7 + [1]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("expected", [None, 0])
def test_a_claim_whose_answer_is_lost_is_made_once(when: str, expected: int | None) -> None:
    backend = LossyBackend(once("put_new", when, "claims/"))
    assert claim_one(backend, expected=expected).n == 0
    assert cl.length(backend, RESNET) == 1


def test_a_store_that_stays_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventlog.log.put.FIRST_WAIT_S", 0.0)
    with pytest.raises(Unavailable):
        claim_one(LossyBackend(lambda _verb, _key: "before"))


def test_a_slower_clock_does_not_move_an_alias_back() -> None:
    backend = LossyBackend()
    first = claim_one(backend, an_event(time_us=9_000_000, data='{"version":1}'))
    second = claim_one(backend, an_event(time_us=1_000_000, data='{"version":2}'))
    table = table_of([announced(second, "b", 0), announced(first, "a", 0)])
    assert cl.unwrap(table)["data"].to_pylist() == ['{"version":1}', '{"version":2}']


def test_announcements_become_the_claimed_events_once() -> None:
    backend = LossyBackend()
    first, second = claim_one(backend), claim_one(backend)
    other = an_event("run.created", "run:1")._replace(lane="a", seq=1)
    table = table_of(
        [announced(first, "a", 0), other, announced(second, "b", 0), announced(first, "b", 1)]
    )
    rows = cl.unwrap(table).select(["lane", "seq", "type"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("a", 1, "run.created"),
        (RESNET.lane, 0, "alias.set"),
        (RESNET.lane, 1, "alias.set"),
    ]


def test_a_claim_announced_in_an_earlier_batch_is_not_counted_again() -> None:
    found = claim_one(LossyBackend())
    seen: set[str] = set()
    assert len(cl.unwrap(table_of([announced(found, "a", 0)]), seen=seen)) == 1
    assert len(cl.unwrap(table_of([announced(found, "b", 0)]), seen=seen)) == 0


def test_a_table_without_announcements_is_left_alone() -> None:
    table = table_of([an_event()._replace(lane="a")])
    assert cl.unwrap(table).equals(table)


def test_claims_that_two_logs_made_apart_are_both_kept_in_one_order() -> None:
    here, there = claim_one(LossyBackend()), claim_one(LossyBackend(), an_event(data='{"v":9}'))
    a, b = announced(here, "a", 0), announced(there, "b", 0)
    one, other = cl.unwrap(table_of([a, b])), cl.unwrap(table_of([b, a]))
    assert one.to_pylist() == other.to_pylist()
    assert len(one) == 2


def test_an_announcement_that_became_a_blob_is_resolved() -> None:
    found = claim_one(LossyBackend())
    marked = announced(found, "a", 0)._replace(data='@blob {"key":"k","size":1}')
    table = cl.unwrap(table_of([marked]), resolve=lambda _mark: found.to_json())
    assert table["lane"].to_pylist() == [RESNET.lane]


def test_an_announcement_without_a_claim_is_damage() -> None:
    forged = an_event(cl.ANNOUNCED, data='{"kind":"model"}')._replace(lane="a", seq=7)
    with pytest.raises(Damage, match="event 7 of lane a"):
        cl.unwrap(table_of([forged]))


def test_every_flipped_bit_of_a_claim_is_damage() -> None:
    backend = LossyBackend()
    made = claim_one(backend)
    raw = backend.get(made.key)
    for flipped in flips(raw):
        with pytest.raises(Damage, match="claims/model"):
            cl.decode(made.key, flipped)


def test_a_cut_claim_is_damage() -> None:
    made = claim_one(LossyBackend())
    for cut in cuts(cl.encode(made)):
        with pytest.raises(Damage):
            cl.decode(made.key, cut)


def test_a_claim_in_another_place_is_damage() -> None:
    raw = cl.encode(claim_one(LossyBackend()))
    with pytest.raises(Damage, match="says that it is"):
        cl.decode(RESNET.key(5), raw)


@settings(max_examples=50, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.floats(),
    st.integers(-(2**62), 2**62),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_any_text_and_number_survive_a_claim(name: str, value: float, step: int, data: str) -> None:
    event = an_event(stream=f"x:{name}", key=name, value=value, step=step, data=data)
    made = cl.claim(LossyBackend(), "x", name, event)
    assert repr(cl.decode(made.key, cl.encode(made))) == repr(made)
