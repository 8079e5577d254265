"""What is particular to stores that fsspec knows."""

from __future__ import annotations

import datetime as dt
import importlib
import io
import sys
import threading
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from eventlog.backend import probe_create_only
from eventlog.errors import (
    BackendError,
    Denied,
    Exists,
    Missing,
    NotCreateOnly,
    Unavailable,
    UsageError,
)
from eventlog.testing.store_work import keys_of
from eventlog_backends.fsspec_generic import FsspecBackend, _create_arguments, _modified

SECRET = "hunter2-the-secret"


class Recording(MemoryFileSystem):
    """Keeps the options it was made with; raises what it is told to."""

    protocol = "recording"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    options: ClassVar[dict[str, Any]] = {}
    error: Exception | None = None

    def __init__(self, **options: Any) -> None:
        type(self).options = options
        super().__init__()

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        if self.error:
            raise self.error
        super().pipe_file(path, value, mode=mode, **kwargs)


class Overwriting(MemoryFileSystem):
    """Takes the word "create" and overwrites all the same."""

    protocol = "overwriting"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        super().pipe_file(path, value)


class CheckThenWrite(LocalFileSystem):
    """Has no create of its own: fsspec's default looks first and writes then."""

    protocol = "checkthenwrite"


@pytest.fixture(autouse=True)
def schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    for one in (Recording, Overwriting, CheckThenWrite):
        fsspec.register_implementation(one.protocol, one, clobber=True)
    monkeypatch.setattr(Recording, "error", None)
    monkeypatch.setattr(Recording, "store", {})
    monkeypatch.setattr(Recording, "pseudo_dirs", [""])


def test_options_of_the_url_reach_the_file_system() -> None:
    backend = FsspecBackend("recording://b/p?project=mine&retries=3&anon=true&deadline_s=5")
    backend.put_new("a", b"x")
    assert Recording.options == {
        "project": "mine",
        "retries": 3,
        "anon": True,
        "use_listings_cache": False,
    }
    assert backend.deadline_s == 5


def test_secrets_are_in_no_url_error_or_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = FsspecBackend(f"recording://me:{SECRET}@host/p?account_key={SECRET}&project=mine")
    monkeypatch.setattr(Recording, "error", OSError(f"rejected {SECRET}"))
    with pytest.raises(Unavailable) as raised:
        backend.put_new("a", b"x")
    for shown in (backend.url, repr(backend), str(raised.value)):
        assert SECRET not in shown
    assert backend.url == "recording://me@host/p?project=mine"
    assert Recording.options["account_key"] == SECRET


def test_a_secret_of_digits_stays_text() -> None:
    FsspecBackend("recording://p?password=123456").put_new("a", b"x")
    assert Recording.options["password"] == "123456"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileExistsError("x"), Exists),
        (PermissionError("x"), Denied),
        (TimeoutError("x"), Unavailable),
        (ConnectionResetError("x"), Unavailable),
        (ValueError("x"), BackendError),
        (type("ResourceExistsError", (Exception,), {})("x"), Exists),
        (type("HttpError", (Exception,), {"code": 412})("x"), Exists),
        (type("HttpError", (Exception,), {"code": 403})("x"), Denied),
        (type("HttpError", (Exception,), {"status_code": 503})("x"), Unavailable),
    ],
)
def test_what_file_systems_raise_is_understood(
    monkeypatch: pytest.MonkeyPatch, error: Exception, expected: type[Exception]
) -> None:
    monkeypatch.setattr(Recording, "error", error)
    with pytest.raises(expected) as raised:
        FsspecBackend("recording://p").put_new("a", b"x")
    assert type(raised.value) is expected


def test_a_file_system_that_overwrites_is_refused_by_the_probe() -> None:
    with pytest.raises(NotCreateOnly, match="If-None-Match"):
        probe_create_only(FsspecBackend("overwriting://p"))


def test_a_file_system_without_a_create_of_its_own_is_refused() -> None:
    backend = FsspecBackend("checkthenwrite://p")
    with pytest.raises(NotCreateOnly, match="Mount it"):
        probe_create_only(backend)
    with pytest.raises(NotCreateOnly):
        backend.put_blob("a", io.BytesIO(b"x"))


def test_a_prefix_wrapper_is_as_good_as_what_it_wraps() -> None:
    inner = MemoryFileSystem()
    assert _create_arguments(DirFileSystem("/p", inner), "pipe_file") == {"mode": "create"}
    assert _create_arguments(DirFileSystem("/p", LocalFileSystem()), "pipe_file") is None


def test_overwrite_false_is_create_only_too() -> None:
    class Azure(MemoryFileSystem):
        def pipe_file(self, path: str, value: bytes, overwrite: bool = True, **more: Any) -> None:
            super().pipe_file(path, value)

    assert _create_arguments(Azure(), "pipe_file") == {"overwrite": False}


@pytest.mark.parametrize("scheme", ["nonesuch", "simplecache::s3"])
def test_a_scheme_that_fsspec_does_not_know_is_left_to_others(scheme: str) -> None:
    with pytest.raises(LookupError):
        FsspecBackend(f"{scheme}://p")


def test_a_file_system_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.import_module("fsspec.registry").known_implementations
    monkeypatch.setitem(known, "faraway", {"class": "no_such_package.FS"})
    with pytest.raises(UsageError, match="pip install no_such_package"):
        FsspecBackend("faraway://p")


@pytest.mark.parametrize(("scheme", "package"), [("sftp", "paramiko"), ("http", "aiohttp")])
def test_what_one_of_fsspec_s_own_lacks_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, scheme: str, package: str
) -> None:
    known = importlib.import_module("fsspec.registry")
    module = known.known_implementations[scheme]["class"].rpartition(".")[0]
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    for each in [name for name, kind in known.registry.items() if kind.__module__ == module]:
        monkeypatch.delitem(known._registry, each)
    with pytest.raises(UsageError) as raised:
        FsspecBackend(f"{scheme}://h/x")
    what, remedy = raised.value.lines()
    assert what == f"{scheme}:// needs the package {package}, which is not installed."
    assert remedy == f"`pip install {package}` does it."


def test_what_a_store_said_is_told_from_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recording, "error", OSError("Odd. Very odd.."))
    with pytest.raises(Unavailable) as raised:
        FsspecBackend("recording://p").put_new("a", b"x")
    what, remedy = raised.value.lines()
    assert what == "a at recording://p: OSError: Odd. Very odd."
    assert remedy == "Check that recording://p can be reached."


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"mtime": 86_400.0}, dt.datetime(1970, 1, 2, tzinfo=dt.UTC)),
        ({"updated": "1970-01-02T01:00:00+01:00"}, dt.datetime(1970, 1, 2, tzinfo=dt.UTC)),
        ({"created": dt.datetime(1970, 1, 2)}, dt.datetime(1970, 1, 2, tzinfo=dt.UTC)),
    ],
)
def test_times_come_in_many_shapes(info: dict[str, Any], expected: dt.datetime) -> None:
    assert _modified(info) == expected


def test_an_object_of_unknown_age_is_young() -> None:
    before = dt.datetime.now(dt.UTC)
    assert _modified({"size": 1}) >= before


def test_a_silent_file_system_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = FsspecBackend("recording://p?deadline_s=0.2")
    backend.put_new("a", b"x")
    monkeypatch.setattr(Recording, "cat_file", lambda *args, **more: threading.Event().wait())
    with pytest.raises(Unavailable, match=r"0\.2 s"):
        backend.get("a")
    assert keys_of(backend) == ["a"]


def test_a_directory_is_no_object() -> None:
    backend = FsspecBackend("recording://p")
    backend.put_new("a/b", b"x")
    with pytest.raises(Missing):
        backend.open_blob("a")
