"""Commit, branch and remote come from the repository's files, without a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog.tracking.capture import git_files
from eventlog.tracking.capture.git_files import Head, Repository
from tests.tracking.capture.repositories import Repo


def found(directory: Path) -> Repository:
    repository = git_files.find(directory)
    assert repository
    return repository


def head(directory: Path) -> Head:
    return git_files.head(found(directory))


def with_remotes(repo: Repo, settings: str) -> Repository:
    (repo.root / ".git" / "config").write_text(settings)
    return found(repo.root)


def test_a_directory_inside_finds_its_repository(repo: Repo) -> None:
    inner = repo.root / "a" / "b"
    inner.mkdir(parents=True)
    assert found(inner) == found(repo.root)
    assert found(inner).root == repo.root


def test_a_link_leads_to_the_repository_of_its_target(repo: Repo, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(repo.root)
    assert found(link).root == repo.root


def test_a_directory_in_no_repository_finds_none(tmp_path: Path) -> None:
    assert git_files.find(tmp_path) is None


def test_a_directory_called_git_that_is_no_repository_is_passed_over(repo: Repo) -> None:
    inner = repo.root / "inner"
    (inner / ".git").mkdir(parents=True)
    assert found(inner).root == repo.root


@pytest.mark.parametrize("link", ["", "gitdir: /no/such/place", "gitdir:", "\0", "nonsense"])
def test_a_git_file_that_leads_nowhere_is_no_repository(tmp_path: Path, link: str) -> None:
    (tmp_path / ".git").write_text(link)
    assert git_files.find(tmp_path) is None


def test_commit_and_branch_are_read(repo: Repo) -> None:
    assert head(repo.root) == Head(repo.head(), "main")


def test_a_branch_with_slashes_is_read(repo: Repo) -> None:
    repo.git("switch", "--quiet", "--create", "ada/try/2")
    assert head(repo.root) == Head(repo.head(), "ada/try/2")


def test_a_detached_head_has_no_branch(repo: Repo) -> None:
    repo.git("switch", "--quiet", "--detach")
    assert head(repo.root) == Head(repo.head(), None)


def test_a_new_repository_has_a_branch_and_no_commit(tmp_path: Path) -> None:
    assert head(Repo(tmp_path / "new", commit=False).root) == Head(None, "main")


def test_a_packed_ref_is_read_and_read_anew_when_packed_anew(repo: Repo) -> None:
    repo.git("tag", "--annotate", "--message=x", "v1")  # its ^peeled line is none of ours
    repo.git("pack-refs", "--all")
    assert not (repo.root / ".git/refs/heads/main").exists()
    assert head(repo.root) == Head(repo.head(), "main")
    repo.commit()
    repo.git("pack-refs", "--all")
    assert head(repo.root) == Head(repo.head(), "main")


def test_a_symbolic_branch_is_followed(repo: Repo) -> None:
    repo.git("symbolic-ref", "refs/heads/trunk", "refs/heads/main")
    repo.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    assert head(repo.root) == Head(repo.head(), "trunk")


def test_a_ring_of_branches_has_no_commit(repo: Repo) -> None:
    repo.git("symbolic-ref", "refs/heads/a", "refs/heads/b")
    repo.git("symbolic-ref", "refs/heads/b", "refs/heads/a")
    repo.git("symbolic-ref", "HEAD", "refs/heads/a")
    assert head(repo.root) == Head(None, "a")


def test_a_ref_that_leads_out_of_the_repository_is_not_followed(repo: Repo) -> None:
    (repo.root / "secret").write_text("a" * 40)
    (repo.root / ".git/HEAD").write_text("ref: refs/heads/../../../secret\n")
    assert head(repo.root).commit is None


def test_a_worktree_has_a_head_of_its_own_and_shared_branches(repo: Repo, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    repo.git("worktree", "add", "--quiet", "-b", "side", str(tree))
    (repo.root / "more").write_text("")
    repo.commit()
    assert found(tree).root == tree
    assert head(tree) == Head(repo.git("rev-parse", "side"), "side")
    assert head(repo.root) == Head(repo.head(), "main")
    assert found(tree).common_dir.resolve() == found(repo.root).common_dir


def test_a_submodule_tells_its_own_commit(repo: Repo, tmp_path: Path) -> None:
    part = Repo(tmp_path / "part")
    allow = ("-c", "protocol.file.allow=always")
    repo.git(*allow, "submodule", "--quiet", "add", str(part.root), "part")
    assert head(repo.root / "part") == Head(part.head(), "main")


def test_a_sha256_repository_is_read(tmp_path: Path) -> None:
    repo = Repo(tmp_path, commit=False, object_format="sha256")
    commit = repo.commit()
    assert len(commit) == 64
    assert head(tmp_path) == Head(commit, "main")


def test_a_reftable_is_known_as_one(repo: Repo) -> None:
    (repo.root / ".git/HEAD").write_text("ref: refs/heads/.invalid\n")
    assert head(repo.root) == Head(None, None, in_files=False)


def test_the_remote_that_the_branch_follows_comes_first(repo: Repo) -> None:
    repo.git("remote", "add", "origin", "https://example.org/origin.git")
    repo.git("remote", "add", "mine", "git@example.org:me/mine.git")
    repo.git("config", "branch.main.remote", "mine")
    assert git_files.remote(found(repo.root), "main") == "git@example.org:me/mine.git"
    assert git_files.remote(found(repo.root), "other") == "https://example.org/origin.git"


def test_without_an_origin_the_first_remote_counts(repo: Repo) -> None:
    assert git_files.remote(found(repo.root), "main") is None
    repo.git("remote", "add", "up", "https://example.org/up.git")
    repo.git("remote", "add", "down", "https://example.org/down.git")
    assert git_files.remote(found(repo.root), "main") == "https://example.org/up.git"


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ('[remote "origin"]\n\turl = "https://h/a#b" ', "https://h/a#b"),
        ('[Remote "origin"] URL=https://h/a#b ; said here', "https://h/a#b"),
        ('[remote "origin"]\n fetch = x\n url = /srv/x y # local', "/srv/x y"),
        ('[remote "a \\"b\\""]\n url = /srv/x\n[core]\n url = no', "/srv/x"),
        ('[core]\n bare = false\n# [remote "origin"]\n# url = no', None),
    ],
)
def test_settings_are_read_as_git_writes_them(repo: Repo, settings: str, url: str | None) -> None:
    assert git_files.remote(with_remotes(repo, settings), "main") == url
