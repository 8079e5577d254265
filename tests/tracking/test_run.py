"""A run from its beginning to its end, and what becomes of one that nobody ends."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog.errors import LogClosed, UsageError
from eventlog.tracking.tracker import Tracking
from tests.fork.scripts import ROOT, environment
from tests.tracking.conftest import Story


def story(log: Tracking, run: eventlog.Run) -> Story:
    return Story(log, f"run:{run.id}")


def ending(log: Tracking, run: eventlog.Run) -> dict[str, Any]:
    [(_, payload)] = story(log, run).said("run.finished")
    return dict(payload)


def test_a_run_is_told_from_its_beginning_to_its_end(log: Tracking) -> None:
    with log.run("mnist", name="baseline", params={"lr": 1e-3}, tags={"team": "vision"}) as run:
        run.log({"loss": 0.5}, step=1)
    assert story(log, run).types() == [
        "run.created", "param.set", "tag.set", "metric.logged", "run.finished",
    ]  # fmt: skip
    [(_, created)] = story(log, run).said("run.created")
    assert (created["name"], created["experiment"]) == ("baseline", "mnist")
    assert ending(log, run)["status"] == run.status == "FINISHED"


def test_a_run_without_a_name_gets_one_that_people_can_say(log: Tracking) -> None:
    names = {log.run("mnist").name for _ in range(5)}
    assert len(names) > 1
    assert all(name.count("-") == 2 for name in names)


def test_identities_sort_by_time(log: Tracking) -> None:
    ids = [log.run("mnist").id for _ in range(3)]
    assert all(len(run_id) == 32 and int(run_id, 16) for run_id in ids)
    assert [run_id[:12] for run_id in ids] == sorted(run_id[:12] for run_id in ids)


def test_an_exception_ends_a_run_as_failed_with_its_traceback(log: Tracking) -> None:
    with pytest.raises(ZeroDivisionError), log.run("mnist") as run:
        run.log({"loss": 1 / 0})
    assert ending(log, run)["status"] == "FAILED"
    assert "ZeroDivisionError" in ending(log, run)["error"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), "KILLED"), (SystemExit(0), "FINISHED"), (SystemExit(3), "FAILED")],
)
def test_how_a_run_is_left_says_how_it_ended(
    log: Tracking, error: BaseException, status: str
) -> None:
    with pytest.raises(type(error)), log.run("mnist") as run:
        raise error
    assert ending(log, run)["status"] == status


def test_a_run_ends_once(log: Tracking, caplog: pytest.LogCaptureFixture) -> None:
    run = log.run("mnist")
    run.finish()
    run.finish()
    assert not caplog.records
    run.finish("FAILED")
    assert "stays so" in caplog.text
    assert ending(log, run)["status"] == run.status == "FINISHED"


def test_no_other_word_is_an_end(log: Tracking) -> None:
    run = log.run("mnist")
    with pytest.raises(UsageError, match="FINISHED, FAILED, KILLED"):
        run.finish("DONE")  # type: ignore[arg-type]
    assert run.status == "RUNNING"


def test_what_is_logged_after_the_end_is_kept_with_a_warning(
    log: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    run = log.run("mnist", name="late")
    run.finish()
    with caplog.at_level(logging.WARNING, logger="eventlog"):
        run.log({"loss": 1.0})
        run.log_metric("loss", 2.0)
        run.log_param("lr", 0.1)
    assert [record.getMessage().count("run late has ended") for record in caplog.records] == [1]
    assert story(log, run).points() == [("loss", 0, 1.0), ("loss", 1, 2.0)]


def test_closing_the_log_ends_its_runs(tmp_path: Path) -> None:
    log = eventlog.open(tmp_path / "log")
    run = log.run("mnist")
    log.close()
    assert run.status == "FINISHED"
    with pytest.raises(LogClosed):
        log.run("mnist")
    with eventlog.open(tmp_path / "log") as log:
        assert ending(log, run)["status"] == "FINISHED"


def test_an_exception_that_leaves_the_log_s_block_ends_its_runs_as_failed(tmp_path: Path) -> None:
    runs: list[eventlog.Run] = []

    def train() -> None:
        with eventlog.open(tmp_path / "log") as log:
            runs.append(log.run("mnist"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert runs[0].status == "FAILED"


# -- others ---------------------------------------------------------------------------------------


def test_a_child_is_a_part_of_its_parent(log: Tracking) -> None:
    with log.run("mnist") as parent, parent.child("fold 1", params={"fold": 1}) as child:
        child.log({"loss": 1.0})
    [(_, created)] = story(log, child).said("run.created")
    assert created["parent_id"] == parent.id
    assert created["experiment"] == "mnist"
    [(_, other)] = Story(log, f"run:{log.run(parent=parent).id}").said("run.created")
    assert (other["parent_id"], other["experiment"]) == (parent.id, "mnist")


def test_a_run_goes_on_in_another_process(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "log") as log:
        run = log.run("mnist", name="long")
        run.log({"loss": 1.0}, step=0)
    with eventlog.open(tmp_path / "log") as log:
        again = log.run(id=run.id, resume=True)
        assert (again.name, again.experiment) == ("long", "mnist")
        again.rewind(0)
        again.log({"loss": 0.5}, step=1)
        assert "run.resumed" in story(log, run).types()
        assert story(log, run).said("metric.rewound") == [(None, {"to_step": 0})]


def test_a_run_that_is_not_there_does_not_go_on(log: Tracking) -> None:
    log.run("mnist")
    with pytest.raises(UsageError, match="holds no run 'nope'"):
        log.run(id="nope", resume=True)
    with pytest.raises(UsageError, match="needs the id"):
        log.run(resume=True)


def test_ranks_write_one_run(log: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    run = log.run("mnist")
    monkeypatch.setenv("EVENTLOG_RUN_ID", run.id)
    rank = log.run("mnist")
    rank.log({"loss": 1.0})
    assert rank.id == run.id
    assert story(log, run).said("run.resumed") == [(None, {"joined": True})]
    assert log.run(parent=run).id != run.id


@pytest.mark.parametrize("run_id", ["a/b", "a:b", " a", "", 7, "\ud800"])
def test_what_is_no_identity_is_refused(log: Tracking, run_id: Any) -> None:
    with pytest.raises(UsageError):
        log.run("mnist", id=run_id)


@pytest.mark.parametrize(
    "name", ["with space", "a/b/../c", "ünï", "x" * 5_000, 'quo"te', "line\nbreak", "\U0001f600"]
)
def test_names_are_kept_as_they_are(log: Tracking, name: str) -> None:
    run = log.run(name, name=name, params={name: 1}, tags={name: "t"})
    run.log({name: 0.5})
    [(_, created)] = story(log, run).said("run.created")
    assert (created["name"], created["experiment"]) == (name, name)
    assert story(log, run).said("param.set") == [(name, 1)]
    assert story(log, run).points() == [(name, 0, 0.5)]


# -- runs that nobody ends ------------------------------------------------------------------------

UNENDED = """
import os, signal, sys, threading, eventlog
log = eventlog.open(sys.argv[1], ship_s=(3600, 3600))
run = log.run("mnist", id="run-1")
run.log({"loss": 1.0})
"""


def ended_by(tmp_path: Path, code: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", UNENDED + code, str(tmp_path / "log")],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
    )
    with eventlog.open(tmp_path / "log") as log:
        found = Story(log, "run:run-1").said("run.finished")
    return done.returncode, found[0][1]["status"] if found else "RUNNING"


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("", (0, "FINISHED")),
        ("raise ValueError('x')", (1, "FAILED")),
        ("os.kill(os.getpid(), signal.SIGTERM)", (-signal.SIGTERM, "KILLED")),
        ("os.kill(os.getpid(), signal.SIGKILL)", (-signal.SIGKILL, "RUNNING")),
    ],
)
def test_the_end_of_the_process_ends_its_runs(
    tmp_path: Path, code: str, ended: tuple[int, str]
) -> None:
    assert ended_by(tmp_path, code) == ended


def test_a_handler_of_one_s_own_is_left_alone(tmp_path: Path) -> None:
    own = """
signal.signal(signal.SIGTERM, lambda *_: (run.finish("FAILED"), sys.exit(7)))
log.run("mnist")
os.kill(os.getpid(), signal.SIGTERM)
"""
    assert ended_by(tmp_path, own) == (7, "FAILED")


def test_a_forked_child_ends_no_run_of_its_parent(tmp_path: Path) -> None:
    fork = """
if os.fork() == 0:
    sys.exit(0)
os.wait()
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert ended_by(tmp_path, fork) == (-signal.SIGKILL, "RUNNING")


def test_a_run_costs_no_thread_of_its_own(tmp_path: Path) -> None:
    assert os.fspath(tmp_path)  # the log's own thread is the only one
    import threading

    with eventlog.open(tmp_path / "log") as log:
        log.run("mnist")
        before = threading.active_count()
        log.run("mnist")
        assert threading.active_count() == before
