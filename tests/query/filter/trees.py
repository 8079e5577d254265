"""Hypothesis' filters: any tree at all, and those that mean something for `rows`."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from hypothesis import strategies as st

from eventlog.query.filter import (
    And,
    Between,
    Column,
    Compare,
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
)
from eventlog.query.filter.names import ATTRIBUTES
from tests.query.filter.rows import DTYPES, NOW

COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
KINDS: tuple[Kind, ...] = ("attributes", "metrics", "params", "tags")
Nodes = st.SearchStrategy[Node]

texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.text("\\'\"`%_. ", max_size=8)
usual_keys = st.sampled_from(["acc", "loss.min", "a b.c", "in", "NOT", "val/acc", "now", '"`'])
keys = usual_keys | texts.filter(lambda text: text != "" and text not in ATTRIBUTES)
columns = st.builds(Column, st.sampled_from(KINDS), keys)
durations = st.timedeltas(dt.timedelta(days=-400_000), dt.timedelta(days=400_000))
numbers = (
    st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.just(math.nan)  # the only NaN that is written
)
literals = st.builds(
    Literal, texts | numbers | st.booleans() | durations | st.builds(Now, durations)
)
patterns = st.builds(Literal, texts)


def combined(conditions: Nodes) -> Nodes:
    """Conditions under And, Or and Not."""

    def grown(nodes: Nodes) -> Nodes:
        items = st.lists(nodes, min_size=2, max_size=3).map(tuple)
        return st.builds(And, items) | st.builds(Or, items) | st.builds(Not, nodes)

    return st.recursive(conditions, grown, max_leaves=8)


any_tree = combined(
    st.builds(Compare, columns, st.sampled_from(COMPARISONS), literals)
    | st.builds(In, columns, st.lists(literals, min_size=1, max_size=3).map(tuple))
    | st.builds(Between, columns, literals, literals)
    | st.builds(IsNull, columns)
    | st.builds(Like, columns, patterns, st.booleans())
    | st.builds(Matches, columns, patterns)
)

shapes = combined(st.sampled_from([IsNull(Column("tags", key)) for key in "abc"]))

# Few values, so that rows and filters meet.
some_numbers = st.sampled_from(
    [0.0, -0.0, 0.1, 1.0, 2.5, -3.0, 1e300, math.inf, -math.inf, math.nan]
)
some_texts = st.sampled_from(
    ["", "a", "adam", "Adam", "sgd", "0.1", "0.10", "1", "nan", "inf", "true", "True", "a%b", "é\n"]
)
some_times = st.sampled_from(
    [NOW, NOW - dt.timedelta(hours=2), NOW - dt.timedelta(days=7), NOW - dt.timedelta(days=30)]
)
some_patterns = st.text("ad%_\\.é", max_size=4)
some_regexes = st.sampled_from(["a", "^a", "d.m$", "[0-9]", "^$", r"\.", "(?i)ADAM"])
some_params = some_numbers | some_texts | st.booleans() | st.integers(-1, 2)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": some_texts,
    "time": some_times,
    "duration": some_numbers,
    "boolean": st.booleans(),
    "number": some_numbers,
    "typed": some_params,
}
written_times = (
    some_times.map(dt.datetime.isoformat)
    | some_times.map(lambda time: time.timestamp() * 1000)
    | st.sampled_from([dt.timedelta(days=-7), Now(), Now(dt.timedelta(hours=-2)), "2026-11-08"])
)
WRITTEN = VALUES | {
    "time": written_times,
    "duration": some_numbers | st.sampled_from([dt.timedelta(seconds=1), dt.timedelta()]),
    "number": some_numbers | st.sampled_from([1, 2, "1", "inf"]),
}
rows = st.fixed_dictionaries(
    {
        column: st.none() | (st.integers(0, 3) if column[1] == "loss.count" else VALUES[dtype])
        for column, dtype in DTYPES.items()
    }
)


@st.composite
def conditions(draw: st.DrawFn) -> Node:
    """A condition that can be asked of its column."""
    (kind, key), dtype = draw(st.sampled_from(list(DTYPES.items())))
    column, value = Column(kind, key), st.builds(Literal, WRITTEN[dtype])
    equal = st.sampled_from(["=", "!="])
    kinds: list[Nodes] = [
        st.builds(Compare, st.just(column), equal, value),
        st.builds(In, st.just(column), st.lists(value, min_size=1, max_size=4).map(tuple)),
        st.just(IsNull(column)),
    ]
    if dtype != "boolean":
        kinds.append(orders(column, dtype))
    if dtype in ("text", "typed"):
        wanted = st.builds(Literal, some_patterns)
        kinds.append(st.builds(Like, st.just(column), wanted, st.booleans()))
        kinds.append(st.builds(Matches, st.just(column), st.builds(Literal, some_regexes)))
    return draw(st.one_of(kinds))


def orders(column: Column, dtype: str) -> Nodes:
    """Conditions of more or less: two bounds of one type, none of them NaN."""
    of_texts = st.sampled_from(["", "a", "adam", "z"])
    some = WRITTEN[dtype] if dtype != "typed" else some_numbers | st.sampled_from(["0.1", "1"])
    numbers = some.filter(lambda value: value == value and value != "nan")
    bounds = [numbers, of_texts] if dtype == "typed" else [numbers]
    subject, order = st.just(column), st.sampled_from(COMPARISONS[2:])
    found: list[Nodes] = []
    for bound in (st.builds(Literal, values) for values in bounds):
        found.append(st.builds(Compare, subject, order, bound))
        found.append(st.builds(Between, subject, bound, bound))
    return st.one_of(found)


meaningful = combined(conditions())
