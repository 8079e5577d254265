"""What the log asks of a store: five verbs and two streams, nothing overwritten, nothing locked.

A backend is a flat map from keys to immutable bytes. Keys are ASCII, ``/``-separated and relative
to the log's root (``wal/<lane>/000000000000.arrow``). The one hard demand is that `put_new`
creates or refuses, atomically: two writers of one key can never both succeed, and no reader ever
sees a part of an object. `eventlog.testing.BackendTests` checks all of it.

Built-in backends live in ``backends/eventlog_backends`` and register by the same hook as anyone's
(``register_backends() -> {scheme: factory}``); ``backends/README.md`` shows how to write one.
"""

from __future__ import annotations

import abc
import builtins
import contextlib
import datetime as dt
import io
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from eventlog.errors import BackendError, Exists, NotCreateOnly, UsageError

ANY_SCHEME = "*"  # registers a factory for URLs that no other scheme takes
_SEGMENT = r"[A-Za-z0-9_~@=+,-][A-Za-z0-9._~@=+,-]{0,254}"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


class Entry(NamedTuple):
    """One line of a listing."""

    key: str
    size_bytes: int
    modified: dt.datetime  # UTC, by the store's own clock


class Range(NamedTuple):
    """Bytes ``start`` up to, not including, ``end`` of an object; ``end=None`` is its end."""

    key: str
    start: int = 0
    end: int | None = None


class Backend(abc.ABC):
    """A store of immutable objects.

    Every method may be called from any thread. Every one raises `Unavailable` (never hangs) when
    the store does not answer within the backend's own deadline, `Denied` when it refuses for want
    of credentials, and `BackendError` for what is left. Work on the instance starts lazily: making
    one touches neither network nor disk. An instance inherited over a fork works in the child.

    Attributes:
        url: how the user named it, without secrets.
        local_root: the directory, where the store is one on a local disk (not a network mount);
            then spools lie inside it and segments are hard-linked. Otherwise None.
        late_put_s: for how long after its caller gave up a put may still take effect. A lane's
            first object is kept that long after the lane has ended.
        poll_s: seconds between two looks of a tailing reader while events arrive.
        ship_s: (first, longest) seconds between two shipments of a writer.
        volatile: whether the store ends with the process (then so do its spools).
    """

    url: str
    local_root: Path | None = None
    late_put_s: float = 86_400.0
    poll_s: float = 3.0
    ship_s: tuple[float, float] = (2.0, 15.0)
    volatile: bool = False

    @abc.abstractmethod
    def put_new(self, key: str, data: bytes) -> None:
        """Create ``key`` with ``data``, durably, or raise `Exists` and change nothing."""

    @abc.abstractmethod
    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """The object's bytes ``start:end``; `Missing` where there is none."""

    @abc.abstractmethod
    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        """Entries whose key starts with ``prefix`` and is greater than ``start_after``, by key."""

    @abc.abstractmethod
    def delete(self, keys: Sequence[str]) -> None:
        """Delete the objects; one that is not there is no error."""

    @abc.abstractmethod
    def put_blob(self, key: str, source: BinaryIO) -> None:
        """Create ``key`` from a stream without holding it in memory; `Exists` as `put_new`."""

    @abc.abstractmethod
    def open_blob(self, key: str) -> BinaryIO:
        """A seekable binary reader that fetches ranges on demand; `Missing` where there is none."""

    def keys(self, prefix: str = "", start_after: str = "") -> Iterator[str]:
        """The keys that `list` would give; a store that has them cheaper gives them so."""
        return (entry.key for entry in self.list(prefix, start_after))

    def get_many(self, ranges: Iterable[Range]) -> builtins.list[bytes]:
        """The bytes of each range, in order; backends with latency fetch them together."""
        return [self.get(*r) for r in ranges]

    def put_new_file(self, key: str, path: Path) -> None:
        """`put_new` with a local file's bytes; a local store links the file instead."""
        self.put_new(key, path.read_bytes())

    def close(self) -> None:
        """Give connections back. The instance may be used again."""


class RangeReader(io.RawIOBase):
    """A seekable stream over `Backend.get`, for backends that have none of their own."""

    def __init__(self, backend: Backend, key: str, size_bytes: int) -> None:
        self._backend, self._key, self._size = backend, key, size_bytes
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        data = self._backend.get(self._key, self._at, end)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        # io's own would ask the store for 8 KiB at a time.
        if self._at >= self._size:
            return b""
        data = self._backend.get(self._key, self._at, self._size)
        self._at += len(data)
        return data


def is_key(text: str) -> bool:
    """Whether every store can take it as a key and none takes it for another place."""
    return _KEY.fullmatch(text) is not None


def is_prefix(text: str) -> bool:
    """Whether any key could start with it."""
    return text == "" or is_key(text.removesuffix("/"))


def check_key(key: str) -> str:
    """The key itself, or `UsageError` where `is_key` is false."""
    if not is_key(key):
        raise UsageError(
            f"{key!r} is no key. Use A-Z a-z 0-9 . _ ~ @ = + , - between single slashes, up to "
            "255 of them, the first one not a dot."
        )
    return key


def probe_create_only(backend: Backend) -> None:
    """Create one key twice; `NotCreateOnly` where the store takes both.

    A log on such a store would lose events as soon as two writers meet, silently. So it is asked
    before the first event is written.
    """
    key = f"probe/{secrets.token_hex(16)}"
    backend.put_new(key, b"first")
    try:
        try:
            backend.put_new(key, b"second")
        except Exists:
            pass
        else:
            raise _not_create_only(backend, "took a second object under one name")
        if backend.get(key) != b"first":
            raise _not_create_only(backend, "refused a second object but replaced the first")
    finally:
        # What happened is worth more than a left-over of 5 bytes; the collector takes those.
        with contextlib.suppress(BackendError):
            backend.delete([key])


def _not_create_only(backend: Backend, what: str) -> NotCreateOnly:
    return NotCreateOnly(
        f"{backend.url} {what}, so two writers would destroy each other's events. Use a store "
        "that honours If-None-Match on PUT (S3 itself, SeaweedFS, MinIO, R2 do), or a directory."
    )


def open_backend(url: str | os.PathLike[str]) -> Backend:
    """The backend of a URL: a path, ``file:///path``, ``s3://bucket/prefix``, ``memory://name`` …

    Touches neither network nor disk. `UsageError` for a scheme that no plugin serves, and where
    the package that serves it is not installed.
    """
    place = os.fspath(url)
    scheme = scheme_of(place)
    factories = backend_factories()
    factory = factories.get(scheme) or factories.get(ANY_SCHEME)
    if factory is None:
        raise _unknown_scheme(scheme, factories)
    try:
        return factory(place)
    except LookupError:
        if scheme in factories:
            raise
        raise _unknown_scheme(scheme, factories) from None
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{scheme}:// needs the package {error.name}, which is not installed. "
            f"`pip install {error.name}` does it."
        ) from error


def scheme_of(url: str) -> str:
    """``s3`` of ``s3://bucket``; ``file`` of a path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.:-]*)://", url)
    return found[1].lower() if found else "file"


def backend_factories() -> dict[str, Callable[[str], Backend]]:
    """What makes the backends of each scheme; the first plugin to name a scheme keeps it."""
    from eventlog import plugin

    factories: dict[str, Callable[[str], Backend]] = {}
    for name, offered in plugin.contributions("register_backends"):
        if not all(map(callable, offered.values())):
            plugin.report_broken(name, "register_backends", f"it returned {offered!r:.80}")
            continue
        for scheme, factory in offered.items():
            if factories.setdefault(scheme, factory) is not factory:
                plugin.report_broken(name, "register_backends", f"{scheme}:// is already taken")
    return factories


def _unknown_scheme(scheme: str, known: Iterable[str]) -> UsageError:
    import difflib

    names = sorted(set(known) - {ANY_SCHEME})
    nearest = difflib.get_close_matches(scheme, names, 1)
    hint = f" Did you mean {nearest[0]}://?" if nearest else ""
    served = ", ".join(f"{name}://" for name in names) or "no scheme at all"
    return UsageError(
        f"no installed plugin serves {scheme}://.{hint} Installed ones serve {served}, and a path "
        "needs no scheme. `eventlog plugins` lists the plugins."
    )
