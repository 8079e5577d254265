"""From a tree back to text, for views that are saved."""

from __future__ import annotations

import datetime as dt
import re
from types import UnionType

from eventlog.query.filter.names import written
from eventlog.query.filter.node import (
    And,
    Between,
    Column,
    Compare,
    Condition,
    In,
    IsNull,
    Like,
    Literal,
    Matches,
    Node,
    Not,
    Now,
    Or,
)
from eventlog.query.filter.values import UNIT_US

_TO_ESCAPE = re.compile(r"\\(?=[\\'\"]|\Z)")  # another backslash stands for itself
_UNITS_US = {unit: UNIT_US[unit] for unit in ("d", "h", "m", "s", "us")}
_NONE = dt.timedelta()


def unparse(node: Node | Column) -> str:
    """The text of a filter or of a column, such that ``parse(unparse(node)) == node``.

    Example:
        >>> unparse(parse("NOT (metric.acc == .9 OR name IN ('a',))"))
        'not (metrics.acc = 0.9 or name in ("a"))'
    """
    if isinstance(node, Column):
        return written(node.kind, node.key)
    if isinstance(node, And):
        return " and ".join(_within(item, And | Or) for item in node.items)
    if isinstance(node, Or):
        return " or ".join(_within(item, Or) for item in node.items)
    if not isinstance(node, Not):
        return _condition(node)
    if isinstance(node.item, Compare | And | Or | Not):
        return f"not {_within(node.item, And | Or)}"
    return _condition(node.item, "not ")


def _within(node: Node, looser: type | UnionType) -> str:
    """The node as a part of another: in parentheses where it would fall apart."""
    return f"({unparse(node)})" if isinstance(node, looser) else unparse(node)


def _condition(node: Condition, negation: str = "") -> str:
    name = written(node.column.kind, node.column.key)
    match node:
        case Compare():
            return f"{name} {node.operator} {_value(node.value)}"
        case In():
            return f"{name} {negation}in ({', '.join(map(_value, node.values))})"
        case Between():
            return f"{name} {negation}between {_value(node.low)} and {_value(node.high)}"
        case IsNull():
            return f"{name} is {negation}null"
        case Like():
            word = "ilike" if node.ignores_case else "like"
            return f"{name} {negation}{word} {_value(node.pattern)}"
        case Matches():
            return f"{name} {negation}matches {_value(node.pattern)}"


def _value(literal: Literal) -> str:
    value = literal.value
    if isinstance(value, str):
        return '"' + _TO_ESCAPE.sub(r"\\\\", value).replace('"', '""') + '"'
    if isinstance(value, dt.timedelta):
        return ("-" if value < _NONE else "") + _duration(abs(value))
    if isinstance(value, Now):
        sign = "-" if value.offset < _NONE else "+"
        return f"now {sign} {_duration(abs(value.offset))}" if value.offset else "now"
    return repr(value).lower()


def _duration(value: dt.timedelta) -> str:
    rest_us = value // dt.timedelta(microseconds=1)
    text = ""
    for unit, unit_us in _UNITS_US.items():
        amount, rest_us = divmod(rest_us, unit_us)
        text += f"{amount}{unit}" if amount else ""
    return text or "0s"
