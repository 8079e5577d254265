"""Experiments: their names, whether they live, and what is written about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from eventlog.view import Latest, State, Table, View

if TYPE_CHECKING:
    from polars import DataFrame

PREFIX = "experiment:"
NAME_PREFIX = "experiment_name:"
LIFE = {"experiment.deleted": "deleted", "experiment.restored": "active"}
NAMING = ("experiment.created", "experiment.renamed")
CLAIMS = ("experiment_name.taken", "experiment_name.freed")
_PLACE = ("time", "lane", "seq")


class Experiments(View):
    """One row for each experiment: experiment_id, name, status, created, description.

    An experiment that claimed its name and died before it said more is there all the same. The name
    is what the experiment was last called; of one that has not said, the name that it claimed.
    """

    name = "experiments"
    types = frozenset({*LIFE, *NAMING, *CLAIMS, "note.set"})
    tables: Mapping[str, Table] = {
        "registers": Latest(("stream", "register")),
        "names": Latest(("stream",), by=("seq",)),
    }

    def rows(self, events: DataFrame) -> State:
        claimed = pl.col("type").is_in(CLAIMS)
        register = (
            pl.when(pl.col("type").is_in(NAMING)).then(pl.lit("name"))
            .when(pl.col("type").is_in(list(LIFE))).then(pl.lit("life"))
            .otherwise(pl.lit("note"))
        )  # fmt: skip
        ours = events.filter(~claimed & pl.col("stream").str.starts_with(PREFIX))
        registers = ours.select("stream", register.alias("register"), "type", "data", *_PLACE)
        births = ours.filter(pl.col("type") == "experiment.created").select(
            "stream", pl.lit("birth").alias("register"), "type", "data", *_PLACE
        )
        names = events.filter(claimed).select("stream", "type", "data", "time", "seq")
        return {"registers": pl.concat([registers, births]), "names": names}

    def frame(self, state: State) -> DataFrame:
        registers = state["registers"].with_columns(
            experiment_id=pl.col("stream").str.strip_prefix(PREFIX)
        )
        claimed = (
            state["names"]
            .filter(pl.col("type") == "experiment_name.taken")
            .select(
                _text("experiment_id").alias("experiment_id"),
                pl.col("stream").str.strip_prefix(NAME_PREFIX).alias("claimed"),
                pl.col("time").alias("claimed_at"),
            )
            .group_by("experiment_id")
            .agg(pl.col("claimed", "claimed_at").max_by(pl.struct("claimed_at", "claimed")))
        )
        ids = pl.concat([registers.select("experiment_id"), claimed.select("experiment_id")])
        found = ids.unique().join(claimed, on="experiment_id", how="left")
        for name, value in {
            "name": _text("name"),
            "life": pl.col("type").replace_strict(LIFE, default=None, return_dtype=pl.String),
            "note": _text("text"),
            "birth": pl.col("time"),
        }.items():
            of_name = registers.filter(pl.col("register") == name)
            column = of_name.select("experiment_id", value.alias(name))
            found = found.join(column, on="experiment_id", how="left")
        return found.select(
            "experiment_id",
            pl.coalesce("name", "claimed").alias("name"),
            pl.col("life").fill_null("active").alias("status"),
            pl.coalesce("birth", "claimed_at").alias("created"),
            pl.col("note").alias("description"),
        ).sort("created", "experiment_id")


def _text(field: str) -> pl.Expr:
    """A field of the payload, as text."""
    return pl.col("data").str.json_path_match(f"$.{field}")
