"""What is a filter, and what it says."""

from __future__ import annotations

import datetime as dt
import math
import time

import pytest

from eventlog.errors import UsageError
from eventlog.query.filter import (
    And,
    Between,
    Column,
    Compare,
    FilterError,
    In,
    IsNull,
    Kind,
    Like,
    Literal,
    Matches,
    Node,
    Not,
    Now,
    Or,
    parse,
    unparse,
    words_of,
)
from eventlog.query.filter.cursor import LENGTH
from eventlog.query.filter.parse import CONDITIONS, DEPTH, VALUES

A, B, C = (Compare(Column("attributes", key), "=", Literal(1)) for key in "abc")
X = Column("metrics", "x")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a=1", A),
        ("a = 1 and b = 1 or c = 1", Or((And((A, B)), C))),
        ("a = 1 or b = 1 AND c = 1", Or((A, And((B, C))))),
        ("(a = 1 or b = 1) and c = 1", And((Or((A, B)), C))),
        ("((a = 1))", A),
        ("not a = 1 and b = 1", And((Not(A), B))),
        ("NOT (a = 1 And b = 1)", Not(And((A, B)))),
        ("not not a = 1", Not(Not(A))),
        ("(a = 1 and b = 1) and c = 1", And((And((A, B)), C))),
        ("\n a\t=\u00a01 ", A),
        ("metrics.x in (1, 'a',)", In(X, (Literal(1), Literal("a")))),
        ("metrics.x not in (1)", Not(In(X, (Literal(1),)))),
        ("metrics.x is null", IsNull(X)),
        ("metrics.x IS NOT NULL", Not(IsNull(X))),
        ("metrics.x between 1 and 2 and a = 1", And((Between(X, Literal(1), Literal(2)), A))),
        ("metrics.x not between 1 and 2", Not(Between(X, Literal(1), Literal(2)))),
        ("metrics.x like 'a%'", Like(X, Literal("a%"))),
        ("metrics.x not ilike 'a%'", Not(Like(X, Literal("a%"), ignores_case=True))),
        (r"metrics.x matches '\d+'", Matches(X, Literal(r"\d+"))),
    ],
)
def test_a_filter_is_a_tree(text: str, tree: Node) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("written", "operator"),
    [("=", "="), ("==", "="), ("!=", "!="), ("<>", "!="), ("<", "<"), ("<=", "<="), (">=", ">=")],
)
def test_comparisons_have_their_spellings(written: str, operator: str) -> None:
    tree = parse(f"a{written}1")
    assert isinstance(tree, Compare)
    assert tree.operator == operator


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [
        ("metrics.val/acc", "metrics", "val/acc"),
        ("metrics.loss.min", "metrics", "loss.min"),
        ("metrics.a-b@5:c", "metrics", "a-b@5:c"),
        ("metrics.in", "metrics", "in"),
        ("metrics.größe", "metrics", "größe"),
        ('metrics."a b.c"', "metrics", "a b.c"),
        ("metrics.`weird ``key```", "metrics", "weird `key`"),
        ('metrics."a b".min', "metrics", "a b.min"),
        ("metrics.a.`b c`.d", "metrics", "a.b c.d"),
        ("metric.x", "metrics", "x"),
        ("param.x", "params", "x"),
        ("parameter.x", "params", "x"),
        ("tag.mlflow.user", "tags", "mlflow.user"),
        ("attr.status", "attributes", "status"),
        ("attribute.status", "attributes", "status"),
        ("run.status", "attributes", "status"),
        ("Attributes.status", "attributes", "status"),
        ("status", "attributes", "status"),
        ("attributes.run_name", "attributes", "name"),
        ("attributes.`Run name`", "attributes", "name"),
        ("user_id", "attributes", "user"),
        ("attributes.artifact_uri", "attributes", "artifact_uri"),
        ("attributes.`not`", "attributes", "not"),
    ],
)
def test_names_are_spelled_plainly_in_quotes_and_as_mlflow_does(
    name: str, kind: Kind, key: str
) -> None:
    tree = parse(f"{name} is null")
    assert isinstance(tree, IsNull)
    assert tree.column == Column(kind, key)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"a"', "a"),
        ("'it''s'", "it's"),
        (r"'it\'s'", "it's"),
        (r'"a\\b\d"', r"a\b\d"),
        ('"say ""hi"""', 'say "hi"'),
        ("''", ""),
        ("'two\nlines'", "two\nlines"),
        ("1", 1),
        ("-1", -1),
        ("- 1", -1),
        ("+.5", 0.5),
        ("1.", 1.0),
        ("1e-3", 0.001),
        ("-0.0", -0.0),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        ("NaN", math.nan),
        ("-nan", math.nan),
        ("TRUE", True),
        ("false", False),
        ("5m", dt.timedelta(minutes=5)),
        ("-7d", dt.timedelta(days=-7)),
        ("1h30m", dt.timedelta(hours=1.5)),
        ("1.5h", dt.timedelta(hours=1.5)),
        ("2w", dt.timedelta(days=14)),
        ("1s500ms3us", dt.timedelta(seconds=1, microseconds=500_003)),
        ("now", Now()),
        ("now - 2h", Now(dt.timedelta(hours=-2))),
        ("now-2h", Now(dt.timedelta(hours=-2))),
        ("NOW + 1d", Now(dt.timedelta(days=1))),
    ],
)
def test_values_are_what_they_look_like(written: str, value: object) -> None:
    tree = parse(f"a = {written} and b = 1")
    assert isinstance(tree, And)
    assert isinstance(tree.items[0], Compare)
    assert tree.items[0].value == Literal(value)  # type: ignore[arg-type]


def test_values_of_different_types_are_different() -> None:
    values: list[int | float | bool | str] = [1, 1.0, True, "1", 0.0, -0.0, math.nan]
    assert len({Literal(value) for value in values}) == len(values)
    assert Literal(1) != 1


def test_every_node_knows_its_place() -> None:
    text = ' metrics."a b" in (1, -2d) and not name like "x%"'
    tree = parse(text)
    assert isinstance(tree, And)
    among, negation = tree.items
    assert isinstance(among, In)
    assert isinstance(negation, Not)
    assert isinstance(negation.item, Like)
    placed = [tree, among, among.column, *among.values, negation, negation.item.pattern]
    assert [text[node.at.start : node.at.end] for node in placed] == [
        text[1:], 'metrics."a b" in (1, -2d)', 'metrics."a b"', "1", "-2d", 'not name like "x%"',
        '"x%"',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("METRIC.x==.5 AND(run_name<>'a')", 'metrics.x = 0.5 and name != "a"'),
        ("a=1 and (b=1 or c=1)", "a = 1 and (b = 1 or c = 1)"),
        ("a=1 and (b=1 and c=1)", "a = 1 and (b = 1 and c = 1)"),
        ("(a=1 and b=1) or (c=1 or d=1)", "a = 1 and b = 1 or (c = 1 or d = 1)"),
        ("not (a not in (1))", "not a not in (1)"),
        ("not a is null", "a is not null"),
        (r"a matches '\d\\\''", r'a matches "\d\\' + "'" + '"'),
        ("tags.`a b` = now-90m", "tags.`a b` = now - 1h30m"),
        ("attributes.`not` = -0s", "attributes.not = 0s"),
        ("a = 1e20", "a = 1e+20"),
    ],
)
def test_a_tree_has_one_text(text: str, canonical: str) -> None:
    assert unparse(parse(text)) == canonical
    assert parse(canonical) == parse(text)


def test_the_words_of_filters_are_the_columns_that_they_need() -> None:
    tree = parse("metrics.a > 1 and not (params.b = 1 or metrics.a is null) and name in ('x')")
    assert words_of(tree, Column("tags", "c")) == {
        ("metrics", "a"), ("params", "b"), ("attributes", "name"), ("tags", "c"),
    }  # fmt: skip


@pytest.mark.parametrize("nested", ["(", "not "])
@pytest.mark.parametrize("levels", [DEPTH + 1, 10_000])
def test_deep_nesting_is_refused(nested: str, levels: int) -> None:
    closed = ")" * levels if nested == "(" else ""
    with pytest.raises(FilterError, match=r"more than 100 levels deep") as caught:
        parse(nested * levels + "a = 1" + closed)
    assert caught.value.start == DEPTH * len(nested)


def test_nesting_is_allowed_as_deep_as_people_read() -> None:
    assert parse("(" * DEPTH + "a = 1" + ")" * DEPTH) == A
    assert parse(" and ".join(["(a = 1)"] * (DEPTH + 1)))
    assert parse(" and ".join(["not a = 1"] * (DEPTH + 1)))


def test_more_conditions_than_polars_plans_are_refused() -> None:
    assert parse(" or ".join(["a = 1"] * CONDITIONS))
    with pytest.raises(FilterError, match=r"Write `in \(…\)` for many values"):
        parse(" or ".join(["a = 1"] * (CONDITIONS + 1)))


def test_a_list_of_ids_may_be_long_but_not_endless() -> None:
    began = time.process_time()
    ids = ", ".join(f"'{n:036}'" for n in range(25_000))
    assert len(ids) == 999_998
    tree = parse(f"run_id in ({ids})")
    assert isinstance(tree, In)
    assert len(tree.values) == 25_000
    with pytest.raises(FilterError, match="the list has more than 100,000 values"):
        parse(f"a in ({'1,' * (VALUES + 1)}")
    assert time.process_time() - began < 20  # seconds of CPU; a tenth of that here


@pytest.mark.parametrize("text", ["(" * LENGTH, "a" * LENGTH, "'" * LENGTH, "a." * (LENGTH // 2)])
def test_a_megabyte_of_nonsense_is_refused_soon(text: str) -> None:
    began = time.process_time()
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert len(str(caught.value)) < 1_000
    assert time.process_time() - began < 10


def test_a_book_is_no_filter() -> None:
    with pytest.raises(FilterError, match="the filter has 1,048,577 characters"):
        parse("a = " + "1" * (LENGTH - 3))


@pytest.mark.parametrize("value", [None, 5, b"a = 1"])
def test_a_filter_is_a_str(value: object) -> None:
    with pytest.raises(UsageError, match="Write it as text"):
        parse(value)  # type: ignore[arg-type]
