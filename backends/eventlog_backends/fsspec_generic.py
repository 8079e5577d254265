"""Any other store that fsspec has a file system for and that can create-or-refuse in one request.

``gs://bucket/prefix``, ``abfs://container/prefix`` …; the query holds the file system's own
options (``?project=x``). A file system must bring its own ``pipe_file(…, mode="create")`` (or
``overwrite=``): fsspec's default looks whether the object is there and then writes it, which two
writers can do at once, and shows readers half of it. SFTP, FTP and HDFS have no more than that and
are refused: mount them, and name the directory.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import importlib.util
import inspect
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, TypeVar, cast

from eventlog.backend import Backend, Entry, RangeReader, check_key, is_key, is_prefix
from eventlog.errors import (
    BackendError,
    Denied,
    Exists,
    Missing,
    NotCreateOnly,
    Unavailable,
    UsageError,
)
from eventlog_backends.deadline import within
from eventlog_backends.urls import StoreURL, is_secret

T = TypeVar("T")

DEFAULT_DEADLINE_S = 60.0
SLOWEST_BYTES_PER_S = 1 << 20
HELD_BYTES = 8 << 20
READ_AHEAD_BYTES = 1 << 20
_EXISTS = {"FileExistsError", "ResourceExistsError", "PreconditionFailed", "Conflict"}
_DENIED = {"PermissionError", "ClientAuthenticationError", "Forbidden", "Unauthorized"}
_MODIFIED = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")


class FsspecBackend(Backend):
    """A store in any fsspec file system that creates atomically.

    Args:
        url: ``scheme://place?option=value``; ``deadline_s`` among the options is ours.
    """

    def __init__(self, url: str) -> None:
        self._parsed = StoreURL.parse(url)
        self._class_at = _implementation(self._parsed.scheme)
        options = {
            name: value if is_secret(name) else _typed(value)
            for name, value in self._parsed.options.items()
        }
        self.deadline_s = _seconds(options.pop("deadline_s", DEFAULT_DEADLINE_S))
        self._options, self._full_url = options, url.partition("?")[0]
        self.url = self._parsed.shown
        self._made: tuple[int, Any, str] | None = None

    def __repr__(self) -> str:
        return f"<FsspecBackend {self.url}>"

    def put_new(self, key: str, data: bytes) -> None:
        filesystem, path = self._place(key)
        create = _create_arguments(filesystem, "pipe_file")
        if create is None:
            raise NotCreateOnly(
                f"{self.url}: its file system cannot create an object in one step, so two writers "
                "would destroy each other's events. Mount it and name the directory, or use a "
                "store such as s3://, gs:// or abfs://."
            )
        self._written(key, path, len(data), lambda: filesystem.pipe_file(path, data, **create))

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        filesystem, path = self._place(key)
        if start == 0 and end is None:
            return self._call(key, lambda: bytes(filesystem.cat_file(path)))
        # Asked for bytes beyond the end some raise, some return none: so never ask for them.
        size_bytes = self._size_bytes(key)
        last = size_bytes if end is None else min(end, size_bytes)
        if start >= last:
            return b""
        return self._call(key, lambda: bytes(filesystem.cat_file(path, start=start, end=last)))

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        if not is_prefix(prefix):
            return
        filesystem, root = self._filesystem()
        folder = prefix.rpartition("/")[0]
        place = f"{root}/{folder}" if folder else root
        found = self._call(folder or self.url, lambda: _found(filesystem, place))
        # By what follows the root, as some file systems put a bucket or a slash before it.
        start = len(root.strip("/")) + 1 if root.strip("/") else 0
        named = {path.strip("/")[start:]: info for path, info in found.items()}
        for key in sorted(named):
            if key.startswith(prefix) and key > start_after and is_key(key):
                info = named[key]
                yield Entry(key, int(info.get("size") or 0), _modified(info))

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            filesystem, path = self._place(key)
            with contextlib.suppress(Missing):
                self._call(key, functools.partial(filesystem.rm_file, path))

    def put_blob(self, key: str, source: BinaryIO) -> None:
        filesystem, path = self._place(key)
        create = _create_arguments(filesystem, "put_file")
        with tempfile.NamedTemporaryFile(prefix="eventlog-") as file:
            size_bytes = _copy(source, file)
            if create is None or size_bytes <= HELD_BYTES:
                file.seek(0)
                self.put_new(key, file.read())
                return
            self._written(
                key, path, size_bytes, lambda: filesystem.put_file(file.name, path, **create)
            )

    def open_blob(self, key: str) -> BinaryIO:
        reader = RangeReader(self, key, self._size_bytes(key))
        return cast(BinaryIO, io.BufferedReader(reader, READ_AHEAD_BYTES))

    def close(self) -> None:
        self._made = None

    def _filesystem(self) -> tuple[Any, str]:
        """The file system and the log's root in it; new in a forked child."""
        if self._made is None or self._made[0] != os.getpid():
            self._made = (os.getpid(), *self._call(self.url, self._make))
        return self._made[1], self._made[2]

    def _make(self) -> tuple[Any, str]:
        import fsspec

        found = fsspec.get_filesystem_class(self._parsed.scheme)
        options = {**found._get_kwargs_from_urls(self._full_url), **self._options}
        caches = {"use_listings_cache": False, "skip_instance_cache": True}
        root = found._strip_protocol(self._full_url)
        return found(**caches, **options), str(root).rstrip("/")

    def _place(self, key: str) -> tuple[Any, str]:
        check_key(key)
        filesystem, root = self._filesystem()
        return filesystem, f"{root}/{key}" if root else key

    def _size_bytes(self, key: str) -> int:
        filesystem, path = self._place(key)
        info = self._call(key, lambda: dict(filesystem.info(path)))
        if info.get("type") == "directory":
            raise Missing(f"{self.url} holds no {key}")
        return int(info["size"])

    def _written(self, key: str, path: str, size_bytes: int, write: Callable[[], object]) -> None:
        try:
            self._call(key, write, size_bytes)
        except Missing:  # of a folder, where the file system has such
            filesystem, _ = self._filesystem()
            parent = path.rpartition("/")[0]
            self._call(key, lambda: filesystem.makedirs(parent, exist_ok=True))
            self._call(key, write, size_bytes)

    def _call(self, key: str, call: Callable[[], T], size_bytes: int = 0) -> T:
        try:
            return within(self.deadline_s + size_bytes / SLOWEST_BYTES_PER_S, call)
        except BackendError:
            raise
        except Exception as e:
            raise self._meaning(key, e) from e

    def _meaning(self, key: str, error: Exception) -> Exception:
        names = {one.__name__ for one in type(error).__mro__}
        if isinstance(error, ImportError):
            return _not_installed(self._parsed.scheme, error)
        where = self.url if key == self.url else f"{key} at {self.url}"
        said = self._parsed.redacted(f"{where}: {type(error).__name__}: {error}")
        status = getattr(error, "status_code", None) or getattr(error, "code", None)
        if names & _EXISTS or status == 412:
            return Exists(f"{self.url} already holds {key}")
        if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
            return Missing(f"{self.url} holds no {key}")
        if names & _DENIED or status in (401, 403):
            return Denied(said, remedy="Check the credentials that this file system looks for.")
        if isinstance(error, OSError) or (isinstance(status, int) and status >= 500):
            return Unavailable(said, remedy=f"Check that {self.url} can be reached.")
        return BackendError(said, remedy="Check the URL and what this file system needs.")


def _implementation(scheme: str) -> str:
    """Where the scheme's file system is; `LookupError` where fsspec knows none."""
    from fsspec.registry import known_implementations, registry

    if scheme in registry:
        return f"{registry[scheme].__module__}.{registry[scheme].__qualname__}"
    place = known_implementations[scheme]["class"]
    package = place.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        raise _needs(scheme, package)
    if package == "fsspec":  # its own are light, and only their import tells what they need
        try:
            importlib.import_module(place.rpartition(".")[0])
        except ImportError as error:
            raise _not_installed(scheme, error) from error
    return str(place)


def _not_installed(scheme: str, error: ImportError) -> UsageError:
    """What to install, by the name of the module that was not found."""
    for one in (error, error.__cause__):
        if isinstance(one, ImportError) and one.name:
            return _needs(scheme, one.name.partition(".")[0])
    return UsageError(
        f"{scheme}:// needs a package that is missing", remedy=f"Its file system says: {error}"
    )


def _needs(scheme: str, package: str) -> UsageError:
    return UsageError(
        f"{scheme}:// needs the package {package}, which is not installed. "
        f"`pip install {package}` does it."
    )


def _create_arguments(filesystem: Any, method: str) -> dict[str, object] | None:
    """What makes the method create-only; None where it is fsspec's default, which never is."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    while isinstance(getattr(filesystem, "fs", None), AbstractFileSystem):
        filesystem = filesystem.fs  # of one that only adds a prefix
    name = f"_{method}" if filesystem.async_impl else method
    function = getattr(type(filesystem), name)
    if function in (getattr(AbstractFileSystem, name, None), getattr(AsyncFileSystem, name, None)):
        return None
    parameters = inspect.signature(function).parameters
    if "mode" in parameters:
        return {"mode": "create"}
    return {"overwrite": False} if "overwrite" in parameters else None


def _typed(value: str) -> object:
    """Options of file systems are numbers and switches, too; a URL has text only."""
    lowered = value.lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    return int(value) if value.isdecimal() and not value.startswith("0") else value


def _seconds(value: object) -> float:
    try:
        deadline_s = float(str(value))
    except ValueError:
        deadline_s = 0.0
    if not 0 < deadline_s < float("inf"):
        raise UsageError(
            f"deadline_s={value} is no number of seconds above 0. Give one, such as 60."
        )
    return deadline_s


def _found(filesystem: Any, place: str) -> dict[str, dict[str, Any]]:
    filesystem.invalidate_cache()
    try:
        return dict(filesystem.find(place, detail=True))
    except FileNotFoundError:
        return {}


def _modified(info: dict[str, Any]) -> dt.datetime:
    """When the object was written; where the store does not say, now: so it is never too old."""
    for name in _MODIFIED:
        value = info.get(name)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = dt.datetime.fromisoformat(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return dt.datetime.fromtimestamp(value, dt.UTC)
        if isinstance(value, dt.datetime):
            return (
                value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
            )
    return dt.datetime.now(dt.UTC)


def _copy(source: BinaryIO, target: Any) -> int:
    size_bytes = 0
    while part := source.read(1 << 20):
        size_bytes += target.write(part)
    target.flush()
    return size_bytes
