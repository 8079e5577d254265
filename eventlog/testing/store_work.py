"""What the conformance kit does to a store, and how it looks at it."""

from __future__ import annotations

import concurrent.futures
import io
import random
import threading
from collections.abc import Callable, Sequence
from typing import BinaryIO, TypeVar, cast

from eventlog.backend import Backend
from eventlog.errors import Exists

T = TypeVar("T")

THREADS = 16
LARGE_BYTES = 8 << 20
BLOB_BYTES = 20 << 20  # more than any backend sends in one piece


class Stream(io.RawIOBase):
    """``size_bytes`` of a fixed pattern, read in short pieces; ``on_read`` runs in the midst."""

    PIECE_BYTES = 700_001
    PATTERN = random.Random(0).randbytes(1 << 20)

    def __init__(self, size_bytes: int, on_read: Callable[[], None] | None = None) -> None:
        self._size, self._at, self._on_read = size_bytes, 0, on_read
        self.looks = 0

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            return self.read_exactly(self._size - self._at)
        if self._on_read and self._at > self.looks * self._size // 4:
            self.looks += 1
            self._on_read()
        offset = self._at % len(self.PATTERN)
        wanted = min(size, self.PIECE_BYTES, self._size - self._at)
        piece = self.PATTERN[offset : offset + wanted]
        self._at += len(piece)
        return piece

    def read_exactly(self, size_bytes: int) -> bytes:
        parts: list[bytes] = []
        while size_bytes and (part := self.read(size_bytes)):
            parts.append(part)
            size_bytes -= len(part)
        return b"".join(parts)


def keys_of(backend: Backend, prefix: str = "", start_after: str = "") -> list[str]:
    """The keys of a listing."""
    return [entry.key for entry in backend.list(prefix, start_after)]


def in_threads(work: Sequence[Callable[[], T]]) -> list[T]:
    """The results of the functions, run by `THREADS` threads."""
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return [future.result() for future in [pool.submit(one) for one in work]]


def created(backend: Backend, key: str, data: bytes) -> bool:
    try:
        backend.put_new(key, data)
    except Exists:
        return False
    return True


def race(backend: Backend, key: str, data: bytes, start: threading.Barrier) -> bool:
    start.wait(30)
    return created(backend, key, data)


def sizes_seen(backend: Backend, prefix: str, done: threading.Event) -> set[int]:
    """Every size that the objects below the prefix were seen to have, until ``done``."""
    sizes: set[int] = set()
    while True:
        last = done.is_set()
        for entry in backend.list(prefix):
            sizes |= {entry.size_bytes, len(backend.get(entry.key))}
        if last:
            return sizes


def stream(size_bytes: int, on_read: Callable[[], None] | None = None) -> BinaryIO:
    """A `Stream`, as what it can be used as."""
    return cast(BinaryIO, Stream(size_bytes, on_read))
