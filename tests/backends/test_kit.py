"""The kit catches stores that only look like one; so does the probe of ``init``."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from eventlog.backend import Backend, Entry, probe_create_only
from eventlog.errors import BackendError, Exists, Missing, NotCreateOnly
from eventlog.testing import BackendTests
from eventlog.testing.store_work import keys_of
from eventlog_backends import memory
from eventlog_backends.memory import MemoryBackend


class IgnoresIfNoneMatch(MemoryBackend):
    """As servers do that never heard of the header: the last writer wins."""

    def put_new(self, key: str, data: bytes) -> None:
        self.delete([key])
        super().put_new(key, data)


class RefusesButReplaces(MemoryBackend):
    """Says `Exists`, and has overwritten all the same."""

    def put_new(self, key: str, data: bytes) -> None:
        try:
            super().put_new(key, data)
        except Exists:
            self.delete([key])
            super().put_new(key, data)
            raise


class LooksFirst(MemoryBackend):
    """Looks whether the key is there, then writes: two can look before either writes."""

    def put_new(self, key: str, data: bytes) -> None:
        try:
            self.get(key)
        except Missing:
            time.sleep(0.01)  # not to wait for anything: it widens the gap that is its fault
            self.delete([key])
            super().put_new(key, data)
            return
        raise Exists(key)


class Unsorted(MemoryBackend):
    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        return reversed(tuple(super().list(prefix, start_after)))


class SortsByFolders(MemoryBackend):
    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        return iter(sorted(super().list(prefix, start_after), key=lambda e: e.key.split("/")))


class OnePage(MemoryBackend):
    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        return iter(tuple(super().list(prefix, start_after))[:1000])


class CachesListings(MemoryBackend):
    _seen: tuple[Entry, ...] | None = None

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        if self._seen is None:
            self._seen = tuple(super().list())
        return (e for e in self._seen if e.key.startswith(prefix) and e.key > start_after)


class ShowsHalfABlob(MemoryBackend):
    def put_blob(self, key: str, source: BinaryIO) -> None:
        data = b""
        while part := source.read(1 << 20):
            data += part
            self.delete([key])
            self.put_new(key, data)


class ShowsHalfAnObject(MemoryBackend):
    def put_new(self, key: str, data: bytes) -> None:
        super().put_new(key, data[: len(data) // 2])
        threading.Event().wait(0.05)  # the time that the second half takes
        with memory._lock:
            store = self._store()
            store.objects[key] = (data, store.objects[key][1])


class ComplainsOfMissing(MemoryBackend):
    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.get(key)
        super().delete(keys)


class OffByOne(MemoryBackend):
    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        return super().get(key, start, None if end is None else end + 1)


class ForgetsToSeek(MemoryBackend):
    def open_blob(self, key: str) -> BinaryIO:
        class Stuck(io.BytesIO):
            def seek(self, offset: int, whence: int = 0) -> int:
                return super().tell()

        return Stuck(self.get(key))


def kit_for(made: type[MemoryBackend]) -> BackendTests:
    class Kit(BackendTests):
        between_processes = False
        race_rounds = 3

        def make_backend(self, tmp_path: Path) -> Backend:
            return made(f"memory://{tmp_path.as_posix().strip('/')}")

    return Kit()


Test = Callable[[BackendTests, Backend, Path], None]


@pytest.mark.parametrize(
    ("made", "test"),
    [
        (IgnoresIfNoneMatch, lambda k, b, p: k.test_a_second_put_is_refused_and_changes_nothing(b)),
        (IgnoresIfNoneMatch, lambda k, b, p: k.test_one_of_many_racing_threads_wins(b)),
        (RefusesButReplaces, lambda k, b, p: k.test_a_second_put_is_refused_and_changes_nothing(b)),
        (LooksFirst, lambda k, b, p: k.test_one_of_many_racing_threads_wins(b)),
        (Unsorted, lambda k, b, p: k.test_listings_are_in_the_order_of_whole_keys(b)),
        (SortsByFolders, lambda k, b, p: k.test_listings_are_in_the_order_of_whole_keys(b)),
        (OnePage, lambda k, b, p: k.test_listings_go_on_past_a_page(b)),
        (CachesListings, lambda k, b, p: k.test_another_instance_sees_an_object_at_once(b, p)),
        (ShowsHalfABlob, lambda k, b, p: k.test_no_reader_sees_a_part_of_a_blob(b)),
        (ShowsHalfAnObject, lambda k, b, p: k.test_no_reader_sees_a_part_of_an_object(b)),
        (ComplainsOfMissing, lambda k, b, p: k.test_deleting_twice_is_no_error(b)),
        (OffByOne, lambda k, b, p: k.test_a_range_is_what_a_slice_would_be(b, 3, 7)),
        (ForgetsToSeek, lambda k, b, p: k.test_a_blob_can_be_sought(b)),
    ],
)
def test_the_kit_catches_a_look_alike(
    made: type[MemoryBackend], test: Test, tmp_path: Path
) -> None:
    kit = kit_for(made)
    # pytest's own "did not raise" is no Exception.
    with pytest.raises((AssertionError, BackendError, pytest.fail.Exception)):
        test(kit, kit.make_backend(tmp_path), tmp_path)


@pytest.mark.parametrize("made", [IgnoresIfNoneMatch, RefusesButReplaces])
def test_the_probe_refuses_what_overwrites_and_cleans_up(made: type[MemoryBackend]) -> None:
    backend = made()
    with pytest.raises(NotCreateOnly, match=backend.url):
        probe_create_only(backend)
    assert keys_of(backend) == []


def test_the_kit_wants_to_know_how_to_make_a_backend() -> None:
    class Forgetful(BackendTests):
        pass

    with pytest.raises(TypeError, match="make_backend"):
        Forgetful()  # type: ignore[abstract]
