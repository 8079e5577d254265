"""A few columns that runs have, and rows of them as a frame and as plain values."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import polars as pl

from eventlog.query.filter import Dtype, Kind, Resolved

NOW = dt.datetime(2026, 11, 8, 12, tzinfo=dt.UTC)
Row: TypeAlias = Mapping[tuple[Kind, str], Any]

DTYPES: Mapping[tuple[Kind, str], Dtype] = {
    ("attributes", "name"): "text",
    ("attributes", "status"): "text",
    ("attributes", "start_time"): "time",
    ("attributes", "duration_s"): "duration",
    ("attributes", "deleted"): "boolean",
    ("metrics", "acc"): "number",
    ("metrics", "loss"): "number",
    ("metrics", "loss.min"): "number",
    ("metrics", "loss.count"): "number",
    ("metrics", "a b.c"): "number",
    ("params", "lr"): "typed",
    ("params", "model"): "typed",
    ("tags", "team"): "typed",
}
_POLARS: Mapping[Dtype, pl.DataType] = {
    "text": pl.String(),
    "time": pl.Datetime("us", "UTC"),
    "duration": pl.Float64(),
    "boolean": pl.Boolean(),
    "number": pl.Float64(),
}


class KnownColumns:
    """The columns of `DTYPES`; of metrics, aggregates are no names of their own."""

    def names(self, kind: Kind) -> Iterable[str]:
        return [k for (of, k) in DTYPES if of == kind and not k.startswith("loss.")]

    def resolve(self, kind: Kind, key: str) -> Resolved | None:
        dtype = DTYPES.get((kind, key))
        if dtype is None:
            return None
        name = f"{kind}.{key}"
        if dtype == "typed":
            return Resolved(name, dtype, number=f"{name}.number", text=name)
        return Resolved(name, dtype)


def text_of(value: object) -> str | None:
    """A param as text, as the views have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return None if value is None else str(value)


def number_of(value: object) -> float | None:
    """What was logged as a number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]


def frame_of(rows: Sequence[Row]) -> pl.DataFrame:
    """The frame of rows; what a row lacks is null. The column "row" numbers them."""
    columns = [pl.Series("row", range(len(rows)), pl.Int64)]
    for (kind, key), dtype in DTYPES.items():
        name, values = f"{kind}.{key}", [row.get((kind, key)) for row in rows]
        if dtype == "typed":
            columns.append(pl.Series(name, [text_of(value) for value in values], pl.String))
            numbers = [number_of(value) for value in values]
            columns.append(pl.Series(f"{name}.number", numbers, pl.Float64))
        elif key == "loss.count":
            columns.append(pl.Series(name, values, pl.Int64))
        elif key == "status":
            columns.append(pl.Series(name, values, pl.Categorical))
        else:
            columns.append(pl.Series(name, values, _POLARS[dtype]))
    return pl.DataFrame(columns)
