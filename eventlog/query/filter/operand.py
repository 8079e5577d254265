"""A literal as a value of the dtype that it is compared with, or why it is none."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn, TypeAlias

from eventlog.query.filter.columns import Dtype, Resolved
from eventlog.query.filter.error import FilterError, clipped
from eventlog.query.filter.node import Literal, Now

Operand: TypeAlias = str | float | bool | dt.datetime
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE
)


def number_in(literal: Literal) -> float | None:
    """The number that a literal is, or that its text reads as."""
    value = literal.value
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def operand(literal: Literal, found: Resolved, now: dt.datetime) -> Operand:
    """The value to compare a column with; not one that is "typed".

    Raises:
        FilterError: the two cannot be compared; at the literal.
    """
    wanted = _WANTED[found.dtype]
    try:
        return wanted.read(literal, now)
    except OverflowError:
        refuse(literal, f"{shown(literal)} lies outside the years 1 to 9999.", wanted.remedy)
    except ValueError:
        what = f"{clipped(found.name)} holds {wanted.values}, and {shown(literal)} is none"
        refuse(literal, f"{what}.", wanted.remedy.format(shown(literal)))


def refuse(literal: Literal, what: str, remedy: str) -> NoReturn:
    """Raise the error of a literal."""
    raise FilterError(what, *literal.at, remedy)


def shown(literal: Literal) -> str:
    """The literal as it was written, fit for an error."""
    text, start, end = literal.at
    return clipped(text[start:end] or repr(literal.value))


def _number(literal: Literal, now: dt.datetime) -> float:
    value = number_in(literal)
    if value is None:
        raise ValueError
    return value


def _seconds(literal: Literal, now: dt.datetime) -> float:
    if isinstance(literal.value, dt.timedelta):
        return literal.value.total_seconds()
    return _number(literal, now)


def _text(literal: Literal, now: dt.datetime) -> str:
    if not isinstance(literal.value, str):
        raise ValueError
    return literal.value


def _boolean(literal: Literal, now: dt.datetime) -> bool:
    if not isinstance(literal.value, bool):
        raise ValueError
    return literal.value


def _time(literal: Literal, now: dt.datetime) -> dt.datetime:
    value = literal.value
    if isinstance(value, str):
        moment = dt.datetime.fromisoformat(value)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return aware.astimezone(dt.UTC)
    if isinstance(value, Now):
        return now + value.offset
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, int | float):
        return EPOCH + dt.timedelta(milliseconds=value)
    if value > dt.timedelta():  # somebody forgot its sign, or means a duration
        raise ValueError
    return now + value


class _Wanted(NamedTuple):
    """What a column holds, how a literal reads as such, and what to write for one that does not."""

    values: str
    read: Callable[[Literal, dt.datetime], Operand]
    remedy: str


_WANTED: Mapping[Dtype, _Wanted] = {
    "number": _Wanted("numbers", _number, "Write a number."),
    "duration": _Wanted("durations", _seconds, "Write 90s, 5m, 1h30m, or a number of seconds."),
    "text": _Wanted("texts", _text, 'Write it in quotes: "{}".'),
    "boolean": _Wanted("true or false", _boolean, "Write true or false, without quotes."),
    "time": _Wanted(
        "times",
        _time,
        'Write "2026-11-01", "2026-11-01T12:00+01:00", -7d for seven days ago, now - 2h, or '
        "milliseconds since 1970.",
    ),
}


def contents(dtype: Dtype) -> str:
    """What a column holds, in a word for an error."""
    return _WANTED[dtype].values
