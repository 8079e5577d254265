"""The conformance kit: what a store must do to hold a log.

Example:
    >>> from eventlog.testing import BackendTests
    >>> class TestMine(BackendTests):
    ...     def make_backend(self, tmp_path):
    ...         return MyBackend(f"mine://{tmp_path}")
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime as dt
import io
import os
import random
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from eventlog.backend import Backend, Range, probe_create_only
from eventlog.errors import Exists, Missing, Unavailable, UsageError
from eventlog.testing.blob_tests import BlobTests
from eventlog.testing.processes import in_forks
from eventlog.testing.store_work import (
    LARGE_BYTES,
    THREADS,
    created,
    in_threads,
    keys_of,
    race,
    sizes_seen,
)

PAGE_OVERFLOW = 1_100  # more than the 1,000 that stores list at a time
CLOCK_SLACK = dt.timedelta(minutes=10)
ODD_KEYS = (
    "a", "A1/b_c", "wal/1700000000000-host.example-ab12~1/000000000000.arrow",
    "x=1,y=2/z+w@v", "d" * 200, "data/000000000001-a.parquet", "data/000000000001-a.parquet.idx",
)  # fmt: skip
BAD_KEYS = ("", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a\\b", "a\0b", "ä", ".hidden")


class BackendTests(BlobTests):
    """Subclass it in a test module and say how to make your backend; pytest does the rest.

    See `StoreTests` for what to say.
    """

    # --- create or refuse

    def test_the_probe_of_init_accepts_it_and_leaves_nothing(self, backend: Backend) -> None:
        probe_create_only(backend)
        assert keys_of(backend) == []

    def test_a_second_put_is_refused_and_changes_nothing(self, backend: Backend) -> None:
        backend.put_new("wal/a/0", b"first")
        with pytest.raises(Exists):
            backend.put_new("wal/a/0", b"the second")
        assert backend.get("wal/a/0") == b"first"

    def test_the_same_bytes_are_refused_too(self, backend: Backend) -> None:
        backend.put_new("a", b"same")
        with pytest.raises(Exists):
            backend.put_new("a", b"same")

    def test_one_of_many_racing_threads_wins(self, backend: Backend) -> None:
        for number in range(self.race_rounds):
            key = f"race/{number}"
            start = threading.Barrier(THREADS)
            won = in_threads(
                [partial(race, backend, key, b"%d" % n, start) for n in range(THREADS)]
            )
            assert sum(won) == 1, f"{sum(won)} writers of {key} were told that they had created it"
            assert backend.get(key) == b"%d" % won.index(True)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_one_of_many_racing_processes_wins(self, backend: Backend) -> None:
        if not self.between_processes:
            pytest.skip("processes do not share this store")
        keys = [f"race/{number}" for number in range(self.race_rounds)]

        def child(name: bytes) -> list[bool]:
            return [created(backend, key, name) for key in keys]

        wins = in_forks([partial(child, b"%d" % n) for n in range(4)])
        for number, key in enumerate(keys):
            won = [one[number] for one in wins]
            assert sum(won) == 1, f"{sum(won)} processes were told that they had created {key}"
            assert backend.get(key) == b"%d" % won.index(True)

    def test_a_deleted_key_can_be_created_again(self, backend: Backend) -> None:
        backend.put_new("wal/a/0", b"first")
        backend.delete(["wal/a/0"])
        backend.put_new("wal/a/0", b"second")
        assert backend.get("wal/a/0") == b"second"

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_a_key_that_could_mean_another_place_is_refused(
        self, backend: Backend, key: str
    ) -> None:
        with pytest.raises(UsageError):
            backend.put_new(key, b"")

    # --- visible at once, and whole

    def test_another_instance_sees_an_object_at_once(
        self, backend: Backend, tmp_path: Path
    ) -> None:
        other = self.make_backend(tmp_path)
        with contextlib.closing(other):
            assert keys_of(other) == []  # so that a cache, if any, now holds the empty listing
            with pytest.raises(Missing):
                other.get("wal/a/0")
            backend.put_new("wal/a/0", b"here")
            assert keys_of(other) == ["wal/a/0"]
            assert other.get("wal/a/0") == b"here"

    def test_another_instance_misses_a_deleted_object_at_once(
        self, backend: Backend, tmp_path: Path
    ) -> None:
        other = self.make_backend(tmp_path)
        with contextlib.closing(other):
            backend.put_new("a", b"here")
            assert other.get("a") == b"here"
            backend.delete(["a"])
            assert keys_of(other) == []
            with pytest.raises(Missing):
                other.get("a")

    def test_no_reader_sees_a_part_of_an_object(self, backend: Backend) -> None:
        data = random.Random(1).randbytes(LARGE_BYTES)
        done = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            seen = pool.submit(sizes_seen, backend, "part/", done)
            try:
                for number in range(3):
                    backend.put_new(f"part/{number}", data)
            finally:
                done.set()
            assert seen.result() <= {len(data)}

    # --- bytes

    @pytest.mark.parametrize("size_bytes", [0, 1, 4096, 1_000_003, LARGE_BYTES])
    def test_bytes_come_back_exactly(self, backend: Backend, size_bytes: int) -> None:
        data = random.Random(size_bytes).randbytes(size_bytes)
        backend.put_new("a/b", data)
        assert backend.get("a/b") == data
        assert [e.size_bytes for e in backend.list()] == [size_bytes]

    def test_a_local_file_can_be_put(self, backend: Backend, tmp_path: Path) -> None:
        path = tmp_path / "outgoing"
        path.write_bytes(b"from a file")
        backend.put_new_file("wal/a/0", path)
        path.unlink()
        assert backend.get("wal/a/0") == b"from a file"

    def test_a_local_file_is_refused_where_the_key_exists(
        self, backend: Backend, tmp_path: Path
    ) -> None:
        path = tmp_path / "outgoing"
        path.write_bytes(b"from a file")
        backend.put_new("wal/a/0", b"first")
        with pytest.raises(Exists):
            backend.put_new_file("wal/a/0", path)
        assert backend.get("wal/a/0") == b"first"
        assert path.read_bytes() == b"from a file"

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            (0, None),
            (0, 0),
            (0, 1),
            (3, 7),
            (5, None),
            (9, 10),
            (9, 99),
            (10, None),
            (10, 20),
            (99, 100),
        ],
    )
    def test_a_range_is_what_a_slice_would_be(
        self, backend: Backend, start: int, end: int | None
    ) -> None:
        data = b"0123456789"
        backend.put_new("a", data)
        assert backend.get("a", start, end) == data[start:end]

    def test_an_empty_object_has_only_empty_ranges(self, backend: Backend) -> None:
        backend.put_new("a", b"")
        assert [backend.get("a"), backend.get("a", 0, 5), backend.get("a", 1)] == [b"", b"", b""]

    def test_many_ranges_come_in_order(self, backend: Backend) -> None:
        for number in range(40):
            backend.put_new(f"many/{number}", b"%04d" % number)
        ranges = [Range(f"many/{n}", n % 4) for n in reversed(range(40))]
        assert backend.get_many(ranges) == [(b"%04d" % n)[n % 4 :] for n in reversed(range(40))]
        assert list(backend.get_many([])) == []

    # --- missing

    def test_what_is_not_there_is_missing(self, backend: Backend) -> None:
        backend.put_new("wal/a/0", b"x")
        for key in ("wal/a/1", "wal/b/0", "wal", "wal/a", "wal/a/0/0"):
            with pytest.raises(Missing):
                backend.get(key)
            with pytest.raises(Missing):
                backend.open_blob(key)

    def test_a_range_of_a_missing_object_is_missing(self, backend: Backend) -> None:
        with pytest.raises(Missing):
            backend.get("a", 5, 10)

    def test_one_missing_of_many_is_missing(self, backend: Backend) -> None:
        backend.put_new("a", b"x")
        with pytest.raises(Missing):
            backend.get_many([Range("a"), Range("b"), Range("a")])

    def test_an_empty_store_lists_nothing(self, backend: Backend) -> None:
        assert keys_of(backend) == []
        assert keys_of(backend, "wal/") == []

    # --- listings

    def test_listings_are_in_the_order_of_whole_keys(self, backend: Backend) -> None:
        # A folder's name sorts by its slash: after "ab-c" and "ab.x", before "ab0" and "ab~1".
        keys = ["t/ab/1", "t/ab/0", "t/ab-c/1", "t/ab.x", "t/ab~1/1", "t/ab0", "t/b", "s", "u/1"]
        for key in keys:
            backend.put_new(key, b"x")
        assert keys_of(backend) == sorted(keys)
        for after in [*keys, "t/ab", "t/ab/", "t/", "t/zz", "zz", "t/ab-"]:
            assert keys_of(backend, "", after) == sorted(k for k in keys if k > after), after
            assert keys_of(backend, "t/", after) == sorted(
                k for k in keys if k > after and k.startswith("t/")
            ), after

    def test_a_prefix_is_any_string(self, backend: Backend) -> None:
        keys = ["wal/abc/0001", "wal/abc/0011", "wal/abc/01", "wal/abd/00", "wal/ab/00", "walrus"]
        for key in keys:
            backend.put_new(key, b"x")
        for prefix in ("wal/abc/00", "wal/abc/", "wal/ab", "wal/", "wal", "w", "x", "wal/abc/0001"):
            assert keys_of(backend, prefix) == sorted(k for k in keys if k.startswith(prefix))

    def test_a_prefix_never_leads_outside(self, backend: Backend) -> None:
        backend.put_new("a", b"x")
        for prefix in ("../", "/", "./", "a/../", "//", "\0", "spool/", "tmp/"):
            assert keys_of(backend, prefix) == []

    def test_the_keys_are_those_of_the_listing(self, backend: Backend) -> None:
        for key in ("a", "m/1", "m/2", "m/2.x/y", "m/20", "n/1"):
            backend.put_new(key, b"")
        for prefix, after in (("", ""), ("m/", ""), ("m/", "m/1"), ("m/", "m/2"), ("m/2", "m/2.x")):
            assert list(backend.keys(prefix, after)) == keys_of(backend, prefix, after)

    def test_listings_go_on_past_a_page(self, backend: Backend) -> None:
        keys = [f"many/{number:05d}" for number in range(PAGE_OVERFLOW)]
        in_threads([partial(backend.put_new, key, b"x") for key in keys])
        assert keys_of(backend, "many/") == keys
        assert keys_of(backend, "many/", keys[3]) == keys[4:]
        assert keys_of(backend, "many/", keys[-2]) == keys[-1:]
        assert keys_of(backend, "many/", keys[-1]) == []
        backend.delete(keys)
        assert keys_of(backend) == []

    def test_times_are_utc_by_a_clock_that_is_about_right(self, backend: Backend) -> None:
        backend.put_new("a", b"x")
        (entry,) = backend.list()
        assert entry.modified.utcoffset() == dt.timedelta(0)
        assert abs(dt.datetime.now(dt.UTC) - entry.modified) < CLOCK_SLACK

    def test_what_goes_while_it_is_listed_is_no_error(self, backend: Backend) -> None:
        keys = [f"wal/{n:02d}/0" for n in range(20)]
        for key in keys:
            backend.put_new(key, b"x")
        listing = backend.list("wal/")
        seen = [next(listing).key]
        backend.delete(keys)
        seen += [entry.key for entry in listing]
        assert seen == sorted(set(seen))
        assert set(seen) <= set(keys)

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_every_character_of_a_key_is_kept(self, backend: Backend, key: str) -> None:
        backend.put_new(key, b"x")
        assert keys_of(backend) == [key]
        assert backend.get(key) == b"x"
        backend.delete([key])
        assert keys_of(backend) == []

    # --- deletion

    def test_deleting_twice_is_no_error(self, backend: Backend) -> None:
        backend.put_new("a/b", b"x")
        backend.put_new("a/c", b"x")
        backend.delete(["a/b", "never/there"])
        backend.delete(["a/b"])
        backend.delete([])
        assert keys_of(backend) == ["a/c"]

    # --- threads, forks, silence

    def test_many_threads_use_one_instance(self, backend: Backend) -> None:
        def use(number: int) -> bytes:
            backend.put_new(f"mine/{number}", b"%d" % number)
            return backend.get(f"mine/{number}")

        assert in_threads([partial(use, n) for n in range(64)]) == [b"%d" % n for n in range(64)]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_an_instance_inherited_over_a_fork_works_on_both_sides(self, backend: Backend) -> None:
        backend.put_new("before", b"the fork")

        def child() -> bytes:
            backend.put_new("of/the/child", b"made there")
            assert keys_of(backend, "of/") == ["of/the/child"]
            backend.close()
            return backend.get("before")

        assert in_forks([child]) == [b"the fork"]
        backend.put_new("after", b"in the parent")
        assert backend.get("after") == b"in the parent"
        if self.between_processes:
            assert backend.get("of/the/child") == b"made there"

    def test_a_closed_instance_can_be_used_again(self, backend: Backend) -> None:
        backend.put_new("a", b"x")
        backend.close()
        backend.close()
        assert backend.get("a") == b"x"

    @pytest.mark.parametrize("verb", ["put_new", "get", "list", "delete", "put_blob", "open_blob"])
    def test_a_silent_store_is_unavailable_within_the_deadline(
        self, tmp_path: Path, verb: str
    ) -> None:
        backend = self.make_silent_backend(tmp_path)
        if backend is None:
            pytest.skip("this store has no network to be silent on")
        calls: dict[str, Callable[[], object]] = {
            "put_new": lambda: backend.put_new("a", b"x"),
            "get": lambda: backend.get("a"),
            "list": lambda: keys_of(backend),
            "delete": lambda: backend.delete(["a"]),
            "put_blob": lambda: backend.put_blob("b", io.BytesIO(b"x")),
            "open_blob": lambda: backend.open_blob("a"),
        }
        with contextlib.closing(backend), pytest.raises(Unavailable):
            calls[verb]()

    def test_its_url_and_its_times_are_set(self, backend: Backend) -> None:
        assert isinstance(backend.url, str)
        assert backend.url
        assert backend.late_put_s >= 0
        assert backend.poll_s > 0
        assert 0 < backend.ship_s[0] <= backend.ship_s[1]
        assert backend.local_root is None or backend.local_root.is_absolute()
