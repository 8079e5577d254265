"""From the text of a filter to its tree."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import NoReturn, TypeAlias

from eventlog.query.filter import names, values
from eventlog.query.filter.cursor import Cursor
from eventlog.query.filter.error import clipped
from eventlog.query.filter.node import (
    And,
    Between,
    Column,
    Compare,
    Condition,
    In,
    IsNull,
    Like,
    Matches,
    Node,
    Not,
    Operator,
    Or,
    Place,
)

DEPTH = 100  # of parentheses and nots: far from Python's limit on recursion, and from what is read
CONDITIONS = 1_000  # Polars' planner takes the square of their number: seconds at 10,000
VALUES = 100_000  # of a list: half a second
_ENOUGH = "Write `in (…)` for many values of one column; it counts as one condition."

_COMPARISONS: Mapping[str, Operator] = {
    "=": "=",
    "==": "=",
    "!=": "!=",
    "<>": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
_MEANT = {
    "contains": 'Write like "%…%".',
    "startswith": 'Write like "…%".',
    "endswith": 'Write like "%…".',
    **dict.fromkeys(("regexp", "rlike", "regex", "match", "similar"), "Write matches for a regex."),
    **dict.fromkeys(("eq", "equals"), "Write =."),
    **dict.fromkeys(("exists", "isnull"), "Write is null or is not null."),
}


def parse(text: str) -> Node:
    """The tree of a filter; nothing is looked up yet.

    Raises:
        FilterError: it is no filter; an empty one is none.
        UsageError: it is no str.

    Example:
        >>> parse("metrics.acc > 0.9 and not tags.stale is null").items[1]
        Not(item=IsNull(column=Column(kind='tags', key='stale')))
    """
    cursor = Cursor(text)
    if cursor.at_end():
        cursor.refuse("the filter is empty.", "Leave it out to have all runs.")
    node = _Filter(cursor).any_of()
    if not cursor.at_end():
        _refuse_rest(cursor)
    return node


class _Filter:
    """Recursive descent, one method for each level of the grammar."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.depth = 0
        self.conditions = 0

    def any_of(self) -> Node:
        items = self._separated("or", self._all_of)
        return items[0] if len(items) == 1 else Or(tuple(items), at=items[0].at.to(items[-1].at))

    def _all_of(self) -> Node:
        items = self._separated("and", self._negation)
        return items[0] if len(items) == 1 else And(tuple(items), at=items[0].at.to(items[-1].at))

    def _separated(self, word: str, item: Callable[[], Node]) -> list[Node]:
        items = [item()]
        while self.cursor.accept(word):
            items.append(item())
        return items

    def _negation(self) -> Node:
        start = self.cursor.token.at
        if self.cursor.accept("not"):
            self._descend(start)
            item = self._negation()
            self.depth -= 1
            return Not(item, at=start.to(item.at))
        if self.cursor.accept("("):
            self._descend(start)
            node = self._grouped(start)
            self.depth -= 1
            return node
        return self._condition()

    def _descend(self, place: Place) -> None:
        self.depth += 1
        if self.depth > DEPTH:
            self.cursor.refuse(
                f"the filter is nested more than {DEPTH} levels deep.",
                "Remove parentheses and nots that change nothing.",
                place,
            )

    def _grouped(self, opening: Place) -> Node:
        node = self.any_of()
        if not self.cursor.accept(")"):
            if self.cursor.at_end():
                self.cursor.refuse("a parenthesis is not closed.", "Write its ).", opening)
            _refuse_rest(self.cursor)
        return node

    def _condition(self) -> Node:
        self.conditions += 1
        if self.conditions > CONDITIONS:
            self.cursor.refuse(f"the filter has more than {CONDITIONS:,} conditions.", _ENOUGH)
        column = names.column(self.cursor)
        if operator := self.cursor.accept(*_COMPARISONS):
            value = values.literal(self.cursor)
            return Compare(column, _COMPARISONS[operator], value, at=column.at.to(value.at))
        if self.cursor.accept("is"):
            return _null(self.cursor, column)
        negated = self.cursor.accept("not")
        word = self.cursor.accept(*_PREDICATES)
        if not word:
            _refuse_operator(self.cursor, column, negated)
        found = _PREDICATES[word](self.cursor, column)
        return Not(found, at=found.at) if negated else found


def _null(cursor: Cursor, column: Column) -> Node:
    negated = cursor.accept("not")
    if not cursor.accept("null", "none"):
        cursor.refuse(
            f"null is missing after is{' not' * bool(negated)}.",
            "Write is null or is not null; a value is compared with = or !=.",
        )
    place = column.at.to(cursor.place)
    found = IsNull(column, at=place)
    return Not(found, at=place) if negated else found


def _in(cursor: Cursor, column: Column) -> Condition:
    opening = cursor.token.at
    cursor.expect("(", "in needs a list in parentheses.", 'Write in ("adam", "sgd").')
    found = [values.literal(cursor)]
    # The comma of Python's one-tuple ends the list too: people format tuples into filters.
    while cursor.accept(",") and cursor.token.operator != ")":
        found.append(values.literal(cursor))
        if len(found) > VALUES:
            cursor.refuse(
                f"the list has more than {VALUES:,} values.",
                "Filter by a tag that these runs share.",
            )
    if not cursor.accept(")"):
        if cursor.at_end():
            cursor.refuse("the list is not closed.", "Write its ).", opening)
        cursor.refuse(
            f"a comma or ) is missing before {cursor.token.written}.", "Separate values by commas."
        )
    return In(column, tuple(found), at=column.at.to(cursor.place))


def _between(cursor: Cursor, column: Column) -> Condition:
    low = values.literal(cursor)
    cursor.expect("and", "between needs `and` after its first value.", "Write between 1 and 2.")
    high = values.literal(cursor)
    return Between(column, low, high, at=column.at.to(high.at))


def _like(cursor: Cursor, column: Column) -> Condition:
    pattern = values.text(cursor, "like")
    return Like(column, pattern, False, at=column.at.to(pattern.at))


def _ilike(cursor: Cursor, column: Column) -> Condition:
    pattern = values.text(cursor, "ilike")
    return Like(column, pattern, True, at=column.at.to(pattern.at))


def _matches(cursor: Cursor, column: Column) -> Condition:
    pattern = values.text(cursor, "matches")
    return Matches(column, pattern, at=column.at.to(pattern.at))


_Predicate: TypeAlias = Callable[[Cursor, Column], Condition]
_PREDICATES: Mapping[str, _Predicate] = {
    "in": _in,
    "between": _between,
    "like": _like,
    "ilike": _ilike,
    "matches": _matches,
}


def _refuse_operator(cursor: Cursor, column: Column, negated: str) -> NoReturn:
    token = cursor.token
    near = difflib.get_close_matches(token.keyword[:20], ["is", *_PREDICATES], n=1)
    usual = "Write in, between, like, ilike or matches after not."
    if not negated:
        usual = "Write =, !=, <, <=, >, >=, in, between, like, ilike, matches or is null."
    remedy = f"Did you mean {near[0]}?" if near else usual
    cursor.refuse(
        f"an operator is missing after {clipped(names.written(column.kind, column.key))}"
        f"{' not' if negated else ''}"
        f"{'' if cursor.at_end() else f', before {token.written}'}.",
        _MEANT.get(token.keyword, remedy),
    )


def _refuse_rest(cursor: Cursor) -> NoReturn:
    token = cursor.token
    if token.operator == ")":
        cursor.refuse("a parenthesis is closed that was not opened.", "Remove it, or write its (.")
    near = difflib.get_close_matches(token.keyword[:20], ["and", "or"], n=1)
    cursor.refuse(
        f"`and` or `or` is missing before {token.written}.",
        f"Did you mean {near[0]}?" if near else "Join two conditions with and, or with or.",
    )
