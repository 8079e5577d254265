"""A local cache of what was read from a remote log.

Objects never change, so an entry is right for ever, if its bytes are what was stored. Each entry
ends with a digest that is checked on every read: an entry that is damaged, cut or gone is simply
not there. Every fault of the disk (full, read-only, no permission) means no cache, never an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventlog.backend import Backend

DIGEST_BYTES = 32
LIMIT_BYTES = 4 << 30
ABANDONED_S = 3600.0  # a temporary file this old has no writer any more
KEEP = 0.8  # how much of the limit an eviction leaves
_TEMPORARY = ".tmp-"


class SegmentCache:
    """Byte ranges of one log's objects in a directory, the least recently used thrown away.

    Processes may share the directory: an entry appears whole (rename) and may vanish at any time.

    Args:
        directory: made when the first entry is.
        limit_bytes: what all entries in the directory may take, over all its logs.
        log: tells apart logs that share the directory.
    """

    def __init__(self, directory: Path, limit_bytes: int = LIMIT_BYTES, log: str = "") -> None:
        self._directory, self._limit, self._log = directory, limit_bytes, log
        self._room: int | None = None  # bytes that may be written before the next eviction
        self._broken = False

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes | None:
        """The bytes of that range of ``key``, or None where they are not cached intact."""
        path = self._path(key, start, end)
        try:
            raw = path.read_bytes()
        except OSError:
            return None
        data = raw[:-DIGEST_BYTES]
        if len(raw) < DIGEST_BYTES or self._digest(path.name, data) != raw[-DIGEST_BYTES:]:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return data

    def put(self, key: str, start: int, end: int | None, data: bytes) -> None:
        """Keep the bytes of a range. The caller has checked them."""
        size = len(data) + DIGEST_BYTES
        path = self._path(key, start, end)
        if self._broken or size > self._limit * KEEP or path.exists():
            return
        try:
            self._make_room(size)
            self._write(path, data)
        except OSError:
            self._broken = True

    def _path(self, key: str, start: int, end: int | None) -> Path:
        what = "\0".join((self._log, key, str(start), str(end)))
        name = hashlib.sha256(what.encode()).hexdigest()
        return self._directory / name[:2] / name[2:]

    @staticmethod
    def _digest(name: str, data: bytes) -> bytes:
        """Over the name too, so that an entry under another's name is no entry."""
        return hashlib.sha256(name.encode() + data).digest()

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.write(self._digest(path.name, data))
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def _make_room(self, size_bytes: int) -> None:
        """Count what is there once in a while: others write and evict too."""
        if self._room is None or self._room < size_bytes:
            self._room = max(size_bytes, min(self._evict(size_bytes), self._limit // 8))
        self._room -= size_bytes

    def _evict(self, size_bytes: int) -> int:
        """Throw away the least recently used until ``size_bytes`` fit; the bytes free then."""
        entries = sorted(self._entries())
        free = self._limit - sum(size for _, size, _ in entries)
        if free >= size_bytes:
            return free
        for _, size, path in entries:
            if free >= max(size_bytes, int(self._limit * (1 - KEEP))):
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
            free += size
        return free

    def _entries(self) -> list[tuple[float, int, str]]:
        """(last use, size, path) of every entry; abandoned temporary files are removed."""
        found = []
        oldest = time.time() - ABANDONED_S
        for folder, _, names in os.walk(self._directory):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    stat = os.stat(path)
                    if name.startswith(_TEMPORARY) and stat.st_mtime < oldest:
                        os.unlink(path)
                        continue
                    found.append((stat.st_mtime, stat.st_size, path))
        return found


def cache_for(backend: Backend, log_id: str) -> SegmentCache | None:
    """The user's cache for a remote log; None where the store is as near as the cache would be."""
    if backend.local_root is not None or backend.url.startswith("memory:"):
        return None
    import platformdirs

    directory = Path(platformdirs.user_cache_dir("eventlog", appauthor=False)) / "segments"
    return SegmentCache(directory, log=f"{backend.url}\0{log_id}")
