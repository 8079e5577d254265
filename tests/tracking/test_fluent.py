"""The active run: of each task and thread its own, and one to fall back on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog.errors import UsageError
from eventlog.tracking import fluent
from tests.tracking.conftest import Story
from tests.waiting import in_threads


@pytest.fixture(autouse=True)
def default_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What ``eventlog.open()`` opens."""
    monkeypatch.setenv("EVENTLOG_URL", str(tmp_path / "log"))
    yield tmp_path / "log"
    while (run := eventlog.active_run()) is not None:
        run.finish()
    for log in fluent._default:
        log.close()
    fluent._default.clear()


def story(run: eventlog.Run) -> Story:
    with eventlog.open() as log:
        return Story(log, f"run:{run.id}")


def test_functions_log_to_the_active_run() -> None:
    with eventlog.start_run("mnist", name="first") as run:
        assert eventlog.active_run() is run
        eventlog.log_param("lr", 0.1)
        eventlog.log_params({"depth": 3})
        eventlog.log_metric("loss", 0.5, step=1)
        eventlog.log_metrics({"loss": 0.25, "acc": 1.0}, step=2)
        eventlog.set_tag("team", "vision")
        eventlog.set_tags({"n": 1})
    assert eventlog.active_run() is None
    assert story(run).said("param.set") == [("lr", 0.1), ("depth", 3)]
    assert story(run).points() == [("loss", 1, 0.5), ("loss", 2, 0.25), ("acc", 2, 1.0)]
    assert story(run).said("tag.set") == [("team", "vision"), ("n", 1)]


def test_the_first_thing_logged_begins_a_run() -> None:
    eventlog.log_metric("loss", 0.5)
    run = eventlog.active_run()
    assert run is not None
    assert run.experiment == "default"
    eventlog.end_run("KILLED")
    assert run.status == "KILLED"
    eventlog.end_run()
    assert eventlog.active_run() is None


def test_two_at_once_are_refused_unless_one_is_a_part_of_the_other() -> None:
    with eventlog.start_run("mnist") as parent:
        with pytest.raises(UsageError, match="nested=True"):
            eventlog.start_run("mnist")
        with eventlog.start_run(nested=True) as child:
            assert eventlog.active_run() is child
        assert eventlog.active_run() is parent
    [(_, created)] = story(child).said("run.created")
    assert (created["parent_id"], created["experiment"]) == (parent.id, "mnist")


def test_a_run_ended_elsewhere_is_active_no_more() -> None:
    run = eventlog.start_run("mnist")
    in_threads(run.finish)
    assert eventlog.active_run() is None


def test_a_thread_logs_to_the_one_run_that_is_open() -> None:
    with eventlog.start_run("mnist") as run:
        in_threads(lambda: eventlog.log_metric("loss", 1.0))
    assert story(run).points() == [("loss", 0, 1.0)]


def test_each_thread_has_its_own_run() -> None:
    runs: dict[int, eventlog.Run] = {}
    both = threading.Barrier(2)

    def train(n: int) -> None:
        with eventlog.start_run("mnist") as run:
            runs[n] = run
            both.wait(30)
            eventlog.log_metric("loss", float(n))
            both.wait(30)

    in_threads(lambda: train(0), lambda: train(1))
    assert story(runs[0]).points() == [("loss", 0, 0.0)]
    assert story(runs[1]).points() == [("loss", 0, 1.0)]


def test_a_thread_that_cannot_tell_which_run_is_meant_is_refused() -> None:
    first = fluent.start_run("mnist")
    fluent._stack.set(())
    second = fluent.start_run("mnist")
    fluent._stack.set(())
    with pytest.raises(UsageError, match="2 runs are open"):
        eventlog.log_metric("loss", 1.0)
    first.finish()
    second.finish()


def test_each_task_has_its_own_run() -> None:
    runs: list[eventlog.Run] = []

    async def train(n: int) -> None:
        with eventlog.start_run("mnist") as run:
            runs.append(run)
            await asyncio.sleep(0)
            eventlog.log_metric("n", n)

    async def main() -> None:
        await asyncio.gather(*map(train, range(4)))

    asyncio.run(main())
    assert sorted(value for run in runs for _, _, value in story(run).points()) == [0, 1, 2, 3]
    assert all(len(story(run).points()) == 1 for run in runs)


def test_a_closed_log_is_opened_again(default_log: Path) -> None:
    with eventlog.start_run("mnist"):
        pass
    fluent._default[0].close()
    with eventlog.start_run("mnist") as run:
        eventlog.log_metric("loss", 1.0)
    assert story(run).points() == [("loss", 0, 1.0)]


def test_a_run_can_be_begun_in_any_log(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "other") as log, eventlog.start_run("mnist", log=log) as run:
        eventlog.log_metric("loss", 1.0)
        assert Story(log, f"run:{run.id}").points() == [("loss", 0, 1.0)]
