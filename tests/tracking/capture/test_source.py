"""What was started is told as a person would name it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from eventlog.tracking.capture import source
from eventlog.tracking.capture.source import EntryPoint
from tests.tracking.capture import fakes
from tests.tree import ROOT

PROGRAM = f"""
import json, sys
sys.path.insert(0, {str(ROOT)!r})
from eventlog.tracking.capture import source
print(json.dumps([*source.entry_point()[:2], source.tags().get("source.argv")]))
"""


def told_by(*arguments: str, cwd: Path, stdin: str = "") -> list[str]:
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, text=True, check=True, timeout=60
    )
    found: list[str] = json.loads(done.stdout)
    return found


def test_a_script_is_told_by_its_path(tmp_path: Path) -> None:
    fakes.files(tmp_path, {"jobs/train.py": PROGRAM})
    told = told_by("jobs/train.py", "--lr", "0.1", "--token", "hunter2", "a b", cwd=tmp_path)
    assert told == ["script", "jobs/train.py", "jobs/train.py --lr 0.1 --token '[redacted]' 'a b'"]
    path = str(tmp_path / "jobs/train.py")
    (tmp_path / "other").mkdir()
    assert told_by(path, cwd=tmp_path / "other")[:2] == ["script", path]


def test_a_module_is_told_by_its_name(tmp_path: Path) -> None:
    fakes.files(tmp_path, {"lab/train.py": PROGRAM, "lab/__main__.py": PROGRAM})
    assert told_by("-m", "lab.train", cwd=tmp_path)[:2] == ["module", "lab.train"]
    assert told_by("-m", "lab", cwd=tmp_path)[:2] == ["module", "lab"]
    assert told_by("lab", cwd=tmp_path)[:2] == ["script", "lab/__main__.py"]


def test_a_command_is_told(tmp_path: Path) -> None:
    assert told_by("-c", PROGRAM, "x", cwd=tmp_path) == ["command", "python -c", "-c x"]


def test_what_is_typed_in_is_interactive(tmp_path: Path) -> None:
    assert told_by("-", cwd=tmp_path, stdin=PROGRAM)[0] == "interactive"


class ZMQInteractiveShell:
    """What IPython calls its shell in a notebook."""

    def __init__(self, **variables: str) -> None:
        self.user_ns = variables


def test_a_notebook_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shell = ZMQInteractiveShell()
    fakes.module(monkeypatch, "IPython", get_ipython=lambda: shell)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert source.entry_point() == EntryPoint("notebook", "notebook", None)
    path = tmp_path / "lab/mnist.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    assert source.entry_point() == EntryPoint("notebook", "lab/mnist.ipynb", path)
    shell.user_ns["__vsc_ipynb_file__"] = "/x/code.ipynb"
    assert source.entry_point().name == "/x/code.ipynb"


def test_a_worker_of_ray_is_no_script(monkeypatch: pytest.MonkeyPatch) -> None:
    context = types.SimpleNamespace(worker=types.SimpleNamespace(mode=1))
    fakes.module(
        monkeypatch,
        "ray",
        WORKER_MODE=1,
        is_initialized=lambda: True,
        get_runtime_context=lambda: context,
    )
    assert source.entry_point() == EntryPoint("ray", "ray worker", None)


def run_as(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    main = types.SimpleNamespace(__file__=str(file), __spec__=None)
    monkeypatch.setitem(sys.modules, "__main__", main)


def test_code_is_looked_for_beside_the_script_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    run_as(monkeypatch, Path("/src/train.py"))
    assert source.code_directories() == [Path("/src"), tmp_path]


@pytest.mark.parametrize(
    "file",
    [Path(sys.executable).parent / "pytest", Path("/env/lib/python3/site-packages/x/cli.py")],
)
def test_an_installed_command_is_nobodys_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    run_as(monkeypatch, file)
    assert source.code_directories() == [tmp_path]


def test_arguments_that_no_text_can_hold_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x.py", os.fsdecode(b"a\xff"), "y" * 40_000])
    text = source.tags()["source.argv"]
    assert text.startswith("x.py 'a\\udcff' yyy")
    assert len(text) < 33_000
    assert text.endswith("characters more)")
    text.encode()


def test_a_working_directory_that_is_gone_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "source.working_dir" not in source.tags()
    assert "source.argv" in source.tags()
    monkeypatch.chdir(tmp_path)
