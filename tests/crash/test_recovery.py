"""Recovery that is itself interrupted, again and again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import eventlog
from eventlog.errors import SpoolError
from eventlog.log.keep.recover import lanes_in
from eventlog.log.write import identity, lock, ship, spool
from eventlog.log.write.lock import take_lock
from eventlog.log.write.spool import Spool
from tests.crash.soak import ROOT, environment

LEAVE = """
import os, sys, eventlog
log = eventlog.open(sys.argv[1], ship_s=(3600, 3600))
point = log.points("run:1", "loss")
log.append("run.created", "run:1")
for n in range(int(sys.argv[3])):
    point(float(n), n)
if sys.argv[2] == "shipped":
    log.flush(remote=True)
os._exit(9)
"""


def leave_spool(root: Path, how: str, points: int = 10) -> Path:
    """The spool of a writer that died."""
    command = [sys.executable, "-c", LEAVE, str(root), how, str(points)]
    assert subprocess.run(command, cwd=ROOT, env=environment()).returncode == 9
    [left] = lanes_in(root / "spool")
    return left


def interrupt_recovery(left: Path, times: int) -> None:
    """Recoverers that die as soon as they have opened the spool."""
    for _ in range(times):
        held = take_lock(left)
        assert held is not None
        Spool.open_dead(left, held).close()


LEAVE_UNSYNCED = """
import os, sys, eventlog
from eventlog.log.write import daemon
daemon.TICK_S = 3600.0
log = eventlog.open(sys.argv[1], ship_s=(3600, 3600))
point = log.points("run:1", "loss")
point(0.0, 0)
log.flush()
for n in range(1, 10):
    point(float(n), n)
log.append("run.ended", "run:1")
os._exit(9)
"""


def recovered_types(root: Path) -> list[str]:
    with eventlog.open(root) as log:
        assert log.sync().failed == {}
        assert not lanes_in(root / "spool")
        return log.events().collect().sort("lane", "seq")["type"].cast(str).to_list()


def test_a_spool_survives_many_interrupted_recoveries(tmp_path: Path) -> None:
    left = leave_spool(tmp_path / "log", "unshipped")
    interrupt_recovery(left, 5)
    types = recovered_types(tmp_path / "log")
    assert types == ["run.created", *["metric.logged"] * 10, "writer.died"]


def test_a_shipped_spool_survives_many_interrupted_recoveries(tmp_path: Path) -> None:
    left = leave_spool(tmp_path / "log", "shipped")
    interrupt_recovery(left, 5)
    types = recovered_types(tmp_path / "log")
    assert types == ["run.created", *["metric.logged"] * 10, "writer.died"]


def test_facts_that_tell_of_lost_points_do_not_stop_a_recovery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", LEAVE_UNSYNCED, str(tmp_path / "log")]
    assert subprocess.run(command, cwd=ROOT, env=environment()).returncode == 9
    for module in (identity, lock, spool):
        monkeypatch.setattr(module, "boot_id", lambda: "another boot")
    interrupt_recovery(lanes_in(tmp_path / "log" / "spool")[0], 5)
    assert recovered_types(tmp_path / "log") == ["metric.logged", "run.ended", "writer.died"]


def test_names_outlive_a_recovery_that_shipped_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship, "SEGMENT_ROWS", 3_000)
    leave_spool(tmp_path / "log", "unshipped", 10_000)
    seen: list[str] = []

    def die_at_the_third_segment(name: str) -> None:
        seen.append(name)
        if seen.count("ship.encode") == 3:
            raise SpoolError("the recovery was killed.")

    with monkeypatch.context() as patched, eventlog.open(tmp_path / "log") as log:
        patched.setattr(ship, "step", die_at_the_third_segment)
        assert "killed" in str(log.sync().failed)
    types = recovered_types(tmp_path / "log")
    assert types == ["run.created", *["metric.logged"] * 10_000, "writer.died"]
