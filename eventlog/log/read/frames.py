"""Events as a Polars lazy frame that reads a snapshot only as far as a query asks.

Polars sees Arrow tables whose bytes were checked; it never opens a file of the log. Columns, the
number of rows, and equality on stream, type and key are pushed down to the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from eventlog.errors import Damage
from eventlog.event import BLOB_MARK, COLUMNS, schema
from eventlog.log.manifest import Position
from eventlog.log.read import masks
from eventlog.log.read.snapshot import Snapshot

SCHEMA = {
    "lane": pl.Categorical(),
    "seq": pl.Int64(),
    "time": pl.Datetime("us", "UTC"),
    "type": pl.Categorical(),
    "stream": pl.Categorical(),
    "key": pl.Categorical(),
    "step": pl.Int64(),
    "value": pl.Float64(),
    "data": pl.String(),
}
Upcast = Callable[[pl.DataFrame], pl.DataFrame]
_PUSHED = ("stream", "type", "key")


def events_frame(
    snapshot: Snapshot,
    after: Position | None = None,
    upto: Position | None = None,
    *,
    extra: pa.Table | None = None,
    types: Iterable[str] | None = None,
    resolve: Callable[[str], str] | None = None,
    upcast: Upcast | None = None,
) -> pl.LazyFrame:
    """The events of a snapshot, as `SCHEMA` says; rows come in no fixed order.

    Args:
        after, upto: as in `Snapshot.tables`.
        extra: the process's own events that may not be in the snapshot yet; those that are in it
            are dropped.
        types: only events of these types.
        resolve: makes the payload of a blob's mark; None leaves marks as they are. Where the
            snapshot skips damage, a payload that cannot be read is null.
        upcast: brings old payloads to the version of their type that is registered now.
    """
    only = None if types is None else frozenset(types)
    own = None if extra is None else _beyond(extra, snapshot, after, upto)
    source = _Source(snapshot, after, upto, own, only, resolve, upcast)
    return register_io_source(source.read, schema=pl.Schema(SCHEMA))


@dataclass(frozen=True)
class _Source:
    """What `events_frame` was asked for; Polars calls `read` for each query."""

    snapshot: Snapshot
    after: Position | None
    upto: Position | None
    own: pa.Table | None
    types: frozenset[str] | None
    resolve: Callable[[str], str] | None
    upcast: Upcast | None

    def read(
        self,
        with_columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        """The rows of one query, in pieces; ``batch_size`` is only Polars' wish."""
        columns = list(COLUMNS) if with_columns is None else with_columns
        left = n_rows
        for table in self._tables(columns, predicate):
            frame = self._payloads(_frame(table))
            if left is not None:
                frame = frame.head(left)
                left -= len(frame)
            yield (frame if predicate is None else frame.filter(predicate)).select(columns)
            if left == 0:
                return

    def _tables(self, columns: list[str], predicate: pl.Expr | None) -> Iterator[pa.Table]:
        """The snapshot's tables and then our own; at least one, so that Polars sees columns."""
        words = {} if predicate is None else words_of(predicate)
        if self.types is not None:
            words["type"] = words.get("type", self.types) & self.types
        roots = [] if predicate is None else predicate.meta.root_names()
        read = {*columns, *roots}
        if self.upcast is not None and "data" in read:
            read.add("type")
        needed = [name for name in COLUMNS if name in read]
        yield schema().empty_table().select(needed)
        yield from self.snapshot.tables(
            self.after,
            self.upto,
            columns=needed,
            streams=words.get("stream"),
            types=words.get("type"),
            keys=words.get("key"),
        )
        own = self.own
        if own is not None:
            for name, wanted in words.items():
                own = own.filter(masks.among(own, name, wanted))
            yield own.select(needed)

    def _payloads(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with its payloads at hand, in the versions of now."""
        if "data" not in frame.columns:
            return frame
        if self.resolve is not None:
            marked = frame["data"].str.starts_with(BLOB_MARK).fill_null(False)
            frame = replace_data(frame, marked, lambda row: self._resolved(row["data"]))
        return frame if self.upcast is None else self.upcast(frame)

    def _resolved(self, mark: str) -> str | None:
        assert self.resolve is not None
        try:
            return self.resolve(mark)
        except Damage as damage:
            if self.snapshot.on_damage == "raise":
                raise
            self.snapshot.damage.append(damage)
            return None


def replace_data(
    frame: pl.DataFrame, where: pl.Series, new: Callable[[dict[str, Any]], str | None]
) -> pl.DataFrame:
    """The frame with another ``data`` in the rows that the mask picks."""
    rows = where.arg_true()
    if rows.is_empty():
        return frame
    texts = [new(row) for row in frame[rows].to_dicts()]
    data = frame["data"].scatter(rows, pl.Series(texts, dtype=pl.String))
    return frame.with_columns(data)


def _beyond(
    extra: pa.Table, snapshot: Snapshot, after: Position | None, upto: Position | None
) -> pa.Table:
    """The rows that are not in the snapshot, and that the positions let through."""
    import pyarrow.compute as pc

    words = masks.words_of(extra, "lane")
    states = [snapshot.lanes.get(lane) for lane in words.dictionary]
    known = [state.number if state else None for state in states]
    of_lane = pa.array([masks.UNNUMBERED if n is None else n for n in known], pa.int32())
    numbers = of_lane.take(pa.array(words.codes))
    table = extra.append_column("lane_number", numbers)
    mask = pc.invert(masks.below(snapshot.position, table))
    if after is not None:
        mask = pc.and_(mask, pc.invert(masks.below(after, table)))
    if upto is not None:
        mask = pc.and_(mask, masks.below(upto, table))
    return extra.filter(mask)


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.DataFrame(pl.from_arrow(table.unify_dictionaries()))
    return frame.cast({name: kind for name, kind in SCHEMA.items() if name in frame.columns})


def words_of(predicate: pl.Expr) -> dict[str, frozenset[str]]:
    """The words that a predicate demands of stream, type or key, where that is plain to see.

    Looks at ``a & b``, ``column == word`` and ``column.is_in(words)``. An expression is taken apart
    and recognised by putting it together again: Polars has no public way to look into one.
    """
    parts = predicate.meta.pop()
    if len(parts) != 2:
        return {}
    for one, other in (parts, parts[::-1]):
        if (one & other).meta.eq(predicate):
            return _both(words_of(one), words_of(other))
        if not (one.meta.is_column() and other.meta.is_literal()):
            continue
        name = one.meta.output_name()
        equal = (one == other).meta.eq(predicate) or (other == one).meta.eq(predicate)
        if name in _PUSHED and (equal or one.is_in(other).meta.eq(predicate)):
            return _wanted(name, other)
    return {}


def _wanted(name: str, literal: pl.Expr) -> dict[str, frozenset[str]]:
    found = pl.select(literal).to_series().to_list()
    words = found[0] if len(found) == 1 and isinstance(found[0], list) else found
    return {name: frozenset(words)} if all(isinstance(word, str) for word in words) else {}


def _both(
    one: dict[str, frozenset[str]], other: dict[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """What satisfies the two of them."""
    names = one.keys() | other.keys()
    return {
        n: one.get(n, other.get(n, frozenset())) & other.get(n, one.get(n, frozenset()))
        for n in names
    }
