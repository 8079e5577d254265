"""From the tree of a filter to a Polars expression."""

from __future__ import annotations

import datetime as dt
import operator
from typing import TYPE_CHECKING

from eventlog.query.filter.columns import Columns, resolved
from eventlog.query.filter.node import (
    And,
    Between,
    Compare,
    Condition,
    In,
    IsNull,
    Like,
    Matches,
    Node,
    Not,
    Or,
)
from eventlog.query.filter.pattern import checked, like_regex
from eventlog.query.filter.subject import Subject, balanced, subject

if TYPE_CHECKING:
    import polars as pl


def compile_filter(node: Node, columns: Columns, now: dt.datetime | None = None) -> pl.Expr:
    """The expression that is True for the rows that a filter finds, for ``frame.filter``.

    It is null where the filter is unknown of a row; ``frame.filter`` drops those too.

    Args:
        node: what `parse` returns.
        columns: which columns there are; those of `words_of` must be in the frame.
        now: the moment that relative times count from, with its zone; the present by default.

    Raises:
        FilterError: a column is unknown, or cannot be compared so.

    Example:
        >>> found = compile_filter(parse("metrics.acc >= 0.9 and start_time is null"), columns)
        >>> frame.filter(found).height
        2
    """
    return _Compiler(columns, now or dt.datetime.now(dt.UTC)).compiled(node)


class _Compiler:
    def __init__(self, columns: Columns, now: dt.datetime) -> None:
        self._columns = columns
        self._now = now

    def compiled(self, node: Node) -> pl.Expr:
        if isinstance(node, And):
            return balanced(operator.and_, [self.compiled(item) for item in node.items])
        if isinstance(node, Or):
            return balanced(operator.or_, [self.compiled(item) for item in node.items])
        if isinstance(node, Not):
            return ~self.compiled(node.item)
        return _condition(node, subject(resolved(node.column, self._columns), self._now))


def _condition(node: Condition, of: Subject) -> pl.Expr:
    match node:
        case IsNull():
            return of.is_null()
        case In():
            return of.equals(node.values)
        case Between():
            return of.is_ordered(((">=", node.low), ("<=", node.high)))
        case Compare():
            return _comparison(node, of)
        case Like():
            regex = like_regex(str(node.pattern.value), node.ignores_case)
        case Matches():
            regex = str(node.pattern.value)
    return of.text(node.pattern).str.contains(checked(regex, node.pattern))


def _comparison(node: Compare, of: Subject) -> pl.Expr:
    if node.operator == "=":
        return of.equals((node.value,))
    if node.operator == "!=":
        return ~of.equals((node.value,))
    return of.is_ordered(((node.operator, node.value),))
