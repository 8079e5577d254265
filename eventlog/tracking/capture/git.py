"""The code that runs: commit, branch, remote, and what of it is not committed.

Commit, branch and remote come from the repository's files at every call. Whether files differ, and
how, only ``git`` tells: it is asked at most once in `TTL_S`, unless index, HEAD or settings change
before, and it has `TIMEOUT_S`. A repository where it took longer is left alone for `GIVE_UP_S`.

Git is kept from doing more than it is asked for: no lock, hook, monitor, pager, external diff or
prompt, and no network (a partial clone would fetch what it lacks).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, NamedTuple

from eventlog.tracking.capture import git_files, redact
from eventlog.tracking.capture.git_files import Head, Repository
from eventlog.tracking.capture.probe import attempt, encodable

TTL_S = 5.0
TIMEOUT_S = 2.0
GIVE_UP_S = 300.0
DIFF_BYTES = 1024 * 1024
STATUS_BYTES = 4 * 1024 * 1024
UNTRACKED_NAMES = 1000  # told by name
REMEMBERED = 16  # repositories
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # what a first commit is compared with

_OPTIONS = [
    *("--no-optional-locks", "--no-pager"),
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"),
    *("-c", "core.quotePath=false", "-c", "protocol.allow=never"),
]
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "LC_ALL": "C",
}


class GitState(NamedTuple):
    """The state of a working tree.

    Attributes:
        commit: None where there is none yet.
        branch: None where HEAD is detached.
        remote: the URL, without credentials.
        dirty: whether tracked files differ from the commit, as ``git describe --dirty`` has it;
            None where ``git`` did not tell.
        untracked: names of files that git neither tracks nor ignores; directories end with "/".
        diff: what differs, as text without secrets, for ``git apply``; the names of untracked files
            are in its head. Empty where nothing differs, or ``git`` did not tell.
    """

    commit: str | None
    branch: str | None
    remote: str | None
    dirty: bool | None = None
    untracked: tuple[str, ...] = ()
    diff: str = ""

    def tags(self) -> dict[str, str]:
        """The state as tags; what is not known has none."""
        dirty = None if self.dirty is None else str(self.dirty).lower()
        untracked = str(len(self.untracked)) if self.untracked else None
        known = {
            "git.commit": self.commit,
            "git.branch": self.branch,
            "git.remote": self.remote,
            "git.dirty": dirty,
            "git.untracked_count": untracked,
        }
        return {tag: encodable(value) for tag, value in known.items() if value}


class _Changes(NamedTuple):
    """What ``git`` told, and for which state of the repository."""

    key: object
    expires_s: float
    head: Head
    dirty: bool | None = None
    untracked: tuple[str, ...] = ()
    diff: str = ""


_known: dict[Repository, _Changes] = {}


def read(directory: Path) -> GitState | None:
    """The state of the working tree that the directory is in; None where it is in none."""
    repository = git_files.find(directory)
    if repository is None:
        return None
    head = attempt("HEAD", lambda: git_files.head(repository)) or Head(None, None)
    changes = _changes(repository, head)
    commit, branch, _ = head if head.in_files else changes.head
    url = attempt("the remote", lambda: git_files.remote(repository, branch))
    return GitState(
        commit, branch, url and redact.url(url), changes.dirty, changes.untracked, changes.diff
    )


def _changes(repository: Repository, head: Head) -> _Changes:
    key = (head, git_files.stamps(repository))
    known, now_s = _known.get(repository), time.monotonic()
    if known and now_s < known.expires_s and known.key in (key, None):
        return known
    asked = _Asked(repository, now_s + TIMEOUT_S)
    changes = attempt("what is not committed", lambda: asked.changes(key, head))
    if changes is None:
        gave_up = asked.out_of_time()  # then the answer holds for any key
        expires_s = now_s + (GIVE_UP_S if gave_up else TTL_S)
        changes = _Changes(None if gave_up else key, expires_s, head, asked.dirty, asked.untracked)
    if len(_known) >= REMEMBERED:
        _known.clear()
    _known[repository] = changes
    return changes


class _Asked:
    """One round of questions to ``git``, all before one deadline."""

    def __init__(self, repository: Repository, deadline_s: float) -> None:
        self.repository = repository
        self.deadline_s = deadline_s
        self.dirty: bool | None = None
        self.untracked: tuple[str, ...] = ()

    def out_of_time(self) -> bool:
        return time.monotonic() >= self.deadline_s

    def changes(self, key: object, head: Head) -> _Changes:
        head = self.status(head)
        diff = self.diff(head) if self.dirty else ""
        return _Changes(key, time.monotonic() + TTL_S, head, self.dirty, self.untracked, diff)

    def status(self, head: Head) -> Head:
        """Find out what differs; returns the head, as git tells it where the files do not."""
        text, whole = self._output(
            *("status", "--porcelain=v2", "-z", "--branch", "--no-ahead-behind", "--no-renames"),
            *("--untracked-files=normal", "--ignore-submodules=dirty"),
            limit_bytes=STATUS_BYTES,
        )
        entries = text.split("\0") if whole else text.split("\0")[:-1]
        names = (entry[2:] for entry in entries if entry.startswith("? "))
        # The log itself lies in many a working tree, and is no code.
        self.untracked = tuple(name for name in names if not name.endswith(".eventlog/"))
        self.dirty = any(entry[:2] in ("1 ", "2 ", "u ") for entry in entries)
        if head.in_files:
            return head
        told = dict(entry[2:].split(" ", 1) for entry in entries if entry.startswith("# branch."))
        commit, branch = told["branch.oid"], told["branch.head"]
        return Head(
            None if commit == "(initial)" else commit,
            None if branch == "(detached)" else branch,
            in_files=False,
        )

    def diff(self, head: Head) -> str:
        text, whole = self._output(
            *("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=dirty"),
            *("--submodule=short", "--src-prefix=a/", "--dst-prefix=b/"),
            *(head.commit or EMPTY_TREE, "--"),
            limit_bytes=DIFF_BYTES,
        )
        names = [f"# untracked: {redact.url(name)}".replace("\n", "?") for name in self.untracked]
        if len(names) > UNTRACKED_NAMES:
            names[UNTRACKED_NAMES:] = [f"# untracked: {len(names) - UNTRACKED_NAMES} more"]
        cut = [] if whole else [f"# cut: the diff is longer than {DIFF_BYTES} bytes"]
        notes = [f"# changes since commit {head.commit or '(none yet)'}", *cut, *names, ""]
        patch = "\n".join(notes) + redact.diff(text)
        return _cut(encodable(patch), DIFF_BYTES)

    def _output(self, *arguments: str, limit_bytes: int) -> tuple[str, bool]:
        """What git prints, and whether that is all of it."""
        process = subprocess.Popen(
            ["git", *_OPTIONS, *_trust(self.repository), *arguments],
            cwd=self.repository.root,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # no terminal to ask at, and one group to end
        )
        assert process.stdout
        try:
            data, whole = _read(process.stdout, self.deadline_s, limit_bytes)
            if whole and process.wait(max(0.0, self.deadline_s - time.monotonic())):
                raise subprocess.CalledProcessError(process.returncode, ["git", *arguments])
        finally:
            _end(process)
        return data.decode("utf-8", "replace"), whole


def _read(stream: IO[bytes], deadline_s: float, limit_bytes: int) -> tuple[bytes, bool]:
    """What the stream has within time and limit, and whether that is all."""
    data = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while len(data) <= limit_bytes:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not selector.select(left_s):
                raise TimeoutError("git takes too long")
            chunk = os.read(stream.fileno(), 65536)
            if not chunk:
                return bytes(data), True
            data += chunk
    return bytes(data[:limit_bytes]), False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and what it started, and wait for it; not for ever, a dead disk may hold it."""
    if process.stdout:
        process.stdout.close()
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)


def _environment() -> dict[str, str]:
    """Ours, without what would lead git to another repository or make it do more."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    return kept | _ENVIRONMENT


def _trust(repository: Repository) -> list[str]:
    """Options that allow a repository of another user, common in containers, where it is safe.

    Git refuses it since its settings can name programs. Whose script this process runs has its
    rights anyway, so a repository of the same owner around that script gains nothing.
    """
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if not script:
        return []
    path = Path(os.path.realpath(script))
    with contextlib.suppress(OSError):
        same_owner = path.stat().st_uid == repository.common_dir.stat().st_uid
        if same_owner and path.is_relative_to(repository.root):
            return ["-c", f"safe.directory={repository.root}"]
    return []


def _cut(text: str, limit_bytes: int) -> str:
    """At most so many bytes of the text, in whole lines."""
    data = text.encode()
    if len(data) <= limit_bytes:
        return text
    return data[:limit_bytes].rpartition(b"\n")[0].decode("utf-8", "ignore") + "\n"
