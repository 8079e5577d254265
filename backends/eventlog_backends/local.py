"""A directory as the store: ``./runs``, ``/data/log`` or ``file:///data/log``.

An object is made as a temporary file on the same file system, synced, and given its name by
``link(2)``, which creates or refuses atomically, on NFS too. Plain ``open("x")`` would show readers
a half-written object, and ``rename(2)`` would replace one. Then the directory is synced, and
once for each directory that is new to this process its parents: a file is only as durable as the
names on the way to it.

``spool/`` (of the writers) and ``tmp/`` lie in the same directory and are no part of the store.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import functools
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from eventlog.backend import Backend, Entry, check_key, is_key, is_prefix
from eventlog.errors import BackendError, Exists, UsageError
from eventlog.mount import network_type
from eventlog_backends.local_errors import said_clearly

RESERVED = frozenset({"spool", "tmp"})
STALE_TEMP_S = 86_400.0
NETWORK_LATE_PUT_S = 86_400.0
MKDIR_TRIES = 16
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP}
_NO_OBJECT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class LocalBackend(Backend):
    """A store in a directory, on a local disk or a network mount.

    On a network mount a put may take effect long after it was given up (the client resends
    it), other hosts' files appear late, and no spool may lie inside: there `local_root` is None and
    the waiting times are those of a remote store.

    Args:
        url: a path, or a ``file://`` URL with the usual percent escapes.
        network: the network file system's type, or None; tells it of a path.
    """

    def __init__(
        self, url: str | os.PathLike[str], *, network: Callable[[Path], str | None] = network_type
    ) -> None:
        self.root = directory_of(os.fspath(url))
        self.url = self.root
        self._network_of = network
        self._durable: dict[str, tuple[int, int]] = {}
        self._top = ""  # the deepest directory above the root that was there before us
        self._swept = False

    def __repr__(self) -> str:
        return f"<LocalBackend {self.url}>"

    @functools.cached_property
    def network(self) -> str | None:
        """The type of the network file system that the directory lies on, or None."""
        return self._network_of(Path(self.root))

    @functools.cached_property
    def local_root(self) -> Path | None:  # type: ignore[override]
        return None if self.network else Path(self.root)

    @functools.cached_property
    def late_put_s(self) -> float:  # type: ignore[override]
        return NETWORK_LATE_PUT_S if self.network else 0.0

    @functools.cached_property
    def poll_s(self) -> float:  # type: ignore[override]
        return 1.0 if self.network else 0.25

    @functools.cached_property
    def ship_s(self) -> tuple[float, float]:  # type: ignore[override]
        return (2.0, 15.0) if self.network else (1.0, 1.0)

    def put_new(self, key: str, data: bytes) -> None:
        final = self._path(key)
        with said_clearly(final), self._temp() as temp:
            with open(_create(temp), "wb", buffering=0) as f:
                left = memoryview(data)
                while left:
                    left = left[f.write(left) :]
                os.fsync(f.fileno())
            self._publish(temp, final)

    def put_new_file(self, key: str, path: Path) -> None:
        """`put_new` by a second name for ``path``, which must not be changed any more."""
        final = self._path(key)
        with said_clearly(final):
            descriptor = os.open(path, os.O_RDONLY | _BINARY)
            try:
                if os.name != "nt":
                    os.fsync(descriptor)
                self._publish(os.fspath(path), final)
                return
            except OSError as e:
                if e.errno not in _CANNOT_LINK:
                    raise
            finally:
                os.close(descriptor)
        with open(path, "rb") as source:
            self.put_blob(key, source)

    def put_blob(self, key: str, source: BinaryIO) -> None:
        final = self._path(key)
        with said_clearly(final), self._temp() as temp:
            if os.path.lexists(final):
                raise _exists(final)
            with open(_create(temp), "wb") as f:
                shutil.copyfileobj(source, f, 1 << 20)
                f.flush()
                os.fsync(f.fileno())
            self._publish(temp, final)

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        path = self._path(key)
        with said_clearly(path, reading=True), open(path, "rb", buffering=0) as f:
            if start:
                f.seek(start)
            if end is None:
                return f.readall()
            parts, left = [], end - start
            while left > 0 and (part := f.read(left)):
                parts.append(part)
                left -= len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)

    def open_blob(self, key: str) -> BinaryIO:
        path = self._path(key)
        with said_clearly(path, reading=True):
            return open(path, "rb")

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        for key in self.keys(prefix, start_after):
            if entry := self._entry(key):
                yield entry

    def keys(self, prefix: str = "", start_after: str = "") -> Iterator[str]:
        folder, slash, name = prefix.rpartition("/")
        if is_prefix(prefix) and folder.split("/", 1)[0] not in RESERVED:
            yield from self._walk(folder + slash, name, start_after)

    def delete(self, keys: Sequence[str]) -> None:
        touched: dict[str, None] = {}
        for key in keys:
            path = self._path(key)
            with said_clearly(path), contextlib.suppress(*_NO_OBJECT):
                os.unlink(path)
                touched[os.path.dirname(path)] = None
        changed = {self._prune(folder) for folder in touched}
        for folder in changed:
            # An object that came back after a power cut would be read as a new one.
            with said_clearly(folder), contextlib.suppress(FileNotFoundError):
                _sync_directory(folder)
        self._sweep()

    def _walk(self, folder: str, start: str, after: str) -> Iterator[str]:
        """Keys below ``folder`` ("" or ending in a slash) whose name begins with ``start``."""
        floor = after.removeprefix(folder).partition("/")[0] if after.startswith(folder) else ""
        for name, is_folder in self._names(folder, start, floor):
            key = folder + name
            if is_folder:
                # Sorted with its slash, all below it lies between `key` and the next name.
                if after < key or after.startswith(key):
                    yield from self._walk(key, "", after)
            elif key > after:
                yield key

    def _names(self, folder: str, start: str, floor: str) -> Sequence[tuple[str, bool]]:
        """The names in it, less those that sort before all that begins with ``floor``."""
        found: list[tuple[str, bool]] = []
        place = os.path.join(self.root, folder)
        # What vanishes while it is listed (a collector, an emptied lane) is simply not there.
        vanished = contextlib.suppress(FileNotFoundError, NotADirectoryError)
        with said_clearly(place), vanished, os.scandir(place) as entries:
            for entry in entries:
                name = entry.name
                if name < floor and not floor.startswith(name):
                    continue
                if not name.startswith(start) or not is_key(name):
                    continue  # such as .DS_Store, or .nfs0123 where an open file was removed
                if folder or name not in RESERVED:
                    is_folder = entry.is_dir()
                    found.append((f"{name}/" if is_folder else name, is_folder))
        found.sort()
        return found

    def _entry(self, key: str) -> Entry | None:
        try:
            found = os.stat(os.path.join(self.root, key))
        except FileNotFoundError:
            return None
        return Entry(key, found.st_size, dt.datetime.fromtimestamp(found.st_mtime, dt.UTC))

    def _path(self, key: str) -> str:
        if check_key(key).split("/", 1)[0] in RESERVED:
            raise UsageError(f"{key!r} is no key: spool/ and tmp/ are the writers' own.")
        return os.path.join(self.root, *key.split("/"))

    @contextlib.contextmanager
    def _temp(self) -> Iterator[str]:
        folder = os.path.join(self.root, "tmp")
        if not os.path.isdir(folder):
            if not self._top:
                self._top = _deepest_existing(self.root)
            os.makedirs(folder, exist_ok=True)
        temp = os.path.join(folder, f"{os.getpid()}-{secrets.token_hex(8)}")
        try:
            yield temp
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temp)

    def _publish(self, source: str, final: str) -> None:
        """Give the synced file its name, durably; `Exists` where it is taken."""
        folder = os.path.dirname(final)
        for _ in range(MKDIR_TRIES):
            try:
                os.link(source, final)
                break
            except FileNotFoundError:
                # Not made yet, or emptied and removed by a collector just now.
                os.makedirs(folder, exist_ok=True)
            except FileExistsError:
                # An NFS server may have made the link and lost the answer to the first request.
                if not _same_file(source, final):
                    raise _exists(final) from None
                break
        else:
            raise BackendError(
                f"{folder} is removed as often as it is made. Find out who does that."
            )
        self._make_durable(folder)

    def _make_durable(self, folder: str) -> None:
        """Sync the folder and, where it is new to this process, the names that lead to it."""
        top = self._top or os.path.dirname(self.root)
        while True:
            identity = _sync_directory(folder)
            if folder == top or self._durable.get(folder) == identity:
                return
            self._durable[folder] = identity
            folder = os.path.dirname(folder)

    def _prune(self, folder: str) -> str:
        """Remove the folder and its parents while they are empty; the first that stays."""
        while os.path.dirname(folder) != self.root and folder != self.root:
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                pass
            except OSError:
                break
            self._durable.pop(folder, None)
            folder = os.path.dirname(folder)
        return folder

    def _sweep(self) -> None:
        """Once: remove what writers that died a day ago left in ``tmp/``."""
        if self._swept:
            return
        self._swept = True
        oldest = time.time() - STALE_TEMP_S
        with contextlib.suppress(OSError), os.scandir(os.path.join(self.root, "tmp")) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)


def directory_of(url: str) -> str:
    """The absolute path that a path or a ``file://`` URL names."""
    path = url
    if url.lower().startswith("file:"):
        parts = urlsplit(url)
        if parts.query or parts.fragment or parts.netloc not in ("", "localhost"):
            raise UsageError(f"{url!r} cannot be taken. Write file:///absolute/path, or the path.")
        path = unquote(parts.path)
        if os.name == "nt":
            path = path.lstrip("/")
    if not path or "\0" in path:
        raise UsageError(f"{url!r} names no directory. Name one, such as ./.eventlog.")
    return os.path.abspath(os.path.expanduser(path) if path == url else path)


def _create(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)


def _deepest_existing(path: str) -> str:
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def _exists(final: str) -> Exists:
    return Exists(f"{final} already exists")


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _sync_directory(folder: str) -> tuple[int, int]:
    """Sync it; its identity, by which one that was removed and made anew is told apart."""
    found = os.stat(folder)
    if os.name != "nt":
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except PermissionError:
            return found.st_dev, found.st_ino  # one may write there, but not read it
        try:
            os.fsync(descriptor)
            found = os.fstat(descriptor)
        except OSError as e:
            if e.errno not in (errno.EINVAL, errno.ENOTSUP):  # some mounts cannot sync names
                raise
        finally:
            os.close(descriptor)
    return found.st_dev, found.st_ino
