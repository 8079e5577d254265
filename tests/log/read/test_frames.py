from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from eventlog.errors import Damage
from eventlog.event import COLUMNS, POINT_TYPE, Event
from eventlog.log.keep.compact import compact
from eventlog.log.manifest import Position
from eventlog.log.read import frames
from eventlog.log.read.frames import SCHEMA, events_frame
from eventlog.log.read.reader import Reader, Snapshot
from eventlog.log.segment import segment_key
from tests.log.hooked import Hooked, hooked_log
from tests.log.lanes import an_event_of, table_of, write


def a_log() -> Hooked:
    backend = hooked_log()
    write(backend, "a", 0, 9)
    write(backend, "b", 0, 9)
    compact(Reader(backend))
    write(backend, "a", 9, 12, slot=1)
    return backend


@pytest.fixture
def snapshot() -> Snapshot:
    return Reader(a_log()).snapshot()


def rows(frame: pl.LazyFrame | pl.DataFrame) -> list[tuple[str, int]]:
    found = frame.lazy().select("lane", "seq").collect()
    return sorted(zip(found["lane"].cast(pl.String), found["seq"], strict=True))


def test_a_frame_holds_the_events(snapshot: Snapshot) -> None:
    frame = events_frame(snapshot).collect()
    assert dict(frame.schema) == SCHEMA
    assert tuple(frame.columns) == COLUMNS
    expected = [an_event_of("a", seq) for seq in range(12)]
    expected += [an_event_of("b", seq) for seq in range(9)]
    times = pl.col("time").dt.epoch("us")
    words = pl.col("lane", "type", "stream", "key").cast(pl.String)
    plain = frame.with_columns(times, words).sort("lane", "seq").rows()
    assert [Event(*row) for row in plain] == expected


def test_an_empty_log_is_a_frame_with_all_columns() -> None:
    frame = events_frame(Reader(hooked_log()).snapshot()).collect()
    assert dict(frame.schema) == SCHEMA
    assert len(frame) == 0


def test_positions_bound_a_frame(snapshot: Snapshot) -> None:
    position = Position(0, {"a": 10, "b": 9})
    assert rows(events_frame(snapshot, position)) == [("a", 10), ("a", 11)]
    assert len(rows(events_frame(snapshot, None, position))) == 19


def test_a_frame_can_be_collected_again(snapshot: Snapshot) -> None:
    frame = events_frame(snapshot)
    assert rows(frame) == rows(frame)


PREDICATES = {
    "stream": pl.col("stream") == "run:a",
    "turned round": pl.lit("run:a") == pl.col("stream"),
    "several": pl.col("stream").is_in(["run:a", "run:x"]),
    "both": (pl.col("stream") == "run:b") & (pl.col("type") == POINT_TYPE) & (pl.col("seq") > 3),
    "key": pl.col("key") == "loss",
    "either": (pl.col("stream") == "run:b") | (pl.col("seq") == 1),
    "not": ~(pl.col("stream") == "run:b"),
    "unequal": pl.col("stream") != "run:b",
    "null": pl.col("key").is_null(),
    "equal or null": pl.col("key").eq_missing("loss"),
    "none": (pl.col("stream") == "run:a") & (pl.col("stream") == "run:b"),
    "other column": pl.col("value") > 0.5,
    "in the data": pl.col("data").str.contains('"n":1'),
    "two columns": pl.col("stream") == pl.col("key"),
}


@pytest.mark.parametrize("name", PREDICATES)
def test_a_filter_gives_what_it_gives_on_a_plain_frame(snapshot: Snapshot, name: str) -> None:
    predicate = PREDICATES[name]
    plain = events_frame(snapshot).collect()
    assert rows(events_frame(snapshot).filter(predicate)) == rows(plain.filter(predicate))


def test_what_a_filter_demands_of_words_is_seen() -> None:
    assert frames.words_of(PREDICATES["stream"]) == {"stream": {"run:a"}}
    assert frames.words_of(PREDICATES["turned round"]) == {"stream": {"run:a"}}
    assert frames.words_of(PREDICATES["several"]) == {"stream": {"run:a", "run:x"}}
    assert frames.words_of(PREDICATES["both"]) == {"stream": {"run:b"}, "type": {POINT_TYPE}}
    assert frames.words_of(PREDICATES["none"]) == {"stream": frozenset()}
    for name in (
        "either",
        "not",
        "unequal",
        "null",
        "equal or null",
        "other column",
        "two columns",
    ):
        assert frames.words_of(PREDICATES[name]) == {}, name


def test_a_filter_on_a_stream_is_pushed_down_to_the_log(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []
    tables = Snapshot.tables

    def note(self: Snapshot, *args: object, **kwargs: object) -> object:
        asked.append(kwargs)
        return tables(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Snapshot, "tables", note)
    query = events_frame(snapshot).filter(PREDICATES["both"]).select("value")
    assert len(query.collect()) == 2
    assert asked[0]["streams"] == {"run:b"}
    assert asked[0]["types"] == {POINT_TYPE}
    assert asked[0]["columns"] == ["seq", "type", "stream", "value"]


def test_a_head_stops_reading() -> None:
    backend = a_log()
    snapshot = Reader(backend).snapshot()
    events_frame(snapshot).head(2).collect()
    assert len(events_frame(snapshot).head(2).collect()) == 2
    assert len(events_frame(snapshot).head(100).collect()) == 21
    assert events_frame(snapshot).select(pl.len()).collect().item() == 21


def test_types_bound_a_frame(snapshot: Snapshot) -> None:
    frame = events_frame(snapshot, types=[POINT_TYPE])
    assert len(rows(frame)) == 7
    assert rows(frame.filter(pl.col("type") == "thing.done")) == []


# -- the process's own events ----------------------------------------------------------------


def own(lane: str, start: int, end: int) -> pa.Table:
    return table_of([an_event_of(lane, seq) for seq in range(start, end)])


def test_own_events_that_are_not_in_the_log_yet_are_added(snapshot: Snapshot) -> None:
    frame = events_frame(snapshot, extra=own("a", 10, 15))
    assert [seq for lane, seq in rows(frame) if lane == "a"] == list(range(15))


def test_own_events_of_an_unknown_lane_are_added(snapshot: Snapshot) -> None:
    frame = events_frame(snapshot, extra=own("c", 0, 2))
    assert [seq for lane, seq in rows(frame) if lane == "c"] == [0, 1]


def test_filters_and_positions_hold_for_own_events_too(snapshot: Snapshot) -> None:
    extra = own("a", 10, 18)
    frame = events_frame(snapshot, extra=extra).filter(pl.col("type") == POINT_TYPE)
    assert [seq for lane, seq in rows(frame) if lane == "a"] == [2, 5, 8, 11, 14, 17]
    after = Position(1, {"a": 14, "b": 9}, 0)
    assert rows(events_frame(snapshot, after, extra=extra)) == [("a", n) for n in range(14, 18)]
    upto = Position(0, {"a": 13}, 0)
    frame = events_frame(snapshot, Position(0, {"a": 11}, 0), upto, extra=extra)
    assert rows(frame) == [("a", 11), ("a", 12)]


# -- payloads that lie elsewhere -------------------------------------------------------------


def with_a_blob() -> Snapshot:
    backend = hooked_log()
    write(backend, "a", 0, 2, word="plain")
    return Reader(backend).snapshot()


def marked() -> pa.Table:
    event = an_event_of("b", 0)._replace(data='@blob {"key":"blobs/aa/x","size":3}')
    return table_of([event, an_event_of("b", 1)])


def test_payloads_of_blobs_are_resolved() -> None:
    asked: list[str] = []

    def resolve(mark: str) -> str:
        asked.append(mark)
        return '{"large":true}'

    frame = events_frame(with_a_blob(), extra=marked(), resolve=resolve)
    payloads = frame.filter(pl.col("lane") == "b").sort("seq").collect()["data"].to_list()
    assert payloads == ['{"large":true}', an_event_of("b", 1).data]
    assert asked == ['@blob {"key":"blobs/aa/x","size":3}']
    assert len(frame.filter(pl.col("data").str.contains("large")).collect()) == 1


def test_payloads_that_nobody_asks_for_are_not_fetched() -> None:
    def resolve(mark: str) -> str:
        raise AssertionError(mark)

    frame = events_frame(with_a_blob(), extra=marked(), resolve=resolve)
    assert len(frame.select("seq").collect()) == 4


# -- damage ----------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_damage_that_a_query_meets_is_raised_as_such(engine: str) -> None:
    backend = a_log()
    snapshot = Reader(backend).snapshot()
    key = snapshot.manifest.files[0].key
    backend.replace(key, backend.get(key)[:-1])
    with pytest.raises(Damage) as caught:
        events_frame(snapshot).collect(engine=engine)  # type: ignore[call-overload]
    assert caught.value.key == key


def test_a_frame_reads_on_while_compaction_moves_the_log(tmp_path: Path) -> None:
    backend = a_log()
    snapshot = Reader(backend).snapshot()
    frame = events_frame(snapshot)
    write(backend, "a", 12, 15, slot=2)
    compact(Reader(backend))
    backend.delete([segment_key("a", 1)])
    assert len(rows(frame)) == 21
