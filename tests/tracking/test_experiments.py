"""An experiment's name has one owner, however many want it at once and whatever is away."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog.errors import Unavailable
from eventlog.log import claim as cl
from eventlog.tracking import experiments
from eventlog.tracking.tracker import Tracking
from eventlog_backends.memory import MemoryBackend
from tests.tracking.conftest import Story
from tests.waiting import in_threads, until


def bound(log: Tracking) -> dict[str, str | None]:
    """Which experiment the log says each run belongs to, last."""
    found: dict[str, str | None] = {}
    for row in log.events().collect().sort("lane", "seq").to_dicts():
        if row["type"] in ("run.created", "run.moved"):
            found[row["stream"]] = json.loads(row["data"]).get("experiment_id")
    return found


def test_runs_of_one_name_belong_to_one_experiment(log: Tracking) -> None:
    for name in ("mnist", "cifar", "mnist"):
        log.run(name)
    ids = list(bound(log).values())
    assert ids[0] == ids[2] != ids[1]
    assert ids[0] == experiments.owner_of(log, "mnist").experiment_id


def test_an_experiment_is_told_of_once(log: Tracking) -> None:
    log.run("mnist")
    log.run("mnist")
    found = experiments.owner_of(log, "mnist")
    assert Story(log, f"experiment:{found.experiment_id}").said("experiment.created") == [
        (None, {"name": "mnist"})
    ]
    assert found.version == 1


def test_all_who_want_a_name_at_once_get_one_experiment(tmp_path: Path) -> None:
    logs = [eventlog.open(tmp_path / "log", ship_s=(3600, 3600 + n)) for n in range(8)]
    found: list[str] = []

    def want(log: Tracking) -> None:
        log.prepare()
        found.append(experiments.id_of(log, "mnist"))

    in_threads(*[partial(want, log) for log in logs])
    assert len(found) == 8
    assert len(set(found)) == 1
    for log in logs:
        log.close()


def test_a_name_that_was_given_up_is_somebody_else_s_next(log: Tracking) -> None:
    log.prepare()
    first = experiments.id_of(log, "mnist")
    experiments.free(log, "mnist", "somebody else")
    assert experiments.owner_of(log, "mnist").experiment_id == first
    experiments.free(log, "mnist", first)
    assert experiments.owner_of(log, "mnist").experiment_id is None
    assert experiments.id_of(log, "mnist") != first


class Remote(MemoryBackend):
    """A store that may be away, of which no log is near."""

    volatile = False
    away = True

    def list(self, prefix: str = "", start_after: str = "") -> Any:
        self._refuse()
        return super().list(prefix, start_after)

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self._refuse()
        return super().get(key, start, end)

    def put_new(self, key: str, data: bytes) -> None:
        self._refuse()
        super().put_new(key, data)

    def _refuse(self) -> None:
        if self.away:
            raise Unavailable("the store is away.")


def test_no_training_waits_for_a_store_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.tracking.tracker.RETRY_S", (0.01, 0.02))
    store = Remote()
    from eventlog.log.write.options import Options

    log = Tracking(store, Options(spool=tmp_path / "spool", ship_s=(0.02, 0.05)))
    runs = [log.run("mnist"), log.run("mnist")]
    runs[0].log({"loss": 1.0})
    store.away = False
    until(lambda: cl.length(store, cl.chain_of("experiment_name:mnist")) == 1)
    until(lambda: not log._names._waiting)
    ids = set(bound(log).values())
    assert ids == {experiments.owner_of(log, "mnist").experiment_id}
    assert log.run("mnist").id  # known by now: nothing is asked
    log.close()


def test_closing_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eventlog.log.write.options import Options

    monkeypatch.setattr("eventlog.tracking.tracker.CLOSE_WAIT_S", 0.05)
    log = Tracking(Remote(), Options(spool=tmp_path / "spool"))
    run = log.run("mnist")
    log.close(timeout_s=0.1)
    assert run.status == "FINISHED"
