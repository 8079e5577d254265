"""Gate 7, the disk: no room, no inodes, read-only. Training goes on, what is lost is counted."""

from __future__ import annotations

import itertools
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

import eventlog
from eventlog.errors import EventlogError, SpoolError, SpoolFull, Unavailable
from eventlog.log.keep.recover import lanes_in
from tests.crash.soak import ROOT, environment
from tests.crash.test_recovery import leave_spool
from tests.crash.tiny import TinyDisk

NEVER_S = (3600.0, 3600.0)
WAIT_S = 30.0


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Callable[..., TinyDisk]]:
    disks: list[TinyDisk] = []

    def make(**options: int) -> TinyDisk:
        disks.append(TinyDisk(tmp_path / "tiny", **options))
        return disks[-1]

    yield make
    for disk in disks:
        disk.__exit__()


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def accounted(log: eventlog.Log, logged: int, stream: str = "run:1") -> pl.DataFrame:
    """The points that are there; those that are not must be named by ``lane.dropped``, exactly."""
    events = log.events().collect().sort("lane", "seq")
    points = events.filter((pl.col("type") == "metric.logged") & (pl.col("stream") == stream))
    notes = events.filter(pl.col("type") == "lane.dropped")["data"].to_list()
    dropped = sum(json.loads(note)["points"] for note in notes)
    assert points["step"].is_sorted()
    assert points["step"].n_unique() == len(points)
    assert len(points) + dropped == logged, f"{len(points)} + {dropped} != {logged}"
    return points


def has_room_again(log: eventlog.Log, logged: int) -> int:
    """Log until points are kept again and the loss is written down; how many that makes."""
    point = log.points("run:1", "loss")
    writer = log._writer

    def kept() -> bool:
        nonlocal logged
        point(float(logged), logged)
        logged += 1
        return bool(writer.cell[0].capacity) and not writer.backlog.points

    until(kept)
    return logged


@pytest.mark.root
@pytest.mark.parametrize("lies_there", ["everything", "spool"])
def test_points_are_dropped_counted_and_taken_again(
    tiny: Callable[..., TinyDisk],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    lies_there: str,
) -> None:
    disk = tiny(size_kib=1024)
    url = disk.path / "log" if lies_there == "everything" else tmp_path / "log"
    spool = None if lies_there == "everything" else disk.path / "spool"
    with eventlog.open(url, spool=spool, ship_s=NEVER_S) as log:
        point = log.points("run:1", "loss")
        for n in range(60_000):
            point(float(n), n)
        assert log._writer.backlog.points > 0
        [warning] = [r for r in caplog.records if r.levelno == logging.WARNING]
        assert "no room for events in" in warning.message
        assert "free disk space" in warning.message
        disk.remount("size=65536k")
        logged = has_room_again(log, 60_000)
        log.flush(remote=True)
        points = accounted(log, logged)
        assert points["step"].max() == logged - 1


@pytest.mark.root
def test_facts_wait_in_memory_and_arrive_in_order(
    tiny: Callable[..., TinyDisk], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = tiny(size_kib=512)
    with eventlog.open(tmp_path / "log", spool=disk.path / "spool", ship_s=NEVER_S) as log:
        log.append("first", "run:1", step=0)
        disk.fill()
        for n in range(1, 2_000):
            log.append("noted", "run:1", step=n, data={"text": "x" * 100})
        assert "no room for events in" in caplog.text
        with pytest.raises(SpoolFull, match=r"facts wait in memory.*free disk space"):
            log.flush()
        disk.empty()
        disk.remount("size=8192k")
        log.flush(remote=True)
        events = log.events().collect().sort("lane", "seq")
        assert events["step"].to_list() == list(range(2_000))


@pytest.mark.root
def test_a_long_payload_waits_in_memory_too(tiny: Callable[..., TinyDisk], tmp_path: Path) -> None:
    disk = tiny(size_kib=512)
    with eventlog.open(tmp_path / "log", spool=disk.path / "spool", ship_s=NEVER_S) as log:
        log.append("first", "run:1", step=0)
        disk.fill()
        log.append("long", "run:1", data=["x" * 200_000])
        log.append("short", "run:1")
        disk.empty()
        disk.remount("size=8192k")
        log.flush(remote=True)
        events = log.events().collect().sort("lane", "seq")
        assert events["type"].cast(str).to_list() == ["first", "long", "short"]
        assert json.loads(events["data"][1]) == ["x" * 200_000]


@pytest.mark.root
def test_a_new_metric_on_a_full_disk_is_counted_and_then_taken(
    tiny: Callable[..., TinyDisk], tmp_path: Path
) -> None:
    disk = tiny(size_kib=512)
    with eventlog.open(tmp_path / "log", spool=disk.path / "spool", ship_s=NEVER_S) as log:
        log.points("run:1", "loss")(0.0, 0)
        disk.fill()
        names = [f"new-{n}-{'x' * 200}" for n in range(200)]  # more than the last page takes
        handles = [log.points("run:1", name) for name in names]
        many = log.points_many("run:1", [f"m-{name}" for name in names])
        for n, handle in enumerate(handles, 1):
            handle(0.0, n)
        disk.empty()
        many([1.0] * 200, 201)
        for n, handle in enumerate(handles, 202):
            handle(2.0, n)
        log.flush(remote=True)
        events = log.events().collect()
        notes = events.filter(pl.col("type") == "lane.dropped")["data"].to_list()
        dropped = sum(json.loads(note)["points"] for note in notes)
        assert events.filter(pl.col("value") == 2.0)["key"].cast(str).sort().to_list() == sorted(
            names
        )
        assert (
            len(events.filter(pl.col("type") == "metric.logged")) + dropped == 1 + 200 + 200 + 200
        )


@pytest.mark.root
def test_more_facts_than_memory_should_hold_are_dropped_and_counted(
    tiny: Callable[..., TinyDisk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eventlog.log.write import backlog

    monkeypatch.setattr(backlog, "BACKLOG_LIMIT", 50)
    disk = tiny(size_kib=512)
    with eventlog.open(tmp_path / "log", spool=disk.path / "spool", ship_s=NEVER_S) as log:
        log.append("noted", "run:1", step=0)
        disk.fill()
        for n in range(1, 500):
            log.append("noted", "run:1", step=n, data="x" * 1_000)
        disk.empty()
        until(lambda: not log._writer.backlog.facts)
        log.flush(remote=True)
        events = log.events().collect().sort("lane", "seq")
        steps = events.filter(pl.col("type") == "noted")["step"].to_list()
        [note] = events.filter(pl.col("type") == "lane.dropped")["data"].to_list()
        assert steps == list(range(len(steps)))
        assert json.loads(note) == {"points": 0, "facts": 500 - len(steps)}


def calls_until_full(call: Callable[[int], None]) -> int:
    """How many calls returned before one raised `SpoolFull`."""
    for n in itertools.count():
        try:
            call(n)
        except SpoolFull:
            return n
    raise AssertionError


@pytest.mark.root
def test_strict_raises_where_the_default_warns(
    tiny: Callable[..., TinyDisk], tmp_path: Path
) -> None:
    disk = tiny(size_kib=512)
    spool = disk.path / "spool"
    with eventlog.open(tmp_path / "log", spool=spool, ship_s=NEVER_S, strict=True) as log:
        point = log.points("run:1", "loss")
        point(0.0, 0)
        disk.fill()
        taken = 1 + calls_until_full(lambda n: point(0.0, 1 + n))
        facts = calls_until_full(lambda n: log.append("noted", "run:1", data="x" * 500))
        with pytest.raises(SpoolFull, match=r"no room for events.*free disk space"):
            log.append("noted", "run:1", data="x" * 500)
        disk.empty()
        disk.remount("size=8192k")
        log.append("noted", "run:1", data="after")
        log.flush(remote=True)
        accounted(log, taken)
        events = log.events().collect()
        assert len(events.filter(pl.col("type") == "noted")) == facts + 1


@pytest.mark.root
def test_without_inodes_training_goes_on(tiny: Callable[..., TinyDisk], tmp_path: Path) -> None:
    disk = tiny(size_kib=16_384, inodes=40)
    with eventlog.open(disk.path / "log", ship_s=NEVER_S) as log:
        point = log.points("run:1", "loss")
        point(0.0, 0)
        with disk.without_inodes():
            for n in range(1, 10_000):
                point(float(n), n)
            log.append("noted", "run:1")
            with pytest.raises(EventlogError):
                log.flush(remote=True, timeout_s=0.2)
        assert log._writer.backlog.points > 0
        logged = has_room_again(log, 10_000)
        log.flush(remote=True)
        accounted(log, logged)


FILL = """
import sys, eventlog
log = eventlog.open(sys.argv[1])
point = log.points("run:1", "loss")
many = log.points_many("run:1", [f"m{n}" for n in range(100)])
for n in range(400_000):
    point(float(n), n)
    if n % 100 == 0:
        many([0.0] * 100, n)
    if n % 1000 == 0:
        log.append("noted", "run:1", step=n, data={"text": "x" * 300})
log.close(1.0)
"""


@pytest.mark.root
def test_a_disk_that_fills_up_never_kills_the_process(tiny: Callable[..., TinyDisk]) -> None:
    disk = tiny(size_kib=4_096)
    command = [sys.executable, "-c", FILL, str(disk.path / "log")]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr  # SIGBUS would be -7
    assert "no room for events" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.root
def test_a_full_disk_at_the_start_is_said_clearly(tiny: Callable[..., TinyDisk]) -> None:
    disk = tiny(size_kib=64)
    disk.fill()
    with eventlog.open(disk.path / "log") as log:
        with pytest.raises(EventlogError, match=r"(?i)no space"):
            log.append("noted", "run:1")
        disk.empty()
        log.append("noted", "run:1")
        log.flush(remote=True)
        assert len(log.events().collect()) == 1


@pytest.mark.root
def test_a_read_only_root_can_be_read(
    tiny: Callable[..., TinyDisk], caplog: pytest.LogCaptureFixture
) -> None:
    disk = tiny(size_kib=4_096)
    with eventlog.open(disk.path / "log") as log:
        log.append("noted", "run:1")
    spool = leave_spool(disk.path / "log", "unshipped")
    disk.remount("ro")
    with eventlog.open(disk.path / "log") as log:
        assert log.events().collect()["type"].cast(str).to_list() == ["noted"]
        assert spool.name in caplog.text
        with pytest.raises(SpoolError, match=r"Read-only.*make it writable"):
            log.append("noted", "run:1")
        disk.remount("rw")
        log.append("noted", "run:1")
        log.flush(remote=True)
        assert len(log.events().collect()) == 2 + 12
    assert lanes_in(disk.path / "log" / "spool") == []


def test_the_spool_cap_holds_while_the_store_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limit = 1 << 20
    with eventlog.open(tmp_path / "log", ship_s=(0.05, 0.05), spool_limit_bytes=limit) as log:
        point = log.points("run:1", "loss")
        backend = log._writer.backend

        def away(key: str, path: Path) -> None:
            raise Unavailable("the store is away")

        with monkeypatch.context() as patched:
            patched.setattr(backend, "put_new_file", away)
            for n in range(200_000):
                point(float(n), n)
            log.append("noted", "run:1")  # facts are few, and are kept
            log.flush()
            assert log._writer.backlog.points > 0
        assert "the spool has reached its limit" in caplog.text
        logged = has_room_again(log, 200_000)
        log.flush(remote=True)
        accounted(log, logged)
        assert len(log.events().filter(pl.col("type") == "noted").collect()) == 1
