"""Gate 5: killed at every writing system call of a commit, and errors from the disk at each."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.acts import RAISED
from tests.crash.traced import KILLED, Run, Stage, judged

pytestmark = pytest.mark.strace

# Calls that change what a disk holds, each; of the others (which only come between those) some.
EACH = (
    "write pwrite64 rename link linkat unlink unlinkat fsync fdatasync mkdir rmdir ftruncate "
    "fallocate flock"
).split()
SOME = {"openat": 6, "mmap": 15, "close": 19}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """In memory: a killed process loses nothing there either, and there are hundreds of them."""
    memory = Path("/dev/shm")
    directory = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="eventlog-traced-", dir=directory) as found:
        yield Path(found)


@pytest.fixture(scope="module")
def stage(place: Path) -> Iterator[Stage]:
    made = Stage(place)
    yield made
    made.close()


@pytest.fixture(scope="module")
def left(stage: Stage, place: Path) -> Path:
    """A log with a dead writer's spool: something landed, something encoded, something not."""
    (place / "left" / "truth").mkdir(parents=True)
    assert stage.run("leave", place / "left" / "log", place / "left" / "truth").status == 0
    return place / "left"


def play(stage: Stage, act: str, left: Path, inject: str = "") -> tuple[Run, list[str]]:
    """One act on a fresh log, and what the log is like afterwards."""
    own = stage.place / secrets.token_hex(4)
    if act in ("recover", "compact"):
        shutil.copytree(left, own)
    else:
        (own / "truth").mkdir(parents=True)
    try:
        run = stage.run(act, own / "log", own / "truth", inject)
        return run, judged(own / "log", own / "truth")
    finally:
        shutil.rmtree(own)


def moments(run: Run) -> Iterator[tuple[str, int]]:
    """(system call, n-th) for all that an undisturbed run made; openat and the like sampled."""
    counts = run.counts()
    for name in EACH:
        yield from ((name, n) for n in range(1, counts[name] + 1))
    for name, stride in SOME.items():
        yield from ((name, n) for n in range(1, counts[name] + 1, stride))


@pytest.mark.parametrize("act", ["write", "ship", "recover", "compact"])
def test_killed_at_every_writing_call_nothing_that_returned_is_lost(
    stage: Stage, left: Path, act: str
) -> None:
    undisturbed, problems = play(stage, act, left)
    assert (undisturbed.status, problems) == (0, [])
    killed, wrong = 0, []
    for name, n in moments(undisturbed):
        run, problems = play(stage, act, left, f"{name}:signal=SIGKILL:when={n}")
        killed += run.status == KILLED
        wrong += [f"killed at {name} {n}: {problem}" for problem in problems]
        assert run.status in (KILLED, 0), run.said
    assert wrong == []
    assert killed > 20


@pytest.mark.parametrize("act", ["write", "ship", "recover", "compact"])
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_an_error_from_the_disk_is_said_and_loses_nothing(
    stage: Stage, left: Path, act: str, error: str
) -> None:
    calls = ("fsync", "fdatasync", "write") if error == "EIO" else (
        "write", "fallocate", "mkdir", "openat", "rename", "link", "ftruncate"
    )  # fmt: skip
    undisturbed, _ = play(stage, act, left)
    counts = undisturbed.counts()
    injected, wrong = 0, []
    for name in calls:
        for n in range(1, counts[name] + 1, SOME.get(name, 1)):
            run, problems = play(stage, act, left, f"{name}:error={error}:when={n}")
            injected += run.injected
            if run.status not in (0, RAISED):
                problems.append(f"exit status {run.status}: {run.said[-2500:]}")
            wrong += [f"{error} at {name} {n}: {problem}" for problem in problems]
    assert wrong == []
    assert injected > 3
