"""How the built-in stores register: by the same hook as anybody's."""

from __future__ import annotations

from collections.abc import Callable

from eventlog.backend import Backend
from eventlog.plugin import hookimpl


@hookimpl
def register_backends() -> dict[str, Callable[[str], Backend]]:
    return {"file": _local, "memory": _memory, "s3": _s3, "*": _fsspec}


def _local(url: str) -> Backend:
    from eventlog_backends.local import LocalBackend

    return LocalBackend(url)


def _memory(url: str) -> Backend:
    from eventlog_backends.memory import MemoryBackend

    return MemoryBackend(url)


def _s3(url: str) -> Backend:
    from eventlog_backends.s3 import S3Backend

    return S3Backend(url)


def _fsspec(url: str) -> Backend:
    from eventlog_backends.fsspec_generic import FsspecBackend

    return FsspecBackend(url)
