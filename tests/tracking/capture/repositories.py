"""Repositories to look at, made with the real git; and gits that misbehave."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


class Repo:
    """A repository with one commit of ``train.py``, unless it is to have none."""

    def __init__(self, root: Path, commit: bool = True, object_format: str = "sha1") -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", f"--object-format={object_format}")
        self.write("train.py", "lr = 0.1\nsteps = 100\n")
        if commit:
            self.commit()

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self) -> str:
        """Commit everything; the commit's hash."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=work")
        return self.head()

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


def put_in_place_of_git(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Let PATH have a git that is this shell script, first."""
    folder.mkdir()
    git = folder / "git"
    git.write_text(f"#!/bin/sh\n{script}\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
