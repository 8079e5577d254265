"""The order of data files, and merging them piece by piece."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from eventlog.event import POINT_TYPE, schema
from eventlog.log.read import order


def _table(rows: list[tuple[str, int, str, str, str | None, int | None, float | None]]) -> pa.Table:
    lane, seq, type_, stream, key, step, value = zip(*rows, strict=True)
    given = {
        "lane": lane,
        "seq": seq,
        "time": [0] * len(rows),
        "type": type_,
        "stream": stream,
        "key": key,
        "step": step,
        "value": value,
        "data": [None] * len(rows),
    }
    return pa.Table.from_arrays(
        [pa.array(given[f.name], type=f.type) for f in schema()], schema=schema()
    )


def _random(count: int, seed: int) -> pa.Table:
    chance = random.Random(seed)
    return _table(
        [
            (
                f"lane{chance.randrange(5)}",
                n,
                POINT_TYPE,
                chance.choice(["run:a", "run:é", "run:z", "run:😀"]),
                chance.choice(["loss", "acc"]),
                chance.randrange(-50, 50),
                1.0,
            )
            for n in range(count)
        ]
    )


def _keys(table: pa.Table, kind: order.Kind) -> list[tuple[object, ...]]:
    columns = [table[name].to_pylist() for name in order.ORDER[kind]]
    plain = [[v.encode() if isinstance(v, str) else v for v in c] for c in columns]
    return list(zip(*plain, strict=True))


@pytest.mark.parametrize("kind", order.KINDS)
def test_rows_are_sorted_as_python_sorts_their_keys(kind: order.Kind) -> None:
    table = pa.concat_tables([_random(300, 1), _random(300, 2)])
    assert _keys(order.sort(table, kind), kind) == sorted(_keys(table, kind))


def test_a_point_is_a_metric_with_a_key_a_step_and_a_value_and_no_data() -> None:
    table = _table(
        [
            ("a", 0, POINT_TYPE, "run:1", "loss", 1, 0.5),
            ("a", 1, POINT_TYPE, "run:1", "loss", 1, float("nan")),
            ("a", 2, POINT_TYPE, "run:1", None, 1, 0.5),
            ("a", 3, POINT_TYPE, "run:1", "loss", None, 0.5),
            ("a", 4, POINT_TYPE, "run:1", "loss", 1, None),
            ("a", 5, "param.set", "run:1", "loss", 1, 0.5),
        ]
    )
    parts = order.split_kinds(table)
    assert parts["points"]["seq"].to_pylist() == [0, 1]
    assert parts["facts"]["seq"].to_pylist() == [2, 3, 4, 5]


@pytest.mark.parametrize("buffer_rows", [1, 7, 64, 10_000])
@pytest.mark.parametrize("kind", order.KINDS)
def test_merging_sorted_files_gives_all_rows_in_order(kind: order.Kind, buffer_rows: int) -> None:
    tables = [order.sort(_random(40 + 30 * n, n), kind) for n in range(5)]
    files = []
    for table in tables:
        sizes = [10] * (len(table) // 10)

        def read(groups: range, table: pa.Table = table) -> pa.Table:
            return table.slice(groups[0] * 10, len(groups) * 10)

        files.append(order.SortedFile(sizes, read))  # type: ignore[arg-type]
    merged = pa.concat_tables(list(order.merge(files, kind, buffer_rows)))
    assert _keys(merged, kind) == sorted(k for table in tables for k in _keys(table, kind))


def test_merging_holds_little_more_than_its_buffer() -> None:
    held: list[int] = []
    open_rows = 0

    def file(first: int) -> order.SortedFile:
        rows = [("a", first + n, "noted", f"run:{first:04}", None, None, None) for n in range(200)]
        table = _table(rows)  # type: ignore[arg-type]

        def read(groups: range) -> pa.Table:
            nonlocal open_rows
            open_rows += len(groups) * 10
            held.append(open_rows)
            return table.slice(groups[0] * 10, len(groups) * 10)

        return order.SortedFile([10] * 20, read)  # type: ignore[arg-type]

    for piece in order.merge([file(1000 * n) for n in range(8)], "facts", 160):
        open_rows -= len(piece)
    assert max(held) <= 2 * 160
    assert open_rows == 0


def test_pieces_are_cut_by_rows_and_by_bytes() -> None:
    table = _random(1000, 3)
    by_rows = list(order.in_pieces([table.slice(0, 990), table.slice(990)], 300, 1 << 40))
    assert [len(piece) for piece in by_rows] == [300, 300, 300, 100]
    assert pa.concat_tables(by_rows).equals(table)
    by_bytes = list(order.in_pieces([table.slice(n * 10, 10) for n in range(100)], 10_000, 5_000))
    assert len(by_bytes) > 3
    assert pa.concat_tables(by_bytes).equals(table)
