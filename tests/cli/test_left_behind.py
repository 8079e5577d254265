"""What a dead writer left behind belongs to its log, whichever verb looks at that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.calls import a_log, call, call_json, environment, lines, start

DIES = """
import os, signal, sys, eventlog
log = eventlog.open(sys.argv[1], ship_s=(3600, 3600))
log.append("run.created", "run:dead")
for step in range(10):
    log.points("run:dead", "loss")(0.5, step)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A log of which all that there is waits in the spool of a writer that was killed."""
    done = subprocess.run([sys.executable, "-c", DIES, str(tmp_path / "log")], env=environment())
    assert done.returncode == -signal.SIGKILL
    return tmp_path / "log"


def of_another_machine(log: Path) -> None:
    [lock] = (log / "spool").glob("*/lock")
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "machine_id": "other"}))


def test_copy_takes_it_along(left: Path, tmp_path: Path) -> None:
    assert call_json("copy", str(left), str(tmp_path / "copy"))["events"] == 12  # with writer.died
    assert len(lines("events", "--log", str(tmp_path / "copy"))) == 13  # with the position


def test_copy_names_what_is_another_machine_s_and_is_1(left: Path, tmp_path: Path) -> None:
    of_another_machine(left)
    a_log(left)
    result = call("copy", str(left), str(tmp_path / "copy"))
    assert result.exit_code == 1
    assert "not copied: what waits in a spool" in result.stdout
    assert "sync --adopt" in result.stdout
    assert "sync --adopt" in str(call_json("copy", str(left), str(tmp_path / "copy"))["unshipped"])


def test_events_shows_it(left: Path) -> None:
    assert len(lines("events", "--log", str(left))) == 13


def test_verify_names_what_is_not_in_the_store(left: Path) -> None:
    of_another_machine(left)
    a_log(left)
    result = call("verify", "--log", str(left))
    assert result.exit_code == 0
    assert "not in the store yet" in result.stdout
    assert "sync --adopt" in result.stdout
    assert len(call_json("verify", "--log", str(left))["unshipped"]) == 1


def test_tail_shows_it(left: Path) -> None:
    with start("tail", "--json", "--log", str(left), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        shown = [json.loads(process.stdout.readline())["type"] for _ in range(10)]
        process.send_signal(signal.SIGINT)
    assert "writer.died" in shown or "metric.logged" in shown


def test_tail_goes_on_behind_damage_where_told_to(tmp_path: Path) -> None:
    url = a_log(tmp_path / "log")
    a_log(tmp_path / "log")
    segment = sorted((tmp_path / "log" / "wal").rglob("*.arrow"))[0]
    raw = segment.read_bytes()
    segment.unlink()
    segment.write_bytes(raw[:-1])
    assert call("tail", "--log", url).exit_code == 1
    with start("tail", "--skip-damage", "--log", url, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)


def test_sync_of_no_log_is_an_error(tmp_path: Path) -> None:
    result = call("sync", "--log", str(tmp_path / "nope"))
    assert result.exit_code == 1
    assert "holds no log" in result.stderr


# -- a log without its format.json -----------------------------------------------------------------


@pytest.mark.parametrize("compacted", [False, True])
def test_a_lost_format_is_restored(tmp_path: Path, compacted: bool) -> None:
    url = a_log(tmp_path / "log")
    if compacted:
        call("compact", "--log", url)
    log_id = call_json("init", "--log", url)["log_id"]
    os.unlink(tmp_path / "log" / "format.json")
    for verb in ("events", "init"):
        result = call(verb, "--log", url)
        assert result.exit_code == 1
        assert "init --restore" in result.stderr
    restored = call_json("init", "--restore", "--log", url)
    assert (restored["log_id"] == log_id) == compacted  # else no manifest has ever named it
    assert len(lines("events", "--log", url)) == 10
    assert call("verify", "--log", url).exit_code == 0


def test_nothing_is_restored_where_there_was_no_log(tmp_path: Path) -> None:
    result = call("init", "--restore", "--log", str(tmp_path / "empty"))
    assert result.exit_code == 1
    assert not (tmp_path / "empty" / "format.json").exists()
