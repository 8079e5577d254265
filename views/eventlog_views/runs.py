"""Runs: who began them, how they ended, whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from eventlog.view import ORDER, Latest, State, Table, View

if TYPE_CHECKING:
    from polars import DataFrame

PREFIX = "run:"
DIED = "writer.died"
COMMIT = "git.commit"  # a tag

# Which registers of a run an event writes.
REGISTERS: Mapping[str, tuple[str, ...]] = {
    "start": ("run.created",),
    "owner": ("run.created", "run.resumed"),
    "end": ("run.finished",),
    "name": ("run.created", "run.named"),
    "experiment": ("run.created", "run.moved"),
    "life": ("run.deleted", "run.restored"),
    "commit": ("tag.set", "tag.removed"),
}


class Runs(View):
    """One row for each run, the oldest first.

    Columns: run_id, name, experiment, experiment_id (null while only the name is known), status
    (RUNNING, FINISHED, FAILED, KILLED), start_time, end_time (UTC datetimes), duration_s, user,
    source, parent_id, git_commit, error, deleted.

    A run is FAILED, from then on, when the process that owns it died; whoever resumed it last owns
    it. What joined a run to write it together with others does not take it over.
    """

    name = "runs"
    types = frozenset({DIED, *(type_ for types in REGISTERS.values() for type_ in types)})
    tables: Mapping[str, Table] = {
        "registers": Latest(("stream", "register")),
        "deaths": Latest(("stream",)),
    }

    def rows(self, events: DataFrame) -> State:
        runs = events.filter(pl.col("stream").str.starts_with(PREFIX))
        joined = (pl.col("type") == "run.resumed") & (_text("joined") == "true").fill_null(False)
        tag = pl.col("type").is_in(REGISTERS["commit"]) & (pl.col("key") != COMMIT).fill_null(True)
        counts = runs.filter(~joined & ~tag)
        columns = ("type", "data", *ORDER)
        parts = [
            counts.filter(pl.col("type").is_in(types)).select(
                "stream", pl.lit(register).alias("register"), *columns
            )
            for register, types in REGISTERS.items()
        ]
        died = events.filter(pl.col("type") == DIED)
        return {"registers": pl.concat(parts), "deaths": died.select("stream", *columns)}

    def frame(self, state: State) -> DataFrame:
        registers = state["registers"]
        found = registers.select("stream").unique()
        for register, columns in _COLUMNS.items():
            of_register = registers.filter(pl.col("register") == register)
            found = found.join(
                of_register.select("stream", **columns), on="stream", how="left", coalesce=True
            )
        found = found.join(_deaths(state["deaths"]), on="owner_lane", how="left")
        goes_on = _later("owner", "end")
        running = pl.col("end_status").is_null() | goes_on
        found = found.with_columns(
            status=pl.when(~running)
            .then("end_status")
            .when(pl.col("died").is_not_null())
            .then(pl.lit("FAILED"))
            .otherwise(pl.lit("RUNNING")),
            end_time=pl.when(~running).then("ended").otherwise("died"),
            error=pl.when(~running).then("end_error"),
            deleted=pl.col("deleted").fill_null(False),
            start_time=pl.coalesce("started", "owner_time"),
        )
        took = (pl.col("end_time") - pl.col("start_time")).dt.total_microseconds() / 1e6
        return found.select(
            pl.col("stream").str.strip_prefix(PREFIX).alias("run_id"),
            "name", "experiment", "experiment_id", "status", "start_time", "end_time",
            took.alias("duration_s"),
            "user", "source", "parent_id", "git_commit", "error", "deleted",
        ).sort("start_time", "run_id", nulls_last=True)  # fmt: skip


class Params(View):
    """One row for each param of each run: run_id, key, value (text), number.

    ``number`` (float64) is null where the param is no number; a bool is none. Of a param that was
    logged again the last value counts.
    """

    name = "params"
    types = frozenset({"param.set"})
    tables: Mapping[str, Table] = {"params": Latest(("stream", "key"))}

    def rows(self, events: DataFrame) -> State:
        ours = events.filter(pl.col("stream").str.starts_with(PREFIX))
        return {"params": ours.select("stream", "key", "value", "data", *ORDER)}

    def frame(self, state: State) -> DataFrame:
        return _valued(state["params"])


class Tags(View):
    """One row for each tag of each run: run_id, key, value (text), number; see `Params`."""

    name = "tags"
    types = frozenset({"tag.set", "tag.removed"})
    tables: Mapping[str, Table] = {"tags": Latest(("stream", "key"))}

    def rows(self, events: DataFrame) -> State:
        ours = events.filter(pl.col("stream").str.starts_with(PREFIX))
        return {"tags": ours.select("stream", "key", "type", "value", "data", *ORDER)}

    def frame(self, state: State) -> DataFrame:
        return _valued(state["tags"].filter(pl.col("type") == "tag.set"))


def _text(field: str) -> pl.Expr:
    """A field of the payload, as text; null where it is absent or null."""
    return pl.col("data").str.json_path_match(f"$.{field}")


def _time(field: str) -> pl.Expr:
    """A field of the payload in microseconds, else the event's own time."""
    given = _text(field).cast(pl.Int64, strict=False).cast(pl.Datetime("us", "UTC"))
    return pl.coalesce(given, "time")


_COLUMNS: Mapping[str, Mapping[str, pl.Expr]] = {
    "start": {
        "started": _time("start_us"),
        "user": _text("user"),
        "source": _text("source"),
        "parent_id": _text("parent_id"),
    },
    "owner": {
        "owner_time": pl.col("time"),
        "owner_lane": pl.col("lane").str.split("~").list.first(),
        "owner_at": pl.col("lane"),
        "owner_seq": pl.col("seq"),
    },
    "end": {
        "end_status": _text("status"),
        "end_error": _text("error"),
        "ended": _time("end_us"),
        "end_at_time": pl.col("time"),
        "end_at": pl.col("lane"),
        "end_seq": pl.col("seq"),
    },
    "name": {"name": _text("name")},
    "experiment": {"experiment": _text("experiment"), "experiment_id": _text("experiment_id")},
    "life": {"deleted": pl.col("type") == "run.deleted"},
    "commit": {"git_commit": pl.col("data").str.json_path_match("$")},
}


def _later(one: str, other: str) -> pl.Expr:
    """Whether the run's owner took it over after it had ended, in the order of all events."""
    time, end_time = pl.col(f"{one}_time"), pl.col(f"{other}_at_time")
    lane, end_lane = pl.col(f"{one}_at"), pl.col(f"{other}_at")
    seq, end_seq = pl.col(f"{one}_seq"), pl.col(f"{other}_seq")
    after = (lane > end_lane) | ((lane == end_lane) & (seq > end_seq))
    return ((time > end_time) | ((time == end_time) & after)).fill_null(False)


def _deaths(deaths: DataFrame) -> DataFrame:
    lane = pl.col("stream").str.strip_prefix("lane:")
    return deaths.select(lane.alias("owner_lane"), pl.col("time").alias("died"))


def _valued(facts: DataFrame) -> DataFrame:
    """Facts with a key as (run_id, key, value, number)."""
    text = pl.col("data").str.json_path_match("$")
    plain = ~pl.col("data").str.starts_with('"')
    return facts.select(
        pl.col("stream").str.strip_prefix(PREFIX).alias("run_id"),
        "key",
        pl.coalesce(text, pl.col("value").cast(pl.String)).alias("value"),
        pl.coalesce(
            pl.when(plain).then(text.cast(pl.Float64, strict=False)), pl.col("value")
        ).alias("number"),
    ).sort("run_id", "key")
