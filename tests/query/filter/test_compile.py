"""What filters find, and how orders sort."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest

from eventlog.query.filter import (
    Columns,
    Kind,
    Resolved,
    compile_filter,
    compile_order,
    parse,
    parse_columns,
    parse_order,
    resolved,
)
from tests.query.filter.rows import DTYPES, NOW, KnownColumns, frame_of
from tests.tree import run_python

DAY = dt.timedelta(days=1)
ROWS: list[Mapping[str, Any]] = [
    {"name": "a", "status": "FINISHED", "acc": 0.9, "loss": 1.0, "lr": 0.1, "model": "tree"},
    {"name": "B%", "status": "FAILED", "acc": math.nan, "lr": "0.1", "model": True, "team": 7},
    {"name": "c\nd", "status": "RUNNING", "acc": math.inf, "lr": 1, "model": "True",
     "team": "1.10"},
    {"start_time": NOW - DAY, "duration_s": 90.0, "deleted": True, "lr": math.nan, "team": "007"},
    {"start_time": NOW, "duration_s": 3600.0, "deleted": False, "lr": "adam", "team": 1.1},
]  # fmt: skip


def rows() -> pl.DataFrame:
    """`ROWS`, each key of the kind that has it."""
    keys = {key: (kind, key) for kind, key in DTYPES}
    return frame_of([{keys[key]: value for key, value in row.items()} for row in ROWS])


def found(text: str) -> list[int]:
    """The numbers of the rows that a filter finds."""
    chosen = rows().filter(compile_filter(parse(text), KnownColumns(), NOW))
    return chosen["row"].to_list()


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        # numbers
        ("metrics.acc > 0.5", [0, 2]),
        ("metrics.acc >= 0.9", [0, 2]),
        ("metrics.acc < inf", [0]),
        ("metrics.acc <= inf", [0, 2]),
        ("metrics.acc = inf", [2]),
        ("metrics.acc = '0.9'", [0]),
        ("metrics.acc = nan", [1]),
        ("metrics.acc != nan", [0, 2]),
        ("metrics.acc != 0.9", [1, 2]),
        ("not metrics.acc > 0.5", [1]),
        ("metrics.acc in (nan, 0.9)", [0, 1]),
        ("metrics.acc between 0 and 1", [0]),
        ("metrics.acc not between 0 and 1", [1, 2]),
        ("metrics.acc is null", [3, 4]),
        ("metrics.acc is not null", [0, 1, 2]),
        ("metrics.loss = 1 or metrics.acc is null", [0, 3, 4]),
        ("metrics.loss != 1", []),
        ("not (metrics.loss = 1)", []),
        # attributes
        ("status = 'FINISHED'", [0]),
        ("status in ('FAILED', 'RUNNING', 'x')", [1, 2]),
        ("status != 'FINISHED'", [1, 2]),
        ("status like 'f%'", []),
        ("status ilike 'f%'", [0, 1]),
        ("status > 'FB'", [0, 2]),
        (r"name like '_\%'", [1]),
        ("name like '%\n%'", [2]),
        ("name like 'a' or name like '_'", [0]),
        ("name matches '[A-Z]'", [1]),
        ("name matches '^c$'", []),
        ("name matches '(?m)^c$'", [2]),
        ("name not like '%a%'", [1, 2]),
        ("deleted = true", [3]),
        ("deleted != true", [4]),
        ("deleted in (true, false)", [3, 4]),
        ("duration_s > 5m", [4]),
        ("duration_s <= 90", [3]),
        ("duration_s = 1m30s", [3]),
        # times
        ("start_time > -12h", [4]),
        ("start_time >= now - 24h", [3, 4]),
        ("start_time <= now", [3, 4]),
        ("start_time < '2026-11-08'", [3]),
        ("start_time = '2026-11-08T12:00'", [4]),
        ("start_time = '2026-11-08T14:00+02:00'", [4]),
        ("start_time = '2026-11-08T12:00:00Z'", [4]),
        (f"start_time = {NOW.timestamp() * 1000:.0f}", [4]),
        (f"start_time in ({NOW.timestamp() * 1000:.0f}, '2026-11-07T12:00')", [3, 4]),
        ("start_time between '2026-11-07' and '2026-11-08'", [3]),
        # params and tags
        ("params.lr = 0.1", [0, 1]),
        ("params.lr = '0.1'", [0, 1]),
        ("params.lr = '0.10'", [0]),
        ("params.lr < 0.5", [0, 1]),
        ("params.lr < '0.5'", [0, 1]),
        ("params.lr != 0.1", [2, 3, 4]),
        ("params.lr != 'adam'", [0, 1, 2, 3]),
        ("not params.lr < 0.5", [2, 3]),
        ("params.lr = nan", [3]),
        ("params.lr in (1, 'adam')", [2, 4]),
        ("params.lr between 0 and 1", [0, 1, 2]),
        ("params.lr between 'a' and 'b'", [4]),
        ("params.lr like '0.%'", [0, 1]),
        ("params.model = true", [1, 2]),
        ("params.model = 'True'", [1, 2]),
        ("params.model = 'true'", [1]),
        ("params.model = 1", []),
        ("params.model != 3", [0, 1, 2]),
        ("params.model is null", [3, 4]),
        ("tags.team = '1.10'", [2, 4]),
        ("tags.team = '1.1'", [4]),
        ("tags.team = 1.1", [2, 4]),
        ("tags.team = '7'", [1]),
        ("tags.team = 7", [1, 3]),
    ],
)
def test_a_filter_finds_the_rows_that_it_is_true_for(text: str, numbers: list[int]) -> None:
    assert found(text) == numbers


def test_an_unknown_condition_is_null() -> None:
    truth = compile_filter(parse("metrics.loss = 1"), KnownColumns())
    assert rows().select(truth).to_series().to_list() == [True, None, None, None, None]


def test_a_metric_of_a_literal_name_wins_where_the_resolver_says_so() -> None:
    [column] = parse_columns("metrics.loss.min")
    assert resolved(column, KnownColumns()) == Resolved("metrics.loss.min", "number")


def test_params_without_texts_that_are_numbers_are_not_read() -> None:
    class Numeric(KnownColumns):
        def resolve(self, kind: Kind, key: str) -> Resolved | None:
            name = f"{kind}.{key}"
            return Resolved(name, "typed", f"{name}.number", name, reads_texts=False)

    truth = compile_filter(parse("params.lr = 0.1"), Numeric())
    assert rows().filter(truth)["row"].to_list() == [0]


def test_categories_are_compared_as_their_text() -> None:
    frame = rows().with_columns(pl.col("params.lr", "attributes.name").cast(pl.Categorical))
    for text in ("params.lr = 0.1", "params.lr like '0%'", "params.lr in ('0.1', 'b')"):
        truth = compile_filter(parse(text), KnownColumns())
        assert frame.filter(truth)["row"].to_list() == [0, 1]
    truth = compile_filter(parse("name > 'B%'"), KnownColumns())
    assert frame.filter(truth)["row"].to_list() == [0, 2]


def test_only_typed_columns_have_two_columns() -> None:
    with pytest.raises(ValueError, match="typed"):
        Resolved("a", "number", number="b", text="c")
    with pytest.raises(ValueError, match="typed"):
        Resolved("a", "typed")


def test_times_are_compared_whatever_their_unit() -> None:
    frame = rows().with_columns(pl.col("attributes.start_time").dt.cast_time_unit("ms"))
    for text in ("start_time in ('2026-11-08T12:00', -2d)", "start_time = now"):
        truth = compile_filter(parse(text), KnownColumns(), NOW)
        assert frame.filter(truth)["row"].to_list() == [4]


def test_a_pattern_of_many_percent_signs_is_no_large_one() -> None:
    assert found(f"name like 'a{'%' * 100_000}'") == [0]


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        ("metrics.acc", [0, 2, 1, 3, 4]),
        ("metrics.acc DESC", [2, 0, 1, 3, 4]),
        ("name desc", [2, 0, 1, 3, 4]),
        ("status", [1, 0, 2, 3, 4]),
        ("start_time desc, name", [4, 3, 1, 0, 2]),
        (["start_time asc", "name"], [3, 4, 1, 0, 2]),
        ("params.lr", [0, 1, 2, 3, 4]),
        ("params.lr desc, name desc", [2, 0, 1, 4, 3]),
        ("deleted", [4, 3, 0, 1, 2]),
    ],
)
def test_an_order_puts_rows_without_a_value_and_nan_last(
    order: str | list[str], numbers: list[int]
) -> None:
    sort = compile_order(parse_order(order), KnownColumns())
    frame = rows().sort(sort.by, descending=sort.descending, nulls_last=True, maintain_order=True)
    assert frame["row"].to_list() == numbers


def test_columns_may_be_one_text_or_several() -> None:
    columns = parse_columns(["name, metrics.`a b.c`", "params.lr"])
    names = [resolved(column, KnownColumns()).name for column in columns]
    assert names == ["attributes.name", "metrics.a b.c", "params.lr"]


def test_a_thousand_conditions_are_planned_soon() -> None:
    text = " and ".join(f"metrics.acc != {n}" for n in range(1_000))
    assert found(text) == [0, 1, 2]


def test_known_columns_keep_the_protocol() -> None:
    columns: Columns = KnownColumns()
    assert columns.resolve("metrics", "nope") is None


def test_parsing_loads_no_polars() -> None:
    code = (
        "from eventlog.query import filter as f\n"
        "f.unparse(f.parse('metrics.acc > 1')), f.parse_order('name desc')\n"
        "print('polars' in sys.modules)"
    )
    assert run_python(code).strip() == "False"
