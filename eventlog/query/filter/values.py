"""From tokens to the values that a filter compares with."""

from __future__ import annotations

import datetime as dt
import math
from typing import NoReturn

from eventlog.query.filter.cursor import Cursor
from eventlog.query.filter.error import FilterError
from eventlog.query.filter.node import Literal, Now
from eventlog.query.filter.tokens import Token

UNIT_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_CONSTANTS = {"nan": math.nan, "inf": math.inf, "infinity": math.inf}
_BOOLEANS = {"true": True, "false": False}
_NOTHING = ("null", "none")


def literal(cursor: Cursor) -> Literal:
    """Read a value."""
    first = cursor.token
    sign = cursor.accept("+", "-")
    token = cursor.token
    if token.type == "string" and not sign:
        return Literal(cursor.take().value, at=token.at)
    if token.keyword in _BOOLEANS and not sign:
        return Literal(_BOOLEANS[cursor.take().keyword], at=token.at)
    if token.keyword == "now" and not sign:
        return _now(cursor)
    if token.type == "duration":
        return Literal(duration(cursor.take(), sign), at=first.at.to(token.at))
    if token.type == "number" or token.keyword in _CONSTANTS:
        return Literal(_number(cursor.take(), sign), at=first.at.to(token.at))
    _refuse(cursor, sign)


def text(cursor: Cursor, operator: str) -> Literal:
    """Read the pattern of ``like`` or ``matches``."""
    if cursor.token.type != "string":
        example = "adam%" if operator != "matches" else "^adam"
        cursor.refuse(
            f"{operator} needs a text in quotes.", f'Write one, as in {operator} "{example}".'
        )
    token = cursor.take()
    return Literal(token.value, at=token.at)


def duration(token: Token, sign: str) -> dt.timedelta:
    """A duration such as 1h30m."""
    total_us, amount, unit = 0, "", ""
    for char in f"{token.value}0":  # the digit ends the last unit
        if char.isalpha():
            unit += char
            continue
        if unit:
            total_us += _in_us(amount, unit)
            amount, unit = "", ""
        amount += char
    try:
        return dt.timedelta(microseconds=-total_us if sign == "-" else total_us)
    except OverflowError:
        raise FilterError(
            "the duration is longer than any.", *token.at, "Write less than 999999999d (days)."
        ) from None


def _in_us(amount: str, unit: str) -> int:
    whole, _, fraction = amount.partition(".")
    return int(whole + fraction) * UNIT_US[unit] // int(f"1{'0' * len(fraction)}")


def _now(cursor: Cursor) -> Literal:
    first = cursor.take()
    sign = cursor.accept("+", "-")
    if not sign:
        return Literal(Now(), at=first.at)
    if cursor.token.type != "duration":
        cursor.refuse(f"a duration is missing after now {sign}.", f"Write one: now {sign} 2h.")
    last = cursor.take()
    return Literal(Now(duration(last, sign)), at=first.at.to(last.at))


def _number(token: Token, sign: str) -> int | float:
    value: int | float
    if token.type == "word":
        value = _CONSTANTS[token.keyword]
    elif token.value.isdigit():
        value = int(token.value)
    else:
        value = float(token.value)
        if math.isinf(value):
            raise FilterError(
                f"{token.written} is larger than a float64 can be.", *token.at,
                "Write inf where infinity is meant.",
            )  # fmt: skip
    return -value if sign == "-" else value


def _refuse(cursor: Cursor, sign: str) -> NoReturn:
    token = cursor.token
    if sign:
        cursor.refuse(
            f"a number or a duration is missing after {sign}.",
            f"Write one, as in {sign}1 or {sign}7d; a text has no sign.",
        )
    if token.keyword in _NOTHING:
        cursor.refuse("nothing equals null.", "Write is null or is not null.")
    if token.type == "name":
        cursor.refuse(
            f"{token.written} is a name, and a name is compared with a value.",
            f"Write a number, or a text in quotes: '{token.written}'.",
        )
    if token.type == "word":
        cursor.refuse(f"{token.written} is no value.", f'A text is in quotes: "{token.written}".')
    cursor.refuse("a value is missing.", "Write a number, a text in quotes, or a time such as -7d.")
