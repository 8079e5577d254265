"""A run's start knows where it came from, at hardly any cost, whatever is broken."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from eventlog.tracking import capture as room
from eventlog.tracking.capture import capture
from tests import tree
from tests.tracking.capture import fakes
from tests.tracking.capture.repositories import Repo
from tests.tree import run_python


def test_everything_is_captured(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.root)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(sys, "argv", ["train.py", "--token=hunter2"])
    repo.git("remote", "add", "origin", "https://ada:hunter2@example.org/x.git")
    repo.write("train.py", "lr = 0.2\n")
    captured = capture(repo.root)
    assert (
        captured.tags.items()
        >= {
            "git.commit": repo.head(),
            "git.branch": "main",
            "git.dirty": "true",
            "git.remote": "https://[redacted]@example.org/x.git",
            "source.argv": "train.py '--token=[redacted]'",
            "source.working_dir": str(repo.root),
            "process.pid": str(os.getpid()),
            "rank.rank": "1",
            "rank.world_size": "2",
        }.items()
    )
    assert {"host.name", "host.user", "host.platform", "python.version"} <= set(captured.tags)
    assert "+lr = 0.2\n" in captured.files["git/diff.patch"]
    assert "numpy==" in captured.files["environment/packages.txt"]
    assert all(type(text) is str for text in (*captured.tags.values(), *captured.files.values()))


def test_a_clean_repository_has_no_diff_among_its_files(repo: Repo) -> None:
    captured = capture(repo.root)
    assert captured.tags["git.dirty"] == "false"
    assert set(captured.files) == {"environment/packages.txt"}


def test_the_scripts_repository_comes_before_that_of_the_working_directory(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repo(tmp_path / "other")
    other.write("more", "")
    other.commit()
    monkeypatch.chdir(other.root)
    main = types.SimpleNamespace(__file__=str(repo.root / "train.py"), __spec__=None)
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert capture().tags["git.commit"] == repo.head()
    main.__file__ = str(tmp_path / "nowhere.py")
    assert capture().tags["git.commit"] == other.head()


def test_a_second_capture_starts_no_process_and_is_cheap(
    repo: Repo, started: list[list[str]]
) -> None:
    repo.write("train.py", "lr = 0.2\n")
    first = capture(repo.root)
    assert {command[0] for command in started} == {"git"}
    begun = len(started)
    durations_s = []
    for _ in range(50):
        began_s = time.perf_counter()
        again = capture(repo.root)
        durations_s.append(time.perf_counter() - began_s)
    assert again == first
    assert len(started) == begun
    assert min(durations_s) < 0.001


def test_what_a_caller_does_to_its_capture_changes_no_other(repo: Repo) -> None:
    first = capture(repo.root)
    first.tags.clear()
    first.files.clear()
    assert capture(repo.root).tags["git.branch"] == "main"


def broken(*_: object, **__: object) -> None:
    raise RuntimeError("broken on purpose")


@pytest.mark.parametrize("name", ["host", "source", "ranks", "accelerator", "git", "packages"])
def test_whatever_breaks_the_rest_is_captured(
    repo: Repo,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    whole = capture(repo.root)
    function = {"git": "read", "packages": "requirements"}.get(name, "tags")
    with monkeypatch.context() as patched, caplog.at_level(logging.DEBUG, "eventlog"):
        patched.setattr(getattr(room, name), function, broken)
        captured = capture(repo.root)
    assert captured.tags.items() <= whole.tags.items()
    assert captured.files.items() <= whole.files.items()
    assert captured.tags
    assert capfd.readouterr() == ("", "")
    if name != "accelerator":  # of which this machine may have none
        assert captured != whole
    assert {(r.levelname, "broken on purpose" in r.getMessage()) for r in caplog.records} == {
        ("DEBUG", True)
    }


def test_nothing_can_be_known_and_still_nothing_raises(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("PATH", "")
    fakes.no_module(monkeypatch, "pynvml", "psutil")
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.delitem(sys.modules, "__main__")
    captured = capture()
    assert "source.working_dir" not in captured.tags
    assert captured.tags["python.version"]
    monkeypatch.chdir(tmp_path)


def test_no_library_is_loaded_by_capturing(tmp_path: Path) -> None:
    code = (
        "from eventlog.tracking.capture import capture\n"
        "import eventlog.tracking.capture.system_metrics\n"
        "before = set(sys.modules)\n"
        "capture()\n"
        "print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    loaded = set(run_python(code).split()) - sys.stdlib_module_names
    allowed = {"eventlog", "__mp_main__", "pynvml"}
    site = {name for name in loaded if name.startswith(("_", "sitecustomize", "usercustomize"))}
    assert loaded - site <= allowed


def test_modules_import_only_the_standard_library_and_each_other() -> None:
    folder = Path(room.__file__ or "").parent
    for path in folder.glob("*.py"):
        imported = {module.partition(".")[0] for module in tree.imported_on_import(path)}
        assert imported <= sys.stdlib_module_names | {"eventlog"}, path


def test_a_child_of_fork_captures_itself(repo: Repo) -> None:
    code = (
        "import os\n"
        "from eventlog.tracking.capture import capture\n"
        "first = capture(sys.argv[1])\n"
        "if pid := os.fork():\n"
        "    assert os.waitpid(pid, 0)[1] == 0\n"
        "else:\n"
        "    mine = capture(sys.argv[1]).tags\n"
        "    assert mine.pop('process.pid') == str(os.getpid()) != first.tags.pop('process.pid')\n"
        "    os._exit(mine != first.tags)\n"
    )
    run_python(code, str(repo.root))


def test_no_network_is_touched(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partial clone lacks what a diff needs, and would fetch it."""
    lack = Path(f"{repo.root}-partial")
    repo.write("old.txt", "old\n")
    repo.commit()
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.git(
        *("clone", "--quiet", "--no-checkout", "--filter=blob:none"),
        *(f"file://{repo.root}", str(lack)),
    )
    partial = Repo.__new__(Repo)
    partial.root = lack
    partial.git("reset", "--quiet")  # all files are removed: to tell how, their contents are needed
    objects = sorted((lack / ".git/objects").rglob("*"))
    captured = capture(lack)
    assert captured.tags["git.dirty"] == "true"
    assert sorted((lack / ".git/objects").rglob("*")) == objects
    assert subprocess.run(["git", "diff", "HEAD"], cwd=lack, capture_output=True, check=True)
    assert sorted((lack / ".git/objects").rglob("*")) != objects
