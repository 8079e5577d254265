"""The examples run, as a reader of them would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PATHS = os.pathsep.join(str(ROOT / part) for part in (".", "backends", "views", "plugins"))
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_to_its_end(example: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(example), str(tmp_path / "log")]
    environment = {**os.environ, "PYTHONPATH": PATHS}
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_there_are_examples() -> None:
    assert [path.stem for path in EXAMPLES] == ["survives_kill"]
