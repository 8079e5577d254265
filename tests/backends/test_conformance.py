"""Every store that eventlog brings along passes the kit that it offers to others."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from eventlog.backend import Backend
from eventlog.testing import BackendTests
from eventlog_backends.fsspec_generic import FsspecBackend
from eventlog_backends.local import LocalBackend
from eventlog_backends.memory import MemoryBackend
from eventlog_backends.s3 import S3Backend
from tests.backends.silence import silent_listener


class TestLocal(BackendTests):
    def make_backend(self, tmp_path: Path) -> Backend:
        return LocalBackend(str(tmp_path / "log"))


class TestLocalOnANetworkMount(BackendTests):
    def make_backend(self, tmp_path: Path) -> Backend:
        return LocalBackend(str(tmp_path / "log"), network=lambda path: "nfs4")


class TestMemory(BackendTests):
    between_processes = False

    def make_backend(self, tmp_path: Path) -> Backend:
        return MemoryBackend(f"memory://{tmp_path.as_posix().strip('/')}")


class LockedMemory(MemoryFileSystem):
    """fsspec's file system in memory, whose check and write become one step by a lock."""

    protocol = "locked"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    lock = threading.Lock()

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        with self.lock:
            super().pipe_file(path, value, mode=mode, **kwargs)


class SilentMemory(LockedMemory):
    """One that never answers."""

    protocol = "silent"

    def _silence(self, *args: Any, mode: str = "", **kwargs: Any) -> Any:
        threading.Event().wait()

    pipe_file = cat_file = find = rm_file = info = put_file = _silence


class TestFsspec(BackendTests):
    between_processes = False

    @pytest.fixture(autouse=True)
    def schemes(self) -> None:
        for one in (LockedMemory, SilentMemory):
            fsspec.register_implementation(one.protocol, one, clobber=True)

    def make_backend(self, tmp_path: Path) -> Backend:
        return FsspecBackend(f"locked://{tmp_path.as_posix().strip('/')}")

    def make_silent_backend(self, tmp_path: Path) -> Backend:
        return FsspecBackend("silent://anything?deadline_s=0.3")


@pytest.mark.s3
class TestS3(BackendTests):
    race_rounds = 2  # SeaweedFS makes contending writers wait for seconds

    @pytest.fixture(autouse=True)
    def place(self, s3_url: str) -> Iterator[None]:
        self.url = s3_url
        with contextlib.closing(silent_listener()) as self.listener:
            yield

    listener: socket.socket

    def make_backend(self, tmp_path: Path) -> Backend:
        return S3Backend(self.url)

    def make_silent_backend(self, tmp_path: Path) -> Backend:
        port = self.listener.getsockname()[1]
        return S3Backend(f"{self.url}?endpoint_url=http://127.0.0.1:{port}&deadline_s=0.5")
