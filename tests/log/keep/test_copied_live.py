"""A directory copied while its log was written, adopted on another machine, then both merged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eventlog.log.keep.copy import copy
from eventlog.log.log import Log
from eventlog.log.read.reader import Reader
from eventlog_backends.local import LocalBackend
from tests.log.lanes import contents
from tests.log.spools import as_machine


def logged(backend: LocalBackend) -> list[object]:
    """The numbers that the training logged, in order."""
    rows = contents(backend)
    return sorted(row[6] for row in rows if row[3] == "thing.done")  # type: ignore[type-var]


@pytest.mark.parametrize("back", [True, False], ids=["into the original", "into the copy"])
def test_what_both_hold_is_named_and_never_doubled(
    back: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = LocalBackend(str(tmp_path / "original"))
    with Log(original) as log:
        for n in range(30):
            log.append("thing.done", "run:1", step=n)
            if n == 9:
                log.flush(remote=True)
            if n == 19:
                log.flush()
                shutil.copytree(tmp_path / "original", tmp_path / "copied")
    copied = LocalBackend(str(tmp_path / "copied"))
    as_machine(monkeypatch, "another machine")
    with Log(copied) as log:
        assert len(log.sync(adopt=True).recovered) == 1
    assert logged(copied) == list(range(20))
    source, destination = (copied, original) if back else (original, copied)
    before = logged(destination)
    report = copy(Reader(source), destination)
    assert len(report.forks) == 1
    assert logged(destination) == before
    assert logged(original) == list(range(30))
