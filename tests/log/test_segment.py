from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from eventlog.errors import Damage, NewerFormat
from eventlog.event import schema
from eventlog.log import segment
from tests.log.damage import assert_each_is_named, cuts, flips
from tests.log.lanes import an_event_of, table_of

LANE = "1700-host-a"
KEY = segment.segment_key(LANE, 3)


def a_segment(rows: int = 2, **changes: Any) -> bytes:
    header = segment.Header(LANE, 3, 10, rows)
    header = msgspec.structs.replace(header, **changes)
    events = [an_event_of(LANE, seq) for seq in range(10, 10 + rows)]
    return segment.encode(header, table_of(events))[1]


def test_a_segment_comes_back_as_it_was_written() -> None:
    header, table = segment.decode(KEY, a_segment())
    assert (header.lane, header.slot, header.first_seq, header.end_seq) == (LANE, 3, 10, 12)
    assert table.equals(table_of([an_event_of(LANE, seq) for seq in (10, 11)]))


def test_an_arrow_reader_reads_a_segment_as_it_lies() -> None:
    with pa.ipc.open_stream(a_segment()) as stream:
        assert stream.read_all().num_rows == 2


def test_a_seal_has_no_rows() -> None:
    raw = segment.encode(segment.Header(LANE, 3, 10, 0, kind="seal"), None)[1]
    header, table = segment.decode(KEY, raw)
    assert (header.kind, header.end_seq, len(table)) == ("seal", 10, 0)
    assert table.schema == schema()


def test_every_flipped_bit_is_named_as_damage_of_the_segment() -> None:
    assert_each_is_named(flips(a_segment()), KEY, partial(segment.decode, KEY))


def test_a_segment_cut_at_any_byte_is_named_as_damage() -> None:
    assert_each_is_named(cuts(a_segment()), KEY, partial(segment.decode, KEY))


def test_a_segment_of_a_later_format_is_no_damage() -> None:
    raw = a_segment()
    later = raw[:-40] + bytes(32) + segment.MAGIC[:-1] + b"2"
    with pytest.raises(NewerFormat, match=KEY):
        segment.decode(KEY, later)


def test_a_segment_in_the_place_of_another_is_damage() -> None:
    with pytest.raises(Damage, match="slot 3 of lane"):
        segment.split(segment.segment_key(LANE, 4), a_segment())
    with pytest.raises(Damage, match="slot 3 of lane"):
        segment.split(segment.segment_key("other", 3), a_segment())


@pytest.mark.parametrize("changes", [{"first_seq": 11}, {"count": 3}, {"count": 1}])
def test_a_header_that_does_not_fit_its_rows_is_damage(changes: dict[str, Any]) -> None:
    with pytest.raises(Damage) as caught:
        segment.decode(KEY, a_segment(**changes))
    assert caught.value.key == KEY


@pytest.mark.parametrize("columns", [None, ["step"], []])
def test_rows_of_another_lane_are_damage(columns: list[str] | None) -> None:
    rows = table_of([an_event_of("other", 10)])
    raw = segment.encode(segment.Header(LANE, 3, 10, 1), rows)[1]
    with pytest.raises(Damage, match="not its own"):
        segment.decode(KEY, raw, columns)


@pytest.mark.parametrize("columns", [[], ["step"], ["value", "stream"], ["data", "lane"]])
def test_only_the_columns_wanted_are_read(columns: list[str]) -> None:
    _, whole = segment.decode(KEY, a_segment())
    _, table = segment.decode(KEY, a_segment(), columns)
    assert set(table.schema.names) == {"lane", "seq", *columns}
    assert table.equals(whole.select(table.schema.names))


def test_bytes_that_were_checked_are_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = a_segment()
    monkeypatch.setattr(segment.hashlib, "sha256", None)
    assert len(segment.decode(KEY, raw, checked=True)[1]) == 2


@pytest.mark.parametrize("column", ["seq", "time", "type", "stream"])
def test_rows_without_what_every_event_has_are_damage(column: str) -> None:
    rows = table_of([an_event_of(LANE, 10), an_event_of(LANE, 11)])
    field = rows.schema.field(column)
    rows = rows.set_column(rows.schema.get_field_index(column), field, pa.nulls(2, field.type))
    raw = segment.encode(segment.Header(LANE, 3, 10, 2), rows)[1]
    with pytest.raises(Damage) as caught:
        segment.decode(KEY, raw)
    assert caught.value.key == KEY


@pytest.mark.parametrize(
    "key",
    [
        "wal/a/7.arrow",
        "wal/a/000000000007",
        "wal/a/000000000007.tmp",
        "wal/a/00000000000².arrow",
        "data/a/000000000007.arrow",
    ],
)
def test_a_key_spelt_otherwise_is_no_segment(key: str) -> None:
    assert segment.parse_key(key) is None


def test_a_segments_key_names_its_place() -> None:
    assert segment.parse_key(KEY) == (LANE, 3)
