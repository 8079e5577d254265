from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eventlog.log import cache as module
from eventlog.log.cache import SegmentCache, cache_for
from eventlog_backends.local import LocalBackend
from eventlog_backends.memory import MemoryBackend

DATA = b"what was stored"


def entries(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_what_was_put_is_found_by_key_and_range(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path)
    cache.put("a", 0, None, DATA)
    cache.put("a", 3, 7, b"part")
    assert cache.get("a") == DATA
    assert cache.get("a", 3, 7) == b"part"
    assert cache.get("a", 3, 8) is None
    assert cache.get("b") is None


def test_logs_in_one_directory_do_not_see_each_other(tmp_path: Path) -> None:
    SegmentCache(tmp_path, log="one").put("a", 0, None, DATA)
    assert SegmentCache(tmp_path, log="two").get("a") is None
    assert SegmentCache(tmp_path, log="one").get("a") == DATA


def test_nothing_is_made_before_the_first_entry(tmp_path: Path) -> None:
    assert SegmentCache(tmp_path / "cache").get("a") is None
    assert not (tmp_path / "cache").exists()


def test_every_flipped_bit_makes_an_entry_absent(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path)
    for bit in range((len(DATA) + module.DIGEST_BYTES) * 8):
        cache.put("a", 0, None, DATA)
        (path,) = entries(tmp_path)
        raw = bytearray(path.read_bytes())
        raw[bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        assert cache.get("a") is None


def test_an_entry_that_was_cut_is_absent(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path)
    for size in range(len(DATA) + module.DIGEST_BYTES):
        cache.put("a", 0, None, DATA)
        (path,) = entries(tmp_path)
        os.truncate(path, size)
        assert cache.get("a") is None


def test_an_entry_under_the_name_of_another_is_absent(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path)
    cache.put("a", 0, None, DATA)
    (of_a,) = entries(tmp_path)
    cache.put("b", 0, None, b"other")
    (of_b,) = set(entries(tmp_path)) - {of_a}
    os.replace(of_a, of_b)
    assert cache.get("b") is None


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path, limit_bytes=10 * 1032)
    for n in range(10):
        cache.put(f"k{n}", 0, None, bytes(1000))
        path = max(entries(tmp_path), key=lambda path: path.stat().st_mtime_ns)
        os.utime(path, (n + 1, n + 1))
    assert cache.get("k0") is not None  # used just now
    for n in range(10, 13):
        cache.put(f"k{n}", 0, None, bytes(1000))
    assert sum(path.stat().st_size for path in entries(tmp_path)) <= 10 * 1032
    assert cache.get("k1") is None
    assert cache.get("k0") is not None
    assert cache.get("k12") is not None


def test_what_others_wrote_counts_towards_the_limit(tmp_path: Path) -> None:
    caches = [SegmentCache(tmp_path, limit_bytes=16 * 1032, log=str(n)) for n in range(4)]
    for n in range(40):
        for cache in caches:
            cache.put(f"k{n}", 0, None, bytes(1000))
    # Each may write an eighth of the limit before it looks again.
    assert sum(path.stat().st_size for path in entries(tmp_path)) <= 16 * 1032 * 1.5


def test_an_entry_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = SegmentCache(tmp_path, limit_bytes=100)
    cache.put("a", 0, None, bytes(100))
    assert entries(tmp_path) == []


def test_abandoned_temporary_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "ab").mkdir()
    abandoned, young = tmp_path / "ab" / ".tmp-1", tmp_path / "ab" / ".tmp-2"
    abandoned.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(abandoned, (1, 1))
    SegmentCache(tmp_path).put("a", 0, None, DATA)
    assert not abandoned.exists()
    assert young.exists()


def test_a_directory_that_cannot_be_written_means_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = SegmentCache(tmp_path / "file")
    cache.put("a", 0, None, DATA)
    assert cache.get("a") is None


def test_a_full_disk_means_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    cache = SegmentCache(tmp_path)
    cache.put("a", 0, None, DATA)
    assert cache.get("a") is None
    assert entries(tmp_path) == []


def test_threads_and_instances_share_a_directory(tmp_path: Path) -> None:
    def work(n: int) -> bool:
        cache = SegmentCache(tmp_path, limit_bytes=20 * 1032)
        right = True
        for k in range(30):
            key = f"k{(n + k) % 25}"
            cache.put(key, 0, None, key.encode() * 300)
            right &= cache.get(key) in (None, key.encode() * 300)
        return right

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


def test_a_store_that_is_near_needs_no_cache(tmp_path: Path) -> None:
    assert cache_for(MemoryBackend(), "id") is None
    assert cache_for(LocalBackend(tmp_path, network=lambda _: None), "id") is None


def test_a_network_mount_has_a_cache_in_the_users_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    cache = cache_for(LocalBackend(tmp_path / "log", network=lambda _: "nfs"), "id")
    assert cache is not None
    cache.put("a", 0, None, DATA)
    assert entries(tmp_path / "home")
