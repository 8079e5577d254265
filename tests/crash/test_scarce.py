"""Gate 7, the rest: no file descriptors left, and what belongs to other users."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from eventlog.log.keep.recover import lanes_in
from eventlog.log.write import identity
from tests.crash.soak import ROOT, environment
from tests.crash.test_recovery import leave_spool

NOBODY = 65_534


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)


EMFILE = """
import contextlib, json, os, resource, sys, time, eventlog
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
log = eventlog.open(sys.argv[1], ship_s=(0.05, 0.05))
point = log.points("run:1", "loss")
log.append("begun", "run:1")
log.flush(remote=True)
taken = []
with contextlib.suppress(OSError):
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
for n in range(20_000):
    point(float(n), n)
for note in range(10):
    log.append("noted", "run:1", step=note, data=["x" * 100_000])
writer = log._writer
assert writer.backlog.points > 0
for fd in taken:
    os.close(fd)
end = time.monotonic() + 30
while writer.backlog.points or not writer.cell[0].capacity:
    n += 1
    point(float(n), n)
    assert time.monotonic() < end
log.flush(remote=True)
import polars as pl
events = log.events().collect().sort("lane", "seq")
notes = events.filter(pl.col("type") == "lane.dropped")["data"].to_list()
dropped = sum(json.loads(note)["points"] for note in notes)
points = events.filter(pl.col("type") == "metric.logged")
assert len(points) + dropped == n + 1, (len(points), dropped, n)
noted = events.filter(pl.col("type") == "noted")
assert noted["step"].to_list() == list(range(10))
assert all(len(text) > 100_000 for text in noted["data"])
log.close()
"""


def test_without_file_descriptors_training_goes_on(tmp_path: Path) -> None:
    done = run(EMFILE, tmp_path / "log")
    assert done.returncode == 0, done.stderr
    assert "Too many open files" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("question", ["machine_id", "boot_id", "process_start"])
def test_who_cannot_read_who_writes_does_not_take_it_for_another(
    monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    def no_descriptor(path: Path) -> str:
        raise OSError(errno.EMFILE, "Too many open files")

    identity.boot_id.cache_clear()
    identity.machine_id.cache_clear()
    ask: dict[str, Callable[[], object]] = {
        "machine_id": identity.machine_id,
        "boot_id": identity.boot_id,
        "process_start": lambda: identity.process_start(os.getpid()),
    }
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", no_descriptor)
        with pytest.raises(OSError, match="Too many open files"):
            ask[question]()
    assert ask[question]()


def test_a_writer_whose_start_is_not_known_counts_as_alive() -> None:
    unknown = msgspec.structs.replace(identity.this_process(), pid_start="")
    assert identity.is_alive(unknown)
    assert not identity.is_alive(msgspec.structs.replace(unknown, pid=2**22 + 1))


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody may reach (pytest's own are private)."""
    place = Path(tempfile.mkdtemp(prefix="eventlog-public-"))
    place.chmod(0o777)
    yield place
    shutil.rmtree(place)


# Imports come first: the interpreter itself may lie where only its owner can read.
AS_NOBODY = f"""
import os, sys, tempfile, eventlog
with tempfile.TemporaryDirectory() as warm, eventlog.open(warm) as log:
    log.append("warm", "run:1")
    log.points("run:1", "loss")(1.0, 1)
    log.flush(remote=True)
    log.events().collect()
    log.sync()
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
log = eventlog.open(sys.argv[1])
"""

READ = (
    AS_NOBODY
    + """
report = log.sync()
print(sorted(log.events().collect()["type"].cast(str).to_list()))
print(report.failed)
"""
)

WRITE = (
    READ
    + """
log.append("mine", "run:2")
log.close()
log = eventlog.open(sys.argv[1])
print(sorted(log.events().collect()["type"].cast(str).to_list()))
"""
)


@pytest.mark.root
def test_spools_of_other_users_are_skipped_and_named(public: Path) -> None:
    root = public / "log"
    theirs = leave_spool(root, "shipped")
    for path in (root, root / "spool", root / "tmp", root / "wal"):
        path.chmod(0o777)
    theirs.chmod(0o700)
    done = run(WRITE, root)
    assert done.returncode == 0, done.stderr
    assert theirs.name in done.stdout
    assert "Permission denied" in done.stdout
    assert "'mine'" in done.stdout
    assert [path.name for path in lanes_in(root / "spool")] == [theirs.name]


@pytest.mark.root
def test_a_log_whose_spools_are_all_private_can_be_read(public: Path) -> None:
    root = public / "log"
    leave_spool(root, "shipped")
    (root / "spool").chmod(0o700)
    done = run(READ, root)
    assert done.returncode == 0, done.stderr
    assert "'run.created'" in done.stdout
    assert f"the spools in {root}/spool belong to another user" in done.stderr


@pytest.mark.root
def test_where_one_may_not_write_it_is_said_clearly(public: Path) -> None:
    root = public / "log"
    leave_spool(root, "shipped")
    os.chmod(root / "spool", 0o700)
    done = run(WRITE, root)
    assert "SpoolError" in done.stderr
    assert f"{root}/spool" in done.stderr
    assert "make it writable" in done.stderr
