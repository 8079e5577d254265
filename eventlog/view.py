"""What a view is: a named, versioned, pure fold of events into frames.

A view folds a batch of events into a *state*: a few tables, each with a rule that makes one row of
all rows with the same keys. Two states merge by putting their tables together and applying the
rules again. So it does not matter in which order events come, or how they are cut into batches; and
of an event that is told twice, `once` leaves one. What people see is made of the state at the end.

Polars does the work; nothing here loops over events, reads or writes.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import polars as pl

State: TypeAlias = "Mapping[str, pl.DataFrame]"
ORDER = ("time", "lane", "seq")  # total: no two events have the same lane and seq


class Table(abc.ABC):
    """One table of a state.

    Attributes:
        keys: the columns that tell its rows apart; they may be null.
    """

    keys: tuple[str, ...]

    @abc.abstractmethod
    def reduce(self, rows: pl.DataFrame) -> pl.DataFrame:
        """One row for all that have the same keys.

        ``reduce(concat([reduce(a), reduce(b)]))`` must be ``reduce(concat([a, b]))``, whatever the
        order of the rows.
        """


@dataclass(frozen=True)
class Latest(Table):
    """A register: of all rows with the same keys the last one counts.

    Args:
        by: what tells which is last; the rows must have it. Claimed events are ordered by "seq".
    """

    keys: tuple[str, ...]
    by: tuple[str, ...] = ORDER

    def reduce(self, rows: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        others = [name for name in rows.columns if name not in self.keys]
        last = pl.col(others).max_by(pl.struct(self.by))
        return rows.group_by(self.keys).agg(last).select(rows.columns)


class View(abc.ABC):
    """A view. Register it with the hook ``register_views``.

    Attributes:
        name: what it is called: ``log.view(name)``.
        version: counts up with every change of what it folds: then it is built anew.
        types: the types of the events it folds; others are not given to it.
        tables: the tables of its state, by name.
    """

    name: str
    version: int = 1
    types: frozenset[str]
    tables: Mapping[str, Table]

    @abc.abstractmethod
    def rows(self, events: pl.DataFrame) -> State:
        """What the events put into each table, in any order, keys repeated as they come.

        Args:
            events: with the columns of `eventlog.event.COLUMNS`, lane, type, stream and key as
                strings; of the view's types only, each event once. It may be empty.
        """

    @abc.abstractmethod
    def frame(self, state: State) -> pl.DataFrame:
        """What people see, of a state. Its columns' types do not depend on what is in it."""

    def fold(self, events: pl.DataFrame) -> State:
        """The state that a batch of events makes."""
        import polars as pl

        ours = once(events.filter(pl.col("type").is_in(sorted(self.types))))
        return self._reduced({name: [rows] for name, rows in self.rows(ours).items()})

    def merge(self, states: Sequence[State]) -> State:
        """The state of all events that the states were made of, no event in two of them."""
        return self._reduced({name: [state[name] for state in states] for name in self.tables})

    def _reduced(self, parts: Mapping[str, Sequence[pl.DataFrame]]) -> State:
        import polars as pl

        return {
            name: table.reduce(pl.concat(parts[name], how="vertical"))
            for name, table in self.tables.items()
        }


def once(events: pl.DataFrame) -> pl.DataFrame:
    """The events, each once: what is told twice has the same lane and seq."""
    return events.unique(["lane", "seq"], keep="any")
