"""What a repository's own files say, read without starting ``git``: where it is, commit, branch,
remote. The formats are those of gitrepository-layout(5)."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SYMBOLIC_LINKS = 5  # of refs; git's own limit
NO_BRANCH = "refs/heads/.invalid"  # HEAD of a repository whose refs are in a reftable

_commit = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_section = re.compile(r'\s*\[\s*([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')
_setting = re.compile(r"\s*([\w-]+)\s*=\s*(.*?)\s*$")
_comment = re.compile(r"\s[#;].*$")

Stamp = tuple[int, int, int] | None


class Repository(NamedTuple):
    """Where a working tree and its repository are.

    Attributes:
        root: the working tree.
        git_dir: holds HEAD and the index; each worktree has its own.
        common_dir: holds branches and settings, which worktrees share.
    """

    root: Path
    git_dir: Path
    common_dir: Path


class Head(NamedTuple):
    """What is checked out.

    Attributes:
        commit: None where there is none yet.
        branch: None where HEAD is detached.
        in_files: the files tell; else only ``git`` can (a reftable).
    """

    commit: str | None
    branch: str | None
    in_files: bool = True


def find(directory: Path) -> Repository | None:
    """The repository whose working tree the directory is in."""
    place = os.path.realpath(directory)
    while True:
        link = os.path.join(place, ".git")
        if os.path.isfile(link):  # of a worktree or a submodule
            return _linked(Path(place), Path(link))
        if os.path.isfile(os.path.join(link, "HEAD")):
            return Repository(Path(place), Path(link), Path(link))
        above = os.path.dirname(place)
        if above == place:
            return None
        place = above


def _linked(root: Path, link: Path) -> Repository | None:
    key, _, target = _text(link).partition(":")
    git_dir = root / target.strip()
    if key != "gitdir" or not (git_dir / "HEAD").is_file():
        return None
    common = git_dir / "commondir"
    return Repository(
        root, git_dir, git_dir / _text(common).strip() if common.exists() else git_dir
    )


def head(repository: Repository) -> Head:
    """Commit and branch. A detached HEAD has no branch, a new repository no commit."""
    text = _text(repository.git_dir / "HEAD").strip()
    ref = text.removeprefix("ref:").strip()
    if ref == text:
        return Head(text if _commit.fullmatch(text) else None, None)
    if ref == NO_BRANCH:
        return Head(None, None, in_files=False)
    return Head(_resolved(repository, ref), ref.removeprefix("refs/heads/"))


def remote(repository: Repository, branch: str | None) -> str | None:
    """The URL that the branch follows; else that of ``origin``, or of the first remote."""
    config = repository.common_dir / "config"
    return _remote(config, branch, _stamp(config))


def stamps(repository: Repository) -> tuple[Stamp, ...]:
    """Something that changes whenever git writes to index, HEAD, settings or reftable."""
    _, git_dir, common_dir = repository
    files = f"{git_dir}/index", f"{git_dir}/HEAD", f"{common_dir}/config"
    return tuple(map(_stamp, (*files, f"{common_dir}/reftable/tables.list")))


@functools.lru_cache(maxsize=16)
def _remote(config: Path, branch: str | None, stamp: Stamp) -> str | None:
    urls: dict[str, str] = {}
    followed = "origin"
    for section, name, key, value in _settings(_text(config)):
        if (section, key) == ("remote", "url"):
            urls.setdefault(name, value)
        elif (section, name, key) == ("branch", branch, "remote"):
            followed = value
    return urls.get(followed) or urls.get("origin") or next(iter(urls.values()), None)


def _resolved(repository: Repository, ref: str) -> str | None:
    for _ in range(SYMBOLIC_LINKS):
        if not ref.startswith("refs/") or ".." in ref:
            return None  # it would lead out of the repository
        text = _loose(repository, ref)
        if text is None:
            packed = repository.common_dir / "packed-refs"
            return _packed(packed, ref, _stamp(packed))
        if _commit.fullmatch(text):
            return text
        ref = text.removeprefix("ref:").strip()
    return None


def _loose(repository: Repository, ref: str) -> str | None:
    for place in (repository.git_dir, repository.common_dir):
        try:
            return _text(place / ref).strip()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            continue
    return None


@functools.lru_cache(maxsize=16)
def _packed(path: Path, ref: str, stamp: Stamp) -> str | None:
    """A ref among the packed ones: there may be very many, so a file is read once."""
    if stamp is None:
        return None
    found = re.search(rf"^([0-9a-f]+) {re.escape(ref)}$", _text(path), re.MULTILINE)
    return found[1] if found else None


def _stamp(path: Path | str) -> Stamp:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _settings(config: str) -> Iterator[tuple[str, str, str, str]]:
    """Section, its name, key and value of each setting; enough of git-config(1) for remotes."""
    section = name = ""
    for line in config.splitlines():
        if found := _section.match(line):
            section, name = found[1].lower(), re.sub(r"\\(.)", r"\1", found[2] or "")
            line = line[found.end() :]
        if found := _setting.match(line):
            value = found[2]
            quoted = len(value) > 1 and value[0] == value[-1] == '"'
            yield section, name, found[1].lower(), value[1:-1] if quoted else _uncommented(value)


def _uncommented(value: str) -> str:
    return _comment.sub("", value)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="surrogateescape")
