"""Gate 6: what ``flush()`` acknowledged survives a power cut; nothing false is read after it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog.log.keep.recover import lanes_in
from eventlog.log.write import identity, lock, spool
from tests.crash.power import Disk
from tests.crash.soak import ROOT, environment
from tests.crash.truth import THREADS, Truth, compare

START_S = 60.0
WRITERS = 2
Reboot = Callable[[], None]


@pytest.fixture
def reboot(monkeypatch: pytest.MonkeyPatch) -> Reboot:
    """Lets this process believe that the machine has started anew since."""
    boots: list[str] = []

    def again() -> None:
        boots.append(f"boot-{len(boots)}")
        for module in (identity, lock, spool):
            monkeypatch.setattr(module, "boot_id", lambda: boots[-1])

    return again


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with Disk(tmp_path / "disk") as made:
        yield made


def start(module: str, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"tests.crash.{module}", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL)


def until_flushed(truths: list[Path]) -> None:
    """Wait until each writer has had a flush answered."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if all(path.exists() and path.stat().st_size for path in truths) and all(
            Truth(path).counts(0)[1] > 0 for path in truths
        ):
            return
        time.sleep(0.01)
    raise AssertionError("the writers do not come on")


def one_round(disk: Disk, log: Path, truth: Path, number: int, spool_at: list[Path]) -> None:
    """Writers and a compactor run; the power goes at some moment."""
    names = [f"w{number}-{n}" for n in range(WRITERS)]
    processes = [start("writer", log, truth, name, *spool_at) for name in names]
    processes.append(start("keeper", log, truth / "sign"))
    try:
        until_flushed([truth / f"{name}.truth" for name in names])
        time.sleep(random.Random(number).random() * 1.5)  # any moment will do, also a bad one
        answered = flushed(truth)
        disk.cut()
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for path, counts in answered.items():
        for thread, calls in enumerate(counts):
            Truth(path).flushed(thread, calls)
    disk.back()


def flushed(truth: Path) -> dict[Path, list[int]]:
    """The calls that flushes have covered by now, of each thread of each writer.

    What was answered before the power goes must survive. A machine without power answers nothing;
    XFS, while it is shut down, may: a sync that finds its inode unpinned by then, because the log
    that held it was thrown away, takes it for written.
    """
    return {
        path: [Truth(path).counts(thread)[1] for thread in range(THREADS)]
        for path in truth.glob("*.truth")
    }


@pytest.mark.xfs
@pytest.mark.parametrize("lies_there", ["everything", "spool"])
def test_what_was_flushed_survives_a_power_cut(
    disk: Disk, tmp_path: Path, reboot: Reboot, lies_there: str
) -> None:
    truth = tmp_path / "truth"
    truth.mkdir()
    url = disk.path / "log" if lies_there == "everything" else tmp_path / "log"
    spool_at = [] if lies_there == "everything" else [disk.path / "spool"]
    for number in range(3):
        one_round(disk, url, truth, number, spool_at)
        reboot()
        with eventlog.open(url, spool=spool_at[0] if spool_at else None) as log:
            report = log.sync()
            assert report.failed == {}
            found = compare(log.events().collect(), truth, powered_off=True)
            assert found.problems == []
            assert log.verify().damage == []
        assert found.calls > 0


LEAVE = """
import os, sys, eventlog
from eventlog.log.write import daemon
daemon.TICK_S = 3600.0  # only flush() makes anything durable here
log = eventlog.open(sys.argv[1], ship_s=(3600, 3600))
point = log.points("run:1", "loss")
for n in range(10):
    point(float(n), n)
log.append("kept", "run:1")
log.flush()
for n in range(10, 17):
    point(float(n), n)
log.append("unsure", "run:1")
[facts] = log._writer.spool.facts.files
torn = os.open(facts.path, os.O_WRONLY | os.O_APPEND)
os.write(torn, b"half a frame")
os._exit(9)
"""


def test_what_a_power_cut_may_have_spoilt_is_counted_and_named(
    tmp_path: Path, reboot: Reboot
) -> None:
    command = [sys.executable, "-c", LEAVE, str(tmp_path / "log")]
    assert subprocess.run(command, cwd=ROOT, env=environment()).returncode == 9
    reboot()
    with eventlog.open(tmp_path / "log") as log:
        report = log.sync()
        events = log.events().collect().sort("lane", "seq")
    assert (report.lost_rows, report.lost_bytes) == (7, len(b"half a frame"))
    types = events["type"].cast(str).to_list()
    assert types == [*["metric.logged"] * 10, "kept", "unsure", "writer.died"]
    died = json.loads(events["data"][-1])
    assert (died["lost_rows"], died["lost_bytes"]) == (7, len(b"half a frame"))
    assert all(str(lane).endswith("~1") for lane in events["lane"])
    assert lanes_in(tmp_path / "log" / "spool") == []
