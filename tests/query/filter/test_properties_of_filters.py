"""Filters against what they mean, for all trees and all texts that Hypothesis thinks of."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventlog.query.filter import (
    Column,
    FilterError,
    Like,
    Literal,
    Node,
    compile_filter,
    compile_order,
    parse,
    parse_columns,
    parse_order,
    resolved,
    unparse,
)
from eventlog.query.filter.error import WIDTH
from tests.query.filter import trees
from tests.query.filter.naive import holds
from tests.query.filter.rows import NOW, KnownColumns, Row, frame_of

WORDS = (
    "metrics.acc metrics.loss.min metrics.`a b.c` params.lr params.model tags.team name status "
    'start_time duration_s deleted metrics.nope params.x metrcs.acc metrics. tags." ` \' " \\ '
    "and or not in is null between like ilike matches true false nan inf now asc desc none "
    "( ) , + - = == != <> < <= > >= => && ! ~ . 1 0.5 1e5 1e999 99 5m -7d 1h30m 5x 2026-11-01 "
    "'2026-11-01' \"adam\" 'a%' '0.1' '(' '[a' \"\\d+\" 'a{999}{999}' "
    "日本 “ ” \U0001f600 \x00 \n \ud800"
).split(" ")
garbage = st.text(max_size=20) | st.text(st.characters(), max_size=5)
fuzz = st.lists(st.sampled_from(WORDS) | garbage, max_size=40).flatmap(
    lambda words: st.sampled_from(["", " "]).map(lambda gap: gap.join(words)[:200])
)
conditions = st.tuples(*[st.sampled_from(WORDS)] * 3).map(" ".join)
likely = st.lists(conditions, min_size=1, max_size=3).map(" and ".join)


@given(trees.any_tree)
def test_a_tree_survives_its_text(tree: Node) -> None:
    assert parse(unparse(tree)) == tree


@given(trees.shapes)
def test_the_shape_of_a_tree_survives_its_text(tree: Node) -> None:
    assert parse(unparse(tree)) == tree


@given(trees.columns)
def test_a_column_survives_its_text(column: Column) -> None:
    assert parse_columns([unparse(column)]) == [column]


@given(trees.meaningful, st.lists(trees.rows, min_size=1, max_size=6))
def test_a_filter_finds_what_it_means(tree: Node, rows: Sequence[Row]) -> None:
    found = frame_of(rows).select("row", truth=compile_filter(tree, KnownColumns(), NOW))
    assert found["truth"].to_list() == [holds(tree, row) for row in rows]


def check(error: FilterError, text: str) -> None:
    assert error.text == text
    assert 0 <= error.start <= error.end <= len(text)
    what, *_ = lines = str(error).split("\n")
    assert what == error.what
    assert error.lines() == (what, error.remedy)
    assert what.endswith(".")
    assert error.remedy.endswith((".", "?"))
    assert lines[-1] == error.remedy
    if text:
        _, shown, carets, _ = lines
        assert set(carets.strip()) == {"^"}
        assert len(shown) <= WIDTH + 2
        assert shown.isprintable()


@given(fuzz | likely)
@example("a")
@example("name matches '('")
def test_any_text_is_a_filter_or_an_error_with_its_place(text: str) -> None:
    try:
        tree = parse(text)
        frame = frame_of([{}]).lazy().filter(compile_filter(tree, KnownColumns(), NOW))
        assert isinstance(frame.collect(), pl.DataFrame)
    except FilterError as error:
        check(error, text)


@given(fuzz | likely)
def test_any_text_is_an_order_or_an_error_with_its_place(text: str) -> None:
    try:
        compile_order(parse_order(text), KnownColumns())
    except FilterError as error:
        check(error, text)


@given(fuzz | likely)
def test_any_text_is_a_choice_of_columns_or_an_error_with_its_place(text: str) -> None:
    try:
        for column in parse_columns(text):
            resolved(column, KnownColumns())
    except FilterError as error:
        check(error, text)


@given(trees.any_tree)
def test_any_tree_compiles_or_says_why_not(tree: Node) -> None:
    text = unparse(tree)
    try:
        compile_filter(parse(text), KnownColumns(), NOW)
    except FilterError as error:
        check(error, text)


def test_a_tree_that_nobody_wrote_has_errors_without_a_place() -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter(Like(Column("metrics", "acc"), Literal("a%")), KnownColumns())
    assert (caught.value.text, caught.value.start, caught.value.end) == ("", 0, 0)
