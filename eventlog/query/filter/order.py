"""The order of rows, and the choice of columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from eventlog.query.filter.columns import Columns, resolved
from eventlog.query.filter.cursor import Cursor
from eventlog.query.filter.names import column
from eventlog.query.filter.node import Column
from eventlog.query.filter.subject import typed_number

if TYPE_CHECKING:
    import polars as pl

Item = TypeVar("Item")


class Order(NamedTuple):
    """One column to sort by. Rows without a value, or with NaN, come last both ways."""

    column: Column
    descending: bool = False


class Sort(NamedTuple):
    """The arguments of Polars' ``sort``.

    Example:
        >>> sort = compile_order(parse_order("metrics.acc desc"), columns)
        >>> frame.sort(sort.by, descending=sort.descending, nulls_last=True)["metrics.acc"][0]
        0.95
    """

    by: list[pl.Expr]
    descending: list[bool]


def parse_order(order: str | Iterable[str]) -> list[Order]:
    """The columns to sort by, of one text with commas or of several.

    Raises:
        FilterError: it is no order.

    Example:
        >>> parse_order("metrics.acc desc, start_time")
        [Order(column=Column(kind='metrics', key='acc'), descending=True),
         Order(column=Column(kind='attributes', key='start_time'), descending=False)]
    """
    return _listed(order, _order, "Separate columns by commas; desc or asc follows a column.")


def parse_columns(columns: str | Iterable[str]) -> list[Column]:
    """The columns of one text with commas or of several, such as ``select=`` takes.

    Raises:
        FilterError: it is no column.

    Example:
        >>> parse_columns(["name", "metrics.`top 1 %`"])
        [Column(kind='attributes', key='name'), Column(kind='metrics', key='top 1 %')]
    """
    return _listed(columns, column, "Separate columns by commas.")


def compile_order(orders: Iterable[Order], columns: Columns) -> Sort:
    """How to sort a frame; of params and tags, numbers come before texts, NaN being one.

    Raises:
        FilterError: a column is unknown.

    Example:
        >>> compile_order(parse_order("metrics.acc desc, name"), columns).descending
        [True, False]
    """
    import polars as pl

    sort = Sort([], [])
    for ordered in orders:
        found = resolved(ordered.column, columns)
        if found.dtype == "typed":
            keys = [typed_number(found).fill_nan(None), pl.col(found.text)]
        elif found.dtype in ("number", "duration"):
            keys = [pl.col(found.name).cast(pl.Float64).fill_nan(None)]
        else:
            keys = [pl.col(found.name)]
        sort.by.extend(keys)
        sort.descending.extend([ordered.descending] * len(keys))
    return sort


def _order(cursor: Cursor) -> Order:
    found = column(cursor)
    return Order(found, cursor.accept("asc", "desc") == "desc")


def _listed(texts: str | Iterable[str], item: Callable[[Cursor], Item], remedy: str) -> list[Item]:
    items = []
    for text in [texts] if isinstance(texts, str) else texts:
        cursor = Cursor(text)
        items.append(item(cursor))
        while cursor.accept(","):
            items.append(item(cursor))
        if not cursor.at_end():
            cursor.refuse(f"a comma is missing before {cursor.token.written}.", remedy)
    return items
