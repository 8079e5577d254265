from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eventlog.errors import Damage, Missing, NewerFormat
from eventlog.event import POINT_TYPE, schema
from eventlog.log import parquet
from eventlog.log.cache import SegmentCache
from eventlog.log.manifest import DataFile
from eventlog.log.parquet import OpenFile, index_key, parse_data_key
from tests.log.damage import assert_each_is_named, cuts, flips
from tests.log.hooked import Hooked
from tests.log.lanes import an_event_of, table_of


def numbered(table: pa.Table, number: int = 0) -> pa.Table:
    numbers = pa.array(np.full(len(table), number, np.int32))
    return table.append_column(pa.field("lane_number", pa.int32(), nullable=False), numbers)


def points(runs: int, steps: int, keys: int, seed: int = 0) -> pa.Table:
    """Losses as they look: noisy decays, logged 50 ms apart, as float64."""
    rng = np.random.default_rng(seed)
    parts = []
    for run in range(runs):
        step = np.arange(steps)
        times = 1_700_000_000_000_000 + np.cumsum(rng.normal(50_000, 3_000, steps)).astype("i8")
        for key in range(keys):
            noise = 0.05 * rng.standard_normal(steps)
            columns = {
                "lane": word(f"1700-host-{run}", steps),
                "seq": pa.array(step * keys + key),
                "time": pa.array(times).cast(pa.timestamp("us", "UTC")),
                "type": word(POINT_TYPE, steps),
                "stream": word(f"run:{run:04d}", steps),
                "key": word(f"loss{key}", steps),
                "step": pa.array(step),
                "value": pa.array(2 * np.exp(-step / 8_000) + noise),
                "data": pa.nulls(steps, pa.large_string()),
            }
            parts.append(numbered(pa.table(columns, schema=schema()), run))
    return pa.concat_tables(parts)


def word(text: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))


def facts(rows: int = 6) -> pa.Table:
    return numbered(table_of([an_event_of("1700-host-a", seq) for seq in range(rows)]))


def stored(table: pa.Table, group_rows: int = parquet.GROUP_ROWS) -> tuple[Hooked, DataFile]:
    backend = Hooked()
    file = parquet.write(backend, table, kind="points", version=7, tier=1, group_rows=group_rows)
    backend.asked.clear()
    return backend, file


def test_a_file_comes_back_as_it_was_written() -> None:
    table = points(2, 100, 2)
    backend, file = stored(table, 64)
    read = OpenFile(backend, file).read()
    assert read.schema.equals(table.schema)
    assert read.to_pylist() == table.to_pylist()


def test_nulls_nans_and_long_words_come_back() -> None:
    table = pa.concat_tables([facts(5), points(1, 3, 1)]).to_pylist()
    table[0]["value"], table[1]["value"], table[2]["value"] = float("inf"), -0.0, None
    table[3]["data"], table[4]["stream"] = None, "s" * 100_000
    written = pa.Table.from_pylist(table, schema=facts(1).schema)
    backend, file = stored(written, 3)
    assert OpenFile(backend, file).read().to_pylist() == table


def test_the_manifests_entry_says_what_the_file_holds() -> None:
    backend, file = stored(points(3, 50, 2), 64)
    assert (file.rows, file.version, file.tier, file.kind) == (300, 7, 1, "points")
    assert (file.lanes, file.streams) == ((0, 2), ("run:0000", "run:0002"))
    assert file.types == (POINT_TYPE,)
    assert file.size_bytes == len(backend.get(file.key))
    assert parse_data_key(file.key) == parse_data_key(index_key(file.key)) == 7


def test_other_keys_name_no_data_file() -> None:
    assert parse_data_key("data/7.parquet") is None
    assert parse_data_key("manifest/000000000007-a.parquet") is None
    assert parse_data_key("data/x-a.idx") is None


def test_any_parquet_tool_reads_a_file_as_it_lies() -> None:
    table = points(1, 50, 2)
    backend, file = stored(table)
    assert pq.read_table(pa.BufferReader(backend.get(file.key))).to_pylist() == table.to_pylist()


def test_numbers_are_delta_packed_and_values_split_by_bytes() -> None:
    backend, file = stored(points(1, 50, 1))
    group = pq.read_metadata(pa.BufferReader(backend.get(file.key))).row_group(0)
    columns = {c.path_in_schema: c for c in map(group.column, range(group.num_columns))}
    for name in ("seq", "step", "time", "lane_number"):
        assert "DELTA_BINARY_PACKED" in columns[name].encodings, name
    assert "BYTE_STREAM_SPLIT" in columns["value"].encodings
    assert {c.compression for c in columns.values()} == {"ZSTD"}


def test_a_point_takes_at_most_9_bytes() -> None:
    table = points(4, 50_000, 4)
    backend, file = stored(table)
    index_bytes = len(backend.get(index_key(file.key)))
    assert (file.size_bytes + index_bytes) / len(table) <= 9


def test_the_ranges_of_the_index_cover_every_byte_once() -> None:
    backend, file = stored(points(2, 100, 2), 64)
    index = OpenFile(backend, file).index
    chunks = [index.head, index.footer, *(c for group in index.groups for c in group.chunks)]
    at = 0
    for chunk in sorted(chunks, key=lambda chunk: chunk.start):
        assert chunk.start == at
        at = chunk.end
    assert at == file.size_bytes


def test_the_index_says_what_each_group_holds() -> None:
    table = points(2, 100, 1)
    backend, file = stored(table, 80)
    first, middle, _ = OpenFile(backend, file).groups
    assert (first.rows, first.first, first.last) == (
        80,
        ("run:0000", "loss0", 0),
        ("run:0000", "loss0", 79),
    )
    assert (middle.lanes, middle.seqs) == ((0, 1), (0, 99))


def test_groups_and_columns_are_read_alone() -> None:
    table = points(2, 100, 2)
    backend, file = stored(table, 64)
    read = OpenFile(backend, file).read([1, 3], ["step", "stream"])
    rows = [*range(64, 128), *range(192, 256)]
    assert read.to_pylist() == table.take(rows).select(["step", "stream"]).to_pylist()


def test_a_whole_file_is_one_request_beside_its_index() -> None:
    backend, file = stored(points(2, 100, 2), 64)
    OpenFile(backend, file).read()
    assert backend.asked == [("get", index_key(file.key)), ("get", file.key)]


def test_a_read_fetches_little_more_than_it_needs() -> None:
    backend, file = stored(points(4, 50_000, 1), 50_000)
    opened = OpenFile(backend, file)
    fetched = []
    get_many = backend.get_many
    backend.get_many = lambda ranges: fetched.extend(ranges := list(ranges)) or get_many(ranges)  # type: ignore[method-assign, func-returns-value]
    opened.read([2], ["step"])
    assert sum((r.end or 0) - r.start for r in fetched) < file.size_bytes / 10


def test_a_second_read_asks_for_no_footer_again() -> None:
    backend, file = stored(points(4, 50_000, 1), 50_000)
    opened = OpenFile(backend, file)
    opened.read([2], ["step"])
    backend.asked.clear()
    opened.read([2], ["step"])
    assert backend.asked == [("get_many", file.key)]


def reading(backend: Hooked, file: DataFile, key: str) -> Callable[[bytes], pa.Table]:
    """Reads the file with other bytes in an object's place."""

    def read(raw: bytes) -> pa.Table:
        backend.replace(key, raw)
        return OpenFile(backend, file).read()

    return read


def test_every_flipped_bit_of_an_index_is_named() -> None:
    backend, file = stored(facts(), 3)
    key = index_key(file.key)
    assert_each_is_named(flips(backend.get(key)), key, reading(backend, file, key))


def test_an_index_cut_at_any_byte_is_named() -> None:
    backend, file = stored(facts(), 3)
    key = index_key(file.key)
    assert_each_is_named(cuts(backend.get(key)), key, reading(backend, file, key))


def test_every_flipped_bit_of_a_file_is_named() -> None:
    backend, file = stored(facts(), 3)
    assert_each_is_named(
        flips(backend.get(file.key), 3), file.key, reading(backend, file, file.key)
    )


def test_a_file_cut_at_any_byte_is_named() -> None:
    backend, file = stored(facts(), 3)
    assert_each_is_named(cuts(backend.get(file.key)), file.key, reading(backend, file, file.key))


def test_a_range_read_gives_the_right_rows_or_names_the_damage() -> None:
    table = points(2, 40, 1)
    backend, file = stored(table, 40)
    expected = table.slice(40, 40).select(["stream", "step", "value"])
    intact = backend.get(file.key)
    named, unread = set(), 0
    for raw in flips(intact, 101):
        backend.replace(file.key, raw)
        try:
            read = OpenFile(backend, file).read([1], ["stream", "step", "value"])
        except Damage as damage:
            named.add(damage.key)
        else:
            unread += 1
            assert read.to_pylist() == expected.to_pylist()
    assert named == {file.key}
    assert unread, "flips in other chunks do not concern the read"


def test_damaged_bytes_never_reach_a_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, file = stored(facts(), 3)
    raw = bytearray(backend.get(file.key))
    raw[len(raw) // 3] ^= 1
    backend.replace(file.key, bytes(raw))

    def decoder(*_: object, **__: object) -> None:
        pytest.fail("a decoder saw damaged bytes")

    monkeypatch.setattr(pq, "ParquetFile", decoder)
    monkeypatch.setattr(pq, "read_metadata", decoder)
    with pytest.raises(Damage):
        OpenFile(backend, file).read()


def test_bytes_that_were_not_checked_are_not_served() -> None:
    backend, file = stored(points(2, 40, 1), 40)
    opened = OpenFile(backend, file)
    pieces = opened.fetch([0], ["lane", "step"])
    assert len(opened.decode([0], ["step"], pieces)) == 40
    with pytest.raises(Damage, match="not checked"):
        opened.decode([0], ["value"], pieces)


def test_an_index_of_another_file_is_damage() -> None:
    backend, file = stored(facts(), 3)
    forged = msgspec.structs.replace(file, rows=file.rows + 1)
    with pytest.raises(Damage, match="another file"):
        OpenFile(backend, forged).read()


def test_an_index_of_a_later_format_asks_for_an_upgrade() -> None:
    backend, file = stored(facts(), 3)
    raw = msgspec.msgpack.encode({"format": parquet.INDEX_FORMAT + 1, "new": True})
    backend.replace(index_key(file.key), raw)
    later = msgspec.structs.replace(file, index_sha256=hashlib.sha256(raw).hexdigest())
    with pytest.raises(NewerFormat, match="upgrade"):
        OpenFile(backend, later).read()


@pytest.mark.parametrize("part", ["index", "file"])
def test_a_file_that_is_gone_is_missing_and_not_damaged(part: str) -> None:
    backend, file = stored(facts(), 3)
    backend.delete([file.key if part == "file" else index_key(file.key)])
    with pytest.raises(Missing):
        OpenFile(backend, file).read()


def test_a_lost_answer_to_a_put_is_no_error() -> None:
    backend = Hooked()
    table = facts()
    put_new = backend.put_new

    def put_twice(key: str, data: bytes) -> None:
        put_new(key, data)
        put_new(key, data)

    backend.put_new = put_twice  # type: ignore[method-assign]
    file = parquet.write(backend, table, kind="facts", version=1, tier=0)
    assert OpenFile(backend, file).read().to_pylist() == table.to_pylist()


def test_a_cached_file_is_not_asked_for_again(tmp_path: Path) -> None:
    table = points(2, 100, 1)
    backend, file = stored(table, 100)
    cache = SegmentCache(tmp_path)
    OpenFile(backend, file, cache).read([0], ["value"])
    backend.asked.clear()
    read = OpenFile(backend, file, cache).read([0], ["value"])
    assert not backend.asked
    assert read.to_pylist() == table.slice(0, 100).select(["value"]).to_pylist()


def test_damaged_bytes_are_not_cached(tmp_path: Path) -> None:
    table = points(1, 100, 1)
    backend, file = stored(table, 100)
    cache = SegmentCache(tmp_path)
    intact = backend.get(file.key)
    backend.replace(file.key, bytes(len(intact)))
    with pytest.raises(Damage):
        OpenFile(backend, file, cache).read()
    backend.replace(file.key, intact)
    assert len(OpenFile(backend, file, cache).read()) == 100
