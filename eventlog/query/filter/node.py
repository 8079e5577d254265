"""What a filter says: a tree of frozen nodes, each with its place in the text.

Two nodes are equal when they say the same, wherever that is written.
"""

from __future__ import annotations

import datetime as dt
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

Kind: TypeAlias = typing.Literal["attributes", "metrics", "params", "tags"]
Operator: TypeAlias = typing.Literal["=", "!=", "<", "<=", ">", ">="]


class Place(NamedTuple):
    """A part of the text that was parsed: ``text[start:end]``."""

    text: str
    start: int
    end: int

    def to(self, other: Place) -> Place:
        """From the beginning of this place to the end of a later one."""
        return Place(self.text, self.start, other.end)


NOWHERE = Place("", 0, 0)  # of nodes that nobody wrote


@dataclass(frozen=True, slots=True)
class Placed:
    """Something that stands in a text; ``at`` is no part of what it says."""

    at: Place = field(default=NOWHERE, kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Column(Placed):
    """A named column of runs, such as ``metrics.loss.min``: kind "metrics", key "loss.min".

    Example:
        >>> parse("start_time > -7d").column
        Column(kind='attributes', key='start_time')
    """

    kind: Kind
    key: str


@dataclass(frozen=True, slots=True)
class Now:
    """The moment at which the filter is asked, plus ``offset``."""

    offset: dt.timedelta = dt.timedelta()


Value: TypeAlias = str | int | float | bool | dt.timedelta | Now


@dataclass(frozen=True, slots=True, eq=False)
class Literal(Placed):
    """A value as it was written; NaN equals itself here, and 1 neither 1.0 nor true."""

    value: Value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and repr(self.value) == repr(other.value)

    def __hash__(self) -> int:
        return hash(repr(self.value))


@dataclass(frozen=True, slots=True)
class And(Placed):
    """All of the items, two or more."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or(Placed):
    """Any of the items, two or more."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not(Placed):
    """The opposite; unknown where the item is. ``x not in (…)`` is the Not of an In."""

    item: Node


@dataclass(frozen=True, slots=True)
class Compare(Placed):
    """``column operator value``; ``==`` and ``<>`` are "=" and "!=".

    Example:
        >>> parse("metrics.acc > 0.9")
        Compare(column=Column(kind='metrics', key='acc'), operator='>', value=Literal(value=0.9))
    """

    column: Column
    operator: Operator
    value: Literal


@dataclass(frozen=True, slots=True)
class In(Placed):
    """``column in (values)``, one or more."""

    column: Column
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Between(Placed):
    """``column between low and high``, both included."""

    column: Column
    low: Literal
    high: Literal


@dataclass(frozen=True, slots=True)
class IsNull(Placed):
    """``column is null``: the run has no such value."""

    column: Column


@dataclass(frozen=True, slots=True)
class Like(Placed):
    """``column like pattern``; ``ilike`` ignores case."""

    column: Column
    pattern: Literal
    ignores_case: bool = False


@dataclass(frozen=True, slots=True)
class Matches(Placed):
    """``column matches regex``."""

    column: Column
    pattern: Literal


Condition: TypeAlias = Compare | In | Between | IsNull | Like | Matches
Node: TypeAlias = And | Or | Not | Condition


def words_of(*nodes: Node | Column) -> frozenset[tuple[Kind, str]]:
    """The columns that filters need, as (kind, key).

    Example:
        >>> sorted(words_of(parse("metrics.acc > 0.9 and name like 'a%'")))
        [('attributes', 'name'), ('metrics', 'acc')]
    """
    return frozenset((column.kind, column.key) for node in nodes for column in _columns(node))


def _columns(node: Node | Column) -> Iterator[Column]:
    if isinstance(node, Column):
        yield node
    elif isinstance(node, And | Or):
        for item in node.items:
            yield from _columns(item)
    elif isinstance(node, Not):
        yield from _columns(node.item)
    else:
        yield node.column
