"""What a filter has to know of the columns that there are."""

from __future__ import annotations

import difflib
import itertools
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn, Protocol, TypeAlias

from eventlog.query.filter.error import FilterError, clipped
from eventlog.query.filter.names import KINDS, ONE_OF, written
from eventlog.query.filter.node import Column, Kind

Dtype: TypeAlias = typing.Literal["number", "text", "boolean", "time", "duration", "typed"]
AGGREGATES = ("last", "min", "max", "first", "count", "best_step")
_COMPARED = 10_000  # names that are searched for one alike: a tenth of a second
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Resolved:
    """A column of the frame.

    Attributes:
        name: of the column that is shown; of all but "typed" ones, the one that is compared.
        dtype: what it holds. "number": any numeric dtype; "text": String or Categorical;
            "boolean"; "time": Datetime in UTC; "duration": seconds as float; "typed": params and
            tags, with two columns more:
        number: Float64, null where something else than a number was logged.
        text: String or Categorical: every value as text, numbers too; null where there is none.
        reads_texts: of "typed" ones, whether some text may read as a number ("0.1", as MLflow logs
            it). Say False where none does: it spares a pass over all texts.

    Example:
        >>> metric = Resolved("metrics.acc", "number")
        >>> param = Resolved("params.lr", "typed", number="params.lr.number", text="params.lr")
    """

    name: str
    dtype: Dtype
    number: str = ""
    text: str = ""
    reads_texts: bool = True

    def __post_init__(self) -> None:
        if (self.dtype == "typed") != bool(self.number and self.text):
            raise ValueError(f"{self.name}: number and text are given for typed columns")


class Columns(Protocol):
    """The columns that runs have.

    Example:
        >>> class Metrics:
        ...     def names(self, kind):
        ...         return ["acc", "loss"] if kind == "metrics" else []
        ...     def resolve(self, kind, key):
        ...         known = key in self.names(kind)
        ...         return Resolved(f"metrics.{key}", "number") if known else None
    """

    def names(self, kind: Kind) -> Iterable[str]:
        """The keys of that kind, those first that help most when only a few are shown."""
        ...

    def resolve(self, kind: Kind, key: str) -> Resolved | None:
        """The column of a key; None where no run has it.

        A metric's key may end in an aggregate, ``loss.min``; one that was logged under just that
        name has the precedence.
        """
        ...


def resolved(column: Column, columns: Columns) -> Resolved:
    """The frame's column for a column of a filter.

    Raises:
        FilterError: no run has it; with the names that are alike, or a few that there are.

    Example:
        >>> [resolved(column, columns).name for column in parse_columns("name, metrics.acc")]
        ['name', 'metrics.acc']
    """
    found = columns.resolve(column.kind, column.key)
    if found is None:
        _refuse(column, columns)
    return found


def _refuse(column: Column, columns: Columns) -> NoReturn:
    near = list(dict.fromkeys(_alike(column, columns)))[:3]
    if near:
        remedy = f"Did you mean {' or '.join(near)}?"
    else:
        first = list(itertools.islice(columns.names(column.kind), _SHOWN + 1))
        known = ", ".join(_name(column.kind, key) for key in first[:_SHOWN])
        more = " …" if len(first) > _SHOWN else ""
        remedy = f"There are: {known}{more}." if known else f"No run has any {column.kind}."
    what = f"no run has the {ONE_OF[column.kind]} {clipped(column.key)}."
    raise FilterError(what, *column.at, remedy)


def _alike(column: Column, columns: Columns) -> Iterator[str]:
    """Names that may have been meant, the likeliest first."""
    key = column.key[:200]
    for kind in dict.fromkeys(KINDS.values()):
        if columns.resolve(kind, key) is not None:
            yield _name(kind, key)
    names = list(itertools.islice(columns.names(column.kind), _COMPARED))
    stem, _, aggregate = key.rpartition(".")
    if column.kind == "metrics" and stem in names:
        known = [a for a in AGGREGATES if columns.resolve("metrics", f"{stem}.{a}") is not None]
        near = difflib.get_close_matches(aggregate, known, cutoff=0.5)
        yield from (_name("metrics", f"{stem}.{a}") for a in near or known)
    yield from (_name(column.kind, near) for near in difflib.get_close_matches(key, names))


def _name(kind: Kind, key: str) -> str:
    return clipped(written(kind, key))
