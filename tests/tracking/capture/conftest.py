"""What the tests of capturing share: caches that are empty, repositories, a count of processes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventlog.tracking.capture import accelerator, git, git_files, host, nvidia, packages
from tests.tracking.capture.repositories import Repo


@pytest.fixture(autouse=True)
def nothing_is_known_yet() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    git._known.clear()
    git_files._packed.cache_clear()
    git_files._remote.cache_clear()
    host.tags.cache_clear()
    packages._requirements.cache_clear()
    accelerator._gpus.cache_clear()
    nvidia._library_of.clear()


@pytest.fixture(autouse=True)
def no_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does much else is slow, and what is known expires meanwhile."""
    monkeypatch.setattr(git, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(git, "TTL_S", 3600.0)


@pytest.fixture(autouse=True)
def no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Git as a fresh machine has it."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that this process has started since."""
    commands: list[list[str]] = []

    class Counted(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], **options: Any) -> None:
            commands.append(command)
            super().__init__(command, **options)

    monkeypatch.setattr(subprocess, "Popen", Counted)
    return commands
