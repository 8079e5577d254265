"""Views of a real log: from what trainings write to the frames that people see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import eventlog
from eventlog.errors import NotALog, UsageError
from eventlog.log import claim as cl
from eventlog.query import materialize as mt
from eventlog.testing.view_tests import frame_of
from eventlog.tracking import experiments
from eventlog.view import Latest, View
from tests.fork.scripts import ROOT, environment


@pytest.fixture
def log(tmp_path: Path) -> Iterator[eventlog.Log]:
    with eventlog.open(tmp_path / "log", ship_s=(3600, 3600)) as log:
        yield log


def rows(log: eventlog.Log, view: str) -> list[dict[str, Any]]:
    return log.view(view).collect().to_dicts()


def test_a_training_is_seen_in_every_view(log: eventlog.Log) -> None:
    with log.run("mnist", name="first", params={"lr": 0.1, "opt": "adam"}, tags={"n": 1}) as run:
        run.log({"loss": 1.0})
    [seen] = rows(log, "runs")
    assert (seen["run_id"], seen["name"], seen["status"]) == (run.id, "first", "FINISHED")
    [experiment] = rows(log, "experiments")
    assert experiment["name"] == "mnist"
    assert experiment["experiment_id"] == seen["experiment_id"]
    assert [(r["key"], r["value"], r["number"]) for r in rows(log, "params")] == [
        ("lr", "0.1", 0.1), ("opt", "adam", None),
    ]  # fmt: skip
    assert [(r["key"], r["number"]) for r in rows(log, "tags")] == [("n", 1.0)]


def test_what_is_compacted_is_seen_as_it_was(log: eventlog.Log) -> None:
    for n in range(3):
        with log.run("mnist", params={"n": n}):
            pass
    before = [log.view(name).collect() for name in log.views()]
    log.flush(remote=True)
    log.compact()
    after = [log.view(name).collect() for name in log.views()]
    assert all(one.equals(other) for one, other in zip(before, after, strict=True))


def test_a_run_of_a_process_that_was_killed_has_failed(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import os, signal, sys, eventlog\n"
        "eventlog.open(sys.argv[1]).run('mnist')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "log")], cwd=ROOT, env=environment())
    with eventlog.open(tmp_path / "log") as log:
        [seen] = rows(log, "runs")
    assert (seen["status"], seen["duration_s"] > 0) == ("FAILED", True)


def test_a_renamed_experiment_keeps_its_runs(log: eventlog.Log) -> None:
    log.run("mnist")
    owner = experiments.owner_of(log, "mnist").experiment_id
    assert owner is not None
    experiments.take(log, "digits", owner)
    log.append("experiment.renamed", f"experiment:{owner}", data={"name": "digits"})
    experiments.free(log, "mnist", owner)
    log.run("digits")
    assert [row["name"] for row in rows(log, "experiments")] == ["digits"]
    assert {row["experiment_id"] for row in rows(log, "runs")} == {owner}


def test_an_unknown_view_is_named_beside_those_there_are(log: eventlog.Log) -> None:
    with pytest.raises(UsageError, match="no view 'rnus'; there are: experiments, params, runs"):
        log.view("rnus")


def test_no_log_has_no_views(tmp_path: Path) -> None:
    with pytest.raises(NotALog):
        eventlog.open(tmp_path / "none").view("runs")


def test_the_views_are_those_that_plugins_register() -> None:
    assert {"experiments", "params", "runs", "tags"} <= set(eventlog.open("memory://x").views())


class Lamps(View):
    name = "runs"
    types = frozenset({"lamp.lit"})
    tables = {"lamps": Latest(("stream",))}  # noqa: RUF012

    def rows(self, events: pl.DataFrame) -> Any:
        return {"lamps": events}

    def frame(self, state: Any) -> pl.DataFrame:
        found: pl.DataFrame = state["lamps"]
        return found


def test_of_two_views_with_one_name_the_first_counts_and_the_other_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blamed: list[str] = []
    first = Lamps()
    given: list[tuple[str, list[object]]] = [("one", [first]), ("two", [Lamps(), "none"])]
    monkeypatch.setattr("eventlog.plugin.contributions", lambda hook: given)
    monkeypatch.setattr("eventlog.plugin.report_broken", lambda *said: blamed.append(said[2]))
    mt.registered.cache_clear()
    try:
        assert mt.registered() == {"runs": first}
        assert blamed == ["there is a view 'runs' already", "'none' is no eventlog.View"]
    finally:
        mt.registered.cache_clear()


def announcement(nonce: str, id: str, n: int = 0) -> tuple[Any, ...]:
    event = eventlog.Event(
        "", 0, 5, "experiment_name.taken", "experiment_name:mnist", None, None, None,
        json.dumps({"experiment_id": id}),
    )  # fmt: skip
    said = cl.Claim(cl.chain_of(event.stream), n, event, nonce).announcement()
    return said.type, said.stream, said.key, said.step, None, said.data


def test_a_claim_that_is_announced_twice_counts_once() -> None:
    events = frame_of([announcement("x", "e1"), announcement("x", "e1")], ["a", "b"])
    [row] = mt.unwrapped(events).to_dicts()
    assert (row["type"], row["seq"]) == ("experiment_name.taken", 0)
    assert row["lane"].startswith("claim/experiment_name/")


def test_of_two_claims_of_one_number_the_same_counts_in_every_order() -> None:
    said = [announcement("x", "e1"), announcement("y", "e2")]
    frames = [frame_of(order, ["a", "b"]) for order in (said, said[::-1])]
    assert [mt.unwrapped(frame)["data"].to_list() for frame in frames] == [
        [json.dumps({"experiment_id": "e1"})]
    ] * 2
