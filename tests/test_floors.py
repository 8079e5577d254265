"""The contracts of import-linter hold, and each is shown to break."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.tree import ROOT

# contract: (file, import that breaks it)
VIOLATIONS = {
    "floors": ("eventlog/errors.py", "import eventlog.event"),
    "log": ("eventlog/log/write/ship.py", "import eventlog.log.read.reader"),
    "core": ("eventlog/event.py", "import eventlog_backends.memory"),
    "extras": ("eventlog/backend.py", "import s3fs"),
    "cases": ("backends/eventlog_backends/memory.py", "import eventlog_views"),
    "backends": ("backends/eventlog_backends/s3.py", "import eventlog_backends.memory"),
    "storage": ("backends/eventlog_backends/local.py", "import eventlog.log.segment"),
}


def contracts() -> dict[str, Any]:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {contract["id"]: contract for contract in linter["contracts"]}


def lint(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the tree at ``root``, and on no other."""
    code = (
        f"import sys; sys.path[:0] = [{str(root)!r}, {str(root / 'backends')!r}, "
        f"{str(root / 'views')!r}, {str(root / 'plugins')!r}]\n"
        "from importlinter.cli import lint_imports_command as main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache", "--no-logo", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def copied_tree(tmp_path: Path) -> Path:
    for room in ("eventlog", "backends", "views", "plugins"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_holds() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_contract_is_broken_below() -> None:
    assert set(VIOLATIONS) == set(contracts())


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_contract_breaks(copied_tree: Path, contract: str) -> None:
    file, statement = VIOLATIONS[contract]
    path = copied_tree / file
    # Inside a function: a late import is one all the same.
    path.write_text(f"{path.read_text()}\n\ndef _planted() -> None:\n    {statement}\n")
    done = lint(copied_tree, "--contract", contract)
    assert done.returncode == 1
    assert f"{contracts()[contract]['name']} BROKEN" in done.stdout


def test_a_room_that_no_floor_names_is_refused(copied_tree: Path) -> None:
    (copied_tree / "eventlog" / "attic.py").write_text("")
    done = lint(copied_tree, "--contract", "floors")
    assert done.returncode == 1
    assert "attic" in done.stdout
