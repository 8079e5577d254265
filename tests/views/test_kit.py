"""The kit finds views that are no pure functions of the set of events."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import strategies as st

from eventlog.testing import ViewTests
from eventlog.view import ORDER, Latest, Table, View


class Lamps(View):
    """Which lamps are lit."""

    name = "lamps"
    types = frozenset({"lamp.lit", "lamp.out"})
    tables: dict[str, Table] = {"lamps": Latest(("stream",))}  # noqa: RUF012

    def rows(self, events: pl.DataFrame) -> Any:
        return {"lamps": events.select("stream", "type", *ORDER)}

    def frame(self, state: Any) -> pl.DataFrame:
        return state["lamps"].select("stream", lit=pl.col("type") == "lamp.lit")


class AsTheyCome(Table):
    keys = ("stream",)

    def reduce(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.unique("stream", keep="last", maintain_order=True)


class NoOrder(Lamps):
    tables = {"lamps": AsTheyCome()}  # noqa: RUF012


class Count(Table):
    keys = ("stream",)

    def reduce(self, rows: pl.DataFrame) -> pl.DataFrame:
        counted = rows.group_by("stream").agg(pl.len().cast(pl.Int64).alias("n"))
        return counted


class CountsRows(Lamps):
    """Counts rows of states, not events: two batches of one lamp count two."""

    tables = {"lamps": Count()}  # noqa: RUF012

    def rows(self, events: pl.DataFrame) -> Any:
        return {"lamps": events.select("stream", n=pl.lit(1, pl.Int64))}

    def frame(self, state: Any) -> pl.DataFrame:
        return state["lamps"]


class CountsRepeats(Lamps):
    def fold(self, events: pl.DataFrame) -> Any:
        return {"lamps": events.filter(pl.col("type").is_in(self.types))}

    def frame(self, state: Any) -> pl.DataFrame:
        return state["lamps"].select("stream")


class TakesAll(Lamps):
    def fold(self, events: pl.DataFrame) -> Any:
        known = pl.col("type").is_in(self.types)
        type_ = pl.when(known).then("type").otherwise(pl.lit("lamp.lit"))
        return super().fold(events.with_columns(type=type_))


class Wide(Lamps):
    def frame(self, state: Any) -> pl.DataFrame:
        lamps = state["lamps"]["stream"].to_list()
        return pl.DataFrame({name: [1] for name in ["always", *lamps]})


class _Kit(ViewTests):
    def __init__(self, view: View) -> None:
        self.view = view

    def events(self) -> st.SearchStrategy[tuple[Any, ...]]:
        lamps = st.sampled_from(["lamp:1", "lamp:2"])
        types = st.sampled_from(["lamp.lit", "lamp.out"])
        return st.tuples(types, lamps, st.none(), st.none(), st.none(), st.none())


CHECKS = [name for name in dir(ViewTests) if name.startswith("test_")]


@pytest.mark.parametrize("check", CHECKS)
def test_a_pure_view_passes(check: str) -> None:
    getattr(_Kit(Lamps()), check)()


@pytest.mark.parametrize(
    ("view", "check"),
    [
        (NoOrder(), "test_the_order_of_events_changes_nothing"),
        (NoOrder(), "test_how_events_are_cut_into_batches_changes_nothing"),
        (CountsRows(), "test_how_events_are_cut_into_batches_changes_nothing"),
        (CountsRows(), "test_states_merge_in_any_grouping"),
        (CountsRepeats(), "test_an_event_that_is_told_twice_counts_once"),
        (TakesAll(), "test_events_of_other_types_change_nothing"),
        (Wide(), "test_the_columns_do_not_depend_on_what_happened"),
    ],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)
def test_a_view_that_is_not_is_found(view: View, check: str) -> None:
    with pytest.raises((AssertionError, ExceptionGroup)):
        getattr(_Kit(view), check)()
