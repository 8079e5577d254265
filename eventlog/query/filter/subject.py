"""What a condition is about: a column, and what can be asked of one of its dtype."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from eventlog.query.filter.columns import Resolved
from eventlog.query.filter.error import clipped
from eventlog.query.filter.node import Literal, Operator
from eventlog.query.filter.operand import Operand, contents, number_in, operand, refuse, shown

if TYPE_CHECKING:
    import polars as pl

Bounds: TypeAlias = Sequence[tuple[Operator, Literal]]

_ORDERS: Mapping[Operator, Callable[[pl.Expr, Operand], pl.Expr]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TRUTHS = {"True": ("True", "true"), "False": ("False", "false")}  # as MLflow and JSON write them


class Subject(Protocol):
    """Expressions about one column; each is null where the row has no value."""

    def is_null(self) -> pl.Expr:
        """Whether there is no value; never null."""
        ...

    def equals(self, literals: Sequence[Literal]) -> pl.Expr:
        """Whether the value is one of these."""
        ...

    def is_ordered(self, bounds: Bounds) -> pl.Expr:
        """Whether the value keeps all these bounds."""
        ...

    def text(self, pattern: Literal) -> pl.Expr:
        """The value as text, to be compared with a pattern."""
        ...


def subject(found: Resolved, now: dt.datetime) -> Subject:
    """The subject of a column; relative times count from ``now``."""
    return _Typed(found) if found.dtype == "typed" else _Plain(found, now)


class _Plain:
    """A column of one dtype."""

    def __init__(self, found: Resolved, now: dt.datetime) -> None:
        import polars as pl

        self._found = found
        self._dtype = found.dtype
        self._now = now
        self._column = pl.col(found.name)
        if found.dtype in ("number", "duration"):
            self._column = self._column.cast(pl.Float64)
        elif found.dtype == "time":
            self._column = self._column.cast(pl.Datetime("us", "UTC"))

    def is_null(self) -> pl.Expr:
        return self._column.is_null()

    def equals(self, literals: Sequence[Literal]) -> pl.Expr:
        return _one_of(self._column, [self._operand(literal) for literal in literals])

    def is_ordered(self, bounds: Bounds) -> pl.Expr:
        if self._dtype == "boolean":
            refuse(bounds[0][1], "true and false have no order.", "Write = or !=.")
        return _ordered(self._column, bounds, self._operand)

    def text(self, pattern: Literal) -> pl.Expr:
        if self._dtype != "text":
            name, values = clipped(self._found.name), contents(self._dtype)
            refuse(
                pattern,
                f"{name} holds {values}, and a pattern is for texts.",
                "Compare it with =, !=, <, <=, >, >=, in or between.",
            )
        return _as_text(self._column)

    def _operand(self, literal: Literal) -> Operand:
        return operand(literal, self._found, self._now)


class _Typed:
    """Params and tags: each row has a value of its own type."""

    def __init__(self, found: Resolved) -> None:
        import polars as pl

        self._number = typed_number(found)
        self._logged = pl.col(found.number)
        self._text = pl.col(found.text)

    def is_null(self) -> pl.Expr:
        return self._text.is_null()

    def equals(self, literals: Sequence[Literal]) -> pl.Expr:
        import polars as pl

        numbers, read, texts = _sorted_by_type(literals)
        hits = []
        if numbers:
            hits.append(_one_of(self._number, numbers))
        if read:
            hits.append(_one_of(self._logged, read))
        if texts:
            hits.append(_one_of(self._text, texts))
        # A row without a number is unequal to one, unless it has no value at all.
        hit = balanced(operator.or_, [hit.fill_null(False) for hit in hits])
        return pl.when(self._text.is_not_null()).then(hit)

    def is_ordered(self, bounds: Bounds) -> pl.Expr:
        if all(number_in(literal) is not None for _, literal in bounds):
            return _ordered(self._number, bounds, _as_number)
        if all(isinstance(literal.value, str) for _, literal in bounds):
            return _ordered(self._text, bounds, lambda literal: str(literal.value))
        wrong = [literal for _, literal in bounds if number_in(literal) is None]
        refuse(wrong[0], f"{shown(wrong[0])} has no order here.", "Write numbers, or only texts.")

    def text(self, pattern: Literal) -> pl.Expr:
        return _as_text(self._text)


def typed_number(found: Resolved) -> pl.Expr:
    """The number that was logged as a param or tag, or that its text reads as."""
    import polars as pl

    logged = pl.col(found.number)
    if not found.reads_texts:
        return logged
    return pl.coalesce(logged, _as_text(pl.col(found.text)).cast(pl.Float64, strict=False))


def balanced(join: Callable[[pl.Expr, pl.Expr], pl.Expr], items: Sequence[pl.Expr]) -> pl.Expr:
    """The items joined in pairs, and these in pairs: a tree that no stack is too small for."""
    while len(items) > 1:
        pairs = [items[n : n + 2] for n in range(0, len(items), 2)]
        items = [join(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return items[0]


def _one_of(column: pl.Expr, values: Sequence[Operand]) -> pl.Expr:
    return column == values[0] if len(values) == 1 else column.is_in(values)


def _ordered(column: pl.Expr, bounds: Bounds, operand_of: Callable[[Literal], Operand]) -> pl.Expr:
    tests = []
    for order, literal in bounds:
        value = operand_of(literal)
        if value != value:
            refuse(literal, "nothing lies below or above nan.", "Write = nan or != nan.")
        tests.append(_ORDERS[order](column, value))
        if isinstance(value, float) and order in (">", ">="):
            tests.append(column.is_not_nan())  # which Polars has above all numbers
    return balanced(operator.and_, tests)


def _sorted_by_type(
    literals: Sequence[Literal],
) -> tuple[list[float], list[float], list[str]]:
    """The numbers, the numbers that texts read as, and the texts."""
    numbers: list[float] = []
    read: list[float] = []
    texts: list[str] = []
    for literal in literals:
        number = number_in(literal)
        if isinstance(literal.value, str | bool):
            texts += _TRUTHS.get(str(literal.value), (str(literal.value),))
            read += [] if number is None else [number]
        elif number is None:
            refuse(
                literal,
                f"{shown(literal)} is a time, and params and tags are numbers or text.",
                f'Write a number, or text in quotes: "{shown(literal)}".',
            )
        else:
            numbers.append(number)
    return numbers, read, texts


def _as_number(literal: Literal) -> float:
    number = number_in(literal)
    assert number is not None  # whoever calls this has looked
    return number


def _as_text(column: pl.Expr) -> pl.Expr:
    import polars as pl

    return column.cast(pl.String)  # categories have no patterns
