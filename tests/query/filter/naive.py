"""What a filter means, one row at a time in plain Python: True, False, or None for unknown."""

from __future__ import annotations

import datetime as dt
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from eventlog.query.filter import (
    And,
    Between,
    Compare,
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
from tests.query.filter.rows import DTYPES, NOW, Row, number_of, text_of

ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Truth = bool | None


def holds(node: Node, row: Row) -> Truth:
    if isinstance(node, And):
        return least([holds(item, row) for item in node.items])
    if isinstance(node, Or):
        return opposite(least([opposite(holds(item, row)) for item in node.items]))
    if isinstance(node, Not):
        return opposite(holds(node.item, row))
    value = row.get((node.column.kind, node.column.key))
    if isinstance(node, IsNull):
        return value is None
    if value is None:
        return None
    dtype = DTYPES[node.column.kind, node.column.key]
    return typed(node, value) if dtype == "typed" else plain(node, value, dtype)


def least(truths: list[Truth]) -> Truth:
    return False if False in truths else None if None in truths else True


def opposite(truth: Truth) -> Truth:
    return None if truth is None else not truth


def plain(node: Node, value: Any, dtype: str) -> Truth:
    match node:
        case Compare(operator="="):
            return same(value, meant(node.value, dtype))
        case Compare(operator="!="):
            return not same(value, meant(node.value, dtype))
        case Compare():
            return ORDERS[node.operator](value, meant(node.value, dtype))
        case In():
            return any(same(value, meant(item, dtype)) for item in node.values)
        case Between():
            return bool(meant(node.low, dtype) <= value <= meant(node.high, dtype))
    return pattern(node, value)


def typed(node: Node, value: Any) -> Truth:
    match node:
        case Compare(operator="="):
            return equals(value, node.value)
        case Compare(operator="!="):
            return not equals(value, node.value)
        case Compare():
            return ordered(value, node.operator, [node.value])
        case In():
            return any(equals(value, item) for item in node.values)
        case Between():
            low = ordered(value, ">=", [node.low, node.high])
            return least([low, ordered(value, "<=", [node.high, node.low])])
    return pattern(node, text_of(value) or "")


def pattern(node: Node, text: str) -> bool:
    if isinstance(node, Matches):
        return re.search(str(node.pattern.value), text) is not None
    assert isinstance(node, Like)
    wanted = str(node.pattern.value)
    if node.ignores_case:
        wanted, text = wanted.lower(), text.lower()
    return alike(wanted, text)


def alike(wanted: str, text: str) -> bool:
    if not wanted:
        return not text
    if wanted[0] == "%":
        return alike(wanted[1:], text) or (bool(text) and alike(wanted, text[1:]))
    escaped = wanted[0] == "\\" and wanted[1:2] in ("%", "_", "\\")
    first, rest = (wanted[1], wanted[2:]) if escaped else (wanted[0], wanted[1:])
    any_character = first == "_" and not escaped
    return bool(text) and (any_character or first == text[0]) and alike(rest, text[1:])


def same(value: Any, other: Any) -> bool:
    both_nan = isinstance(other, float) and math.isnan(other) and math.isnan(value)
    return both_nan or bool(value == other)


def meant(literal: Literal, dtype: str) -> Any:
    """The literal as what the column holds."""
    value = literal.value
    if dtype in ("text", "boolean"):
        return value
    if dtype == "time":
        return moment(value)
    return value.total_seconds() if isinstance(value, dt.timedelta) else float(value)  # type: ignore[arg-type]


def moment(value: Any) -> dt.datetime:
    if isinstance(value, str):
        read = dt.datetime.fromisoformat(value)
        return read if read.tzinfo else read.replace(tzinfo=dt.UTC)
    if isinstance(value, Now | dt.timedelta):
        return NOW + (value.offset if isinstance(value, Now) else value)
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=value)


def read(text: str | None) -> float | None:
    """The number that a text reads as: as `float` does, but strictly."""
    if text is None or not re.fullmatch(r"[-+]?(\d+\.?\d*(e[-+]?\d+)?|\.\d+|inf|nan)", text, re.I):
        return None
    return float(text)


def equals(value: Any, literal: Literal) -> bool:
    wanted = literal.value
    if isinstance(wanted, bool):
        return text_of(value) in (str(wanted), str(wanted).lower())
    if isinstance(wanted, str):
        texts = {wanted, wanted.lower()} if wanted in ("True", "False") else {wanted}
        number, logged = read(wanted), number_of(value)
        return text_of(value) in texts or (
            number is not None and logged is not None and same(logged, number)
        )
    number = read(text_of(value))
    return number is not None and same(number, float(wanted))  # type: ignore[arg-type]


def ordered(value: Any, order: str, bounds: list[Literal]) -> Truth:
    """The order of the value and the first bound; all bounds decide whether numbers are meant."""
    written = [bound.value for bound in bounds]
    numbers = [read(value) if isinstance(value, str) else number_of(value) for value in written]
    if None in numbers:
        return ORDERS[order](text_of(value), bounds[0].value)
    number = read(text_of(value))
    return None if number is None else ORDERS[order](number, numbers[0])
