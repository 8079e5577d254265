from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from eventlog.log.manifest import Position
from eventlog.log.read import masks

LANES = ["a", "b", "c", "d"]
rows = st.lists(
    st.tuples(st.sampled_from(LANES), st.integers(0, 6), st.one_of(st.none(), st.integers(0, 5))),
    max_size=30,
)
positions = st.builds(
    Position, st.integers(0, 6), st.dictionaries(st.sampled_from(LANES), st.integers(0, 7))
)


def table_of(events: list[tuple[str, int, int | None]], pieces: int = 1) -> pa.Table:
    """In several pieces, each with a dictionary of its own."""
    size = max(1, -(-len(events) // pieces))
    parts = []
    for at in range(0, max(1, len(events)), size):
        lanes, seqs, numbers = zip(*events[at : at + size], strict=True) if events else ((),) * 3
        columns = {
            "lane": pa.array(lanes, pa.string()).dictionary_encode(),
            "seq": pa.array(seqs, pa.int64()),
            "lane_number": pa.array(numbers, pa.int32()),
        }
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def is_below(position: Position, lane: str, seq: int, number: int | None) -> bool:
    """The definition, as `Position` tells it."""
    if lane in position.lanes:
        return seq < position.lanes[lane]
    return number is not None and number < position.lanes_seen


@given(rows, positions, st.integers(1, 4))
def test_below_is_what_a_position_says(
    events: list[tuple[str, int, int | None]], position: Position, pieces: int
) -> None:
    found = masks.below(position, table_of(events, pieces)).to_pylist()
    assert found == [is_below(position, *event) for event in events]


@given(rows, st.sets(st.sampled_from([*LANES, "x"])), st.integers(1, 4))
def test_among_finds_the_words(
    events: list[tuple[str, int, int | None]], wanted: set[str], pieces: int
) -> None:
    found = masks.among(table_of(events, pieces), "lane", wanted).to_pylist()
    assert found == [lane in wanted for lane, _, _ in events]


def test_null_is_among_no_words() -> None:
    table = pa.table({"key": pa.array(["a", None, "b"]).dictionary_encode()})
    assert masks.among(table, "key", {"a"}).to_pylist() == [True, False, False]


def test_a_slice_keeps_its_own_words() -> None:
    table = pa.table({"key": pa.array(["a", "b", None, "a"]).dictionary_encode()}).slice(1, 3)
    words = masks.words_of(table, "key")
    assert [words.dictionary[code] if code >= 0 else None for code in words.codes] == [
        "b",
        None,
        "a",
    ]


@given(
    rows, st.lists(st.tuples(st.sampled_from(LANES), st.integers(0, 6), st.integers(1, 3))), rows
)
def test_identities_hold_what_was_added(
    added: list[tuple[str, int, int | None]],
    ranges: list[tuple[str, int, int]],
    asked: list[tuple[str, int, int | None]],
) -> None:
    seen = masks.Identities()
    truth = {(lane, seq) for lane, seq, _ in added}
    seen.add_rows(table_of(added, 2))
    for lane, start, size in ranges:
        seen.add(lane, start, start + size)
        truth |= {(lane, seq) for seq in range(start, start + size)}
    found = seen.mask(table_of(asked)).to_pylist()
    assert found == [(lane, seq) in truth for lane, seq, _ in asked]
    assert bool(seen) == bool(truth)
