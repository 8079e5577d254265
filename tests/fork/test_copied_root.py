"""A root copied by ``cp -r`` while its writer goes on, opened on another machine, merged again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog.backend import open_backend
from eventlog.log.keep import recover
from eventlog.log.keep.copy import copy
from eventlog.log.read.reader import Reader
from eventlog.log.write import identity, lock


def steps(log: Any) -> list[int]:
    frame = log.events().collect().sort("lane", "seq")
    return [row["step"] for row in frame.to_dicts() if row["type"] == "metric.logged"]


def on_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (identity, lock, recover):
        monkeypatch.setattr(module, "machine_id", lambda: "another machine")


@pytest.mark.parametrize("shipped_before", [False, True])
@pytest.mark.parametrize("shipped_after", [False, True])
def test_a_copied_root_is_adopted_and_merged_exactly_once_or_its_fork_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shipped_before: bool, shipped_after: bool
) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    log = eventlog.open(home, ship_s=(3600, 3600))
    point = log.points("run:1", "loss")
    for n in range(50):
        point(1.0, n)
    if shipped_before:
        log.flush(remote=True)
    for n in range(50, 100):
        point(1.0, n)
    log.flush()
    subprocess.run(["cp", "-r", home, away], check=True)
    for n in range(100, 150):
        point(1.0, n)
    if shipped_after:
        log.flush(remote=True)

    with monkeypatch.context() as patched:
        on_another_machine(patched)
        with eventlog.open(away) as copied:
            assert len(copied.sync().foreign) == 1
            report = copied.sync(adopt=True)
            assert report.failed == {}
            assert steps(copied) == list(range(100))

    log.close()
    merged = copy(Reader(open_backend(away)), open_backend(home))
    with eventlog.open(home) as after:
        assert steps(after) == list(range(150))
    named = {str(fork.key) for fork in merged.forks}
    assert merged.complete or named, "what was left out has no name"


def test_a_live_root_copied_again_and_again_never_doubles_a_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    log = eventlog.open(home, ship_s=(0.01, 0.01))
    point = log.points("run:1", "loss")
    n = 0
    for attempt in range(6):
        away = tmp_path / f"away{attempt}"
        cp = subprocess.Popen(["cp", "-r", home, away], stderr=subprocess.DEVNULL)
        while cp.poll() is None:
            point(1.0, n)
            n += 1
        with monkeypatch.context() as patched:
            on_another_machine(patched)
            with eventlog.open(away) as copied:
                report = copied.sync(adopt=True)
                found = steps(copied) if (away / "format.json").exists() else []
        assert len(found) == len(set(found)), report
        assert found == sorted(found)
        shutil.rmtree(away)
    log.close()
    with eventlog.open(home) as after:
        assert steps(after) == list(range(n))
