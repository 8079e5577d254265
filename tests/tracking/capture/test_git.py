"""What of the code is not committed; and what a git that misbehaves costs: nothing."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
import types
from pathlib import Path

import pytest

from eventlog.tracking.capture import git
from eventlog.tracking.capture.git import GitState
from tests.tracking.capture.repositories import Repo, put_in_place_of_git


def state(directory: Path) -> GitState:
    found = git.read(directory)
    assert found
    return found


def test_a_clean_repository_has_no_diff(repo: Repo) -> None:
    assert state(repo.root) == GitState(repo.head(), "main", None, dirty=False)


def test_outside_of_a_repository_there_is_no_state(tmp_path: Path) -> None:
    assert git.read(tmp_path) is None


def test_a_changed_file_is_dirty_and_its_diff_applies(repo: Repo) -> None:
    clean = repo.head()
    repo.write("train.py", "lr = 0.2\nsteps = 100\n")
    repo.write("staged.py", "ü = 1\n")
    repo.git("add", "staged.py")
    repo.write("notes/todo.txt", "")
    found = state(repo.root)
    assert found.dirty
    assert found.untracked == ("notes/",)
    assert found.diff.startswith(f"# changes since commit {clean}\n# untracked: notes/\ndiff --git")
    assert "-lr = 0.1\n+lr = 0.2\n" in found.diff
    repo.write("../diff.patch", found.diff)
    repo.git("reset", "--quiet", "--hard")
    repo.git("apply", "../diff.patch")
    assert (repo.root / "train.py").read_text() == "lr = 0.2\nsteps = 100\n"
    assert (repo.root / "staged.py").read_text() == "ü = 1\n"


def test_untracked_files_alone_do_not_make_it_dirty(repo: Repo) -> None:
    repo.write("data.csv", "1\n")
    repo.write(".eventlog/format.json", "{}")
    found = state(repo.root)
    assert (found.dirty, found.untracked, found.diff) == (False, ("data.csv",), "")
    assert found.tags()["git.untracked_count"] == "1"


def test_before_the_first_commit_all_that_is_staged_is_the_diff(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "new", commit=False)
    repo.git("add", "train.py")
    found = state(repo.root)
    assert (found.commit, found.branch, found.dirty) == (None, "main", True)
    assert found.diff.startswith("# changes since commit (none yet)\n")
    assert "+lr = 0.1\n" in found.diff


def test_a_worktree_tells_its_own_changes(repo: Repo, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    repo.git("worktree", "add", "--quiet", "-b", "side", str(tree))
    (tree / "train.py").write_text("lr = 0.3\n")
    assert (state(tree).branch, state(tree).dirty) == ("side", True)
    assert (state(repo.root).branch, state(repo.root).dirty) == ("main", False)


def test_a_removed_and_a_conflicting_file_are_dirty(repo: Repo) -> None:
    repo.git("switch", "--quiet", "--create", "side")
    repo.write("train.py", "lr = 1\n")
    repo.commit()
    repo.git("switch", "--quiet", "main")
    repo.write("train.py", "lr = 2\n")
    repo.commit()
    with pytest.raises(Exception, match="merge"):
        repo.git("merge", "side")
    assert state(repo.root).dirty
    repo.git("merge", "--abort")
    (repo.root / "train.py").unlink()
    assert "deleted file" in state(repo.root).diff


def test_a_huge_diff_is_cut_at_a_line(repo: Repo) -> None:
    line = "x = 'Lorem ipsum dolor sit amet'\n"
    repo.write("train.py", line * (4 * git.DIFF_BYTES // len(line)))
    diff = state(repo.root).diff
    assert git.DIFF_BYTES - 100 < len(diff.encode()) <= git.DIFF_BYTES
    assert diff.splitlines()[1] == f"# cut: the diff is longer than {git.DIFF_BYTES} bytes"
    assert diff.endswith("\n+" + line)


def test_a_binary_or_badly_encoded_file_makes_no_trouble(repo: Repo) -> None:
    (repo.root / "train.py").write_bytes(b"name = '\xff\xfe'\n")
    (repo.root / "model.bin").write_bytes(b"\0\1\2")
    repo.git("add", "--all")
    diff = state(repo.root).diff
    assert "Binary files /dev/null and b/model.bin differ" in diff
    assert "+name = '" in diff
    diff.encode()


def test_secrets_are_left_out_of_diff_and_remote(repo: Repo) -> None:
    repo.write(".env", "REGION=eu\n")
    repo.commit()
    repo.write(".env", "REGION=eu\nAPI_KEY=hunter2\n")
    repo.write("train.py", "login(token='hunter2')\nlr = 0.1\n")
    repo.git(
        "remote", "add", "origin", "https://ada:hunter2@example.org/x.git?access_token=hunter2"
    )
    found = state(repo.root)
    assert "+API_KEY=[redacted]\n" in found.diff
    assert "login(token='[redacted]')" in found.diff
    assert found.remote == "https://[redacted]@example.org/x.git?access_token=[redacted]"
    assert "hunter2" not in repr(found)


def test_file_names_of_any_bytes_are_told(repo: Repo) -> None:
    repo.write("train.py", "lr = 9\n")
    with open(os.fsencode(repo.root) + b"/bad\xff\nname", "w"):
        pass
    diff = state(repo.root).diff
    assert "# untracked: bad�?name\n" in diff


def test_a_second_look_at_the_same_state_starts_no_process(
    repo: Repo, started: list[list[str]]
) -> None:
    repo.write("train.py", "lr = 0.2\n")
    first = state(repo.root)
    assert len(started) == 2  # status, diff
    assert state(repo.root / ".") == first
    assert len(started) == 2


def test_a_commit_is_seen_at_once(repo: Repo) -> None:
    repo.write("train.py", "lr = 0.2\n")
    assert state(repo.root).dirty
    commit = repo.commit()
    assert (state(repo.root).commit, state(repo.root).dirty) == (commit, False)
    repo.git("reset", "--quiet", "--soft", "HEAD~1")  # touches neither HEAD nor index
    assert (state(repo.root).commit, state(repo.root).dirty) == (repo.head(), True)


def test_an_edit_is_seen_when_what_is_known_expired(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "TTL_S", 0.0)
    assert not state(repo.root).dirty
    repo.write("train.py", "lr = 0.2\n")
    assert state(repo.root).dirty


def test_without_git_commit_branch_and_remote_are_known(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commit = repo.head()
    repo.git("remote", "add", "origin", "git@example.org:x.git")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert state(repo.root) == GitState(commit, "main", "git@example.org:x.git", dirty=None)


def test_a_git_that_hangs_is_ended_and_not_asked_again(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, started: list[list[str]]
) -> None:
    commit, pids = repo.head(), tmp_path / "pids"
    put_in_place_of_git(
        monkeypatch, tmp_path / "bin", f"sleep 60 &\necho $$ $! > {pids}\nexec 2>&1\nwait"
    )
    monkeypatch.setattr(git, "TIMEOUT_S", 2.0)
    began_s = time.monotonic()
    assert state(repo.root) == GitState(commit, "main", None, dirty=None)
    assert time.monotonic() - began_s < 30
    for pid in pids.read_text().split():  # what it started, too
        deadline_s = time.monotonic() + 10
        while alive(int(pid)) and time.monotonic() < deadline_s:
            os.sched_yield()
        assert not alive(int(pid))
    repo_index = repo.root / ".git/index"
    os.utime(repo_index)
    asked = len(started)
    assert state(repo.root).commit == commit
    assert len(started) == asked


def alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def test_what_was_known_before_git_hung_is_kept(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repo.write("train.py", "lr = 0.2\n")
    git_path = shutil.which("git")
    script = f'case "$*" in *status*) exec {git_path} "$@";; esac\nexec sleep 60'
    put_in_place_of_git(monkeypatch, tmp_path / "bin", script)
    monkeypatch.setattr(git, "TIMEOUT_S", 2.0)
    assert (state(repo.root).dirty, state(repo.root).diff) == (True, "")


@pytest.mark.parametrize("script", ["exit 3", "echo nonsense; exit 128", "kill -9 $$"])
def test_a_git_that_fails_only_leaves_its_answer_out(
    repo: Repo,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    script: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    commit = repo.head()
    put_in_place_of_git(monkeypatch, tmp_path / "bin", f"echo moan >&2\n{script}")
    with caplog.at_level(logging.DEBUG, "eventlog"):
        assert state(repo.root) == GitState(commit, "main", None, dirty=None)
    assert capfd.readouterr() == ("", "")
    assert {record.levelname for record in caplog.records} == {"DEBUG"}


def test_where_refs_are_in_a_reftable_git_tells_commit_and_branch(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (repo.root / ".git/HEAD").write_text("ref: refs/heads/.invalid\n")
    told = "# branch.oid abc123\\0# branch.head main\\0? new.py\\0"
    put_in_place_of_git(monkeypatch, tmp_path / "bin", f"printf '{told}'")
    assert state(repo.root) == GitState("abc123", "main", None, False, ("new.py",))


def test_no_program_that_the_repository_names_is_started(repo: Repo, tmp_path: Path) -> None:
    trace = tmp_path / "started"
    script = repo.write("../evil.sh", f"#!/bin/sh\necho $0 >> {trace}\ncat\n")
    script.chmod(0o755)
    for setting in ("core.fsmonitor", "core.pager", "diff.external", "diff.x.textconv"):
        repo.git("config", setting, str(script))
    repo.write(".git/info/attributes", "*.py diff=x\n")
    for hook in ("post-index-change", "fsmonitor-watchman"):
        shutil.copy(script, repo.root / ".git/hooks" / hook)
    repo.write("train.py", "lr = 0.2\n")
    assert "+lr = 0.2\n" in state(repo.root).diff
    assert not trace.exists()


def test_variables_of_another_repository_do_not_mislead(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = Repo(tmp_path / "other")
    other.write("more.py", "")
    other.commit()
    repo.write("train.py", "lr = 0.2\n")
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.root / ".git/index"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    assert "+lr = 0.2\n" in state(repo.root).diff
    repo.write("train.py", "lr = 0.1\nsteps = 100\n")
    git._known.clear()
    assert state(repo.root).dirty is False


def given_away(repo: Repo) -> None:
    for path in [repo.root, *repo.root.rglob("*")]:
        os.chown(path, 12345, -1)


@pytest.mark.root
def test_a_repository_of_someone_else_is_read_but_not_run_in(repo: Repo) -> None:
    commit = repo.head()
    repo.write("train.py", "lr = 0.2\n")
    given_away(repo)
    assert state(repo.root) == GitState(commit, "main", None, dirty=None)


@pytest.mark.root
@pytest.mark.parametrize("ours", [False, True])
def test_a_repository_is_trusted_if_whoever_owns_it_wrote_the_script_that_runs(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    script = repo.write("train.py", "lr = 0.2\n")
    given_away(repo)
    if ours:
        os.chown(script, os.getuid(), -1)
    main = types.SimpleNamespace(__file__=str(repo.root / "train.py"))
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert ("+lr = 0.2\n" in state(repo.root).diff) is not ours


def test_what_is_remembered_of_many_repositories_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "REMEMBERED", 2)
    for name in "abcd":
        state(Repo(tmp_path / name).root)
    assert len(git._known) <= 2
