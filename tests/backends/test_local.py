"""What is particular to a directory as the store."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from eventlog.backend import probe_create_only
from eventlog.errors import BackendError, Denied, Exists, Missing, Unavailable, UsageError
from eventlog.mount import network_type
from eventlog.testing.store_work import keys_of
from eventlog_backends import local
from eventlog_backends.local import LocalBackend, directory_of
from tests.rights import as_another_user


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "log")


class Syncs:
    """Which directories were synced, by path."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folders: list[str] = []
        real = os.fsync

        def fsync(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                self.folders.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            real(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)


# --- where it lies


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/a/b", "/a/b"),
        ("file:///a/b", "/a/b"),
        ("file:///a%20b/c", "/a b/c"),
        ("file://localhost/a", "/a"),
        ("/a%20b", "/a%20b"),
        ("/a/../b", "/b"),
    ],
)
def test_paths_and_file_urls_name_a_directory(url: str, path: str) -> None:
    assert directory_of(url) == path


def test_a_relative_path_stays_where_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backend = LocalBackend("log")
    monkeypatch.chdir("/")
    backend.put_new("a", b"x")
    assert (tmp_path / "log" / "a").read_bytes() == b"x"


def test_the_home_directory_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert directory_of("~/runs") == "/home/somebody/runs"


@pytest.mark.parametrize("url", ["", "file://host/share", "file:///a?x=1", "a\0b"])
def test_what_names_no_directory_here_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        LocalBackend(url)


def test_making_one_touches_no_disk(tmp_path: Path) -> None:
    LocalBackend(tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_the_spool_and_temporary_files_are_no_part_of_the_store(backend: LocalBackend) -> None:
    backend.put_new("wal/a/0", b"x")
    for name in ("spool/lane/facts", "tmp/half"):
        path = Path(backend.root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"private")
        with pytest.raises(UsageError):
            backend.get(name)
    assert keys_of(backend) == ["wal/a/0"]
    assert keys_of(backend, "spool/lane/") == []


def test_files_of_others_are_not_listed(backend: LocalBackend) -> None:
    backend.put_new("wal/a/0", b"x")
    for name in ("wal/a/.nfs0001", "wal/.DS_Store", "wal/a/what is this"):
        Path(backend.root, name).write_bytes(b"x")
    assert keys_of(backend) == ["wal/a/0"]


# --- network mounts

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home {0}/home nfs4 rw 0 0
tmpfs {0}/home/scratch tmpfs rw 0 0
//server/share {0}/a\\040share cifs rw 0 0
sshfs#me@host: {0}/ssh fuse.sshfs rw 0 0
ceph {0}/größe ceph rw 0 0
lustre {0}/twice lustre rw 0 0
/dev/sdb1 {0}/twice ext4 rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("elsewhere/log", None),
        ("home/me/log", "nfs4"),
        ("home/scratch/log", None),
        ("homely", None),
        ("a share/log", "cifs"),
        ("ssh/log", "fuse.sshfs"),
        ("größe", "ceph"),
        ("twice/log", None),
    ],
)
def test_network_mounts_are_told_by_the_table_of_mounts(
    tmp_path: Path, path: str, expected: str | None
) -> None:
    for point in ("home/scratch", "a share", "ssh", "größe", "twice"):
        (tmp_path / point).mkdir(parents=True)
    table = tmp_path / "mounts"
    table.write_text(MOUNTS.format(tmp_path), encoding="utf-8")
    backend = LocalBackend(tmp_path / path, network=lambda where: network_type(where, table))
    assert backend.network == expected


def test_a_local_disk_has_a_root_for_spools_and_no_late_puts(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path, network=lambda path: None)
    assert backend.local_root == tmp_path
    assert backend.late_put_s == 0
    assert (backend.poll_s, backend.ship_s) == (0.25, (1.0, 1.0))


def test_a_network_mount_has_no_root_for_spools_and_may_put_late(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path, network=lambda path: "nfs")
    assert backend.local_root is None
    assert backend.late_put_s == 86_400
    probe_create_only(backend)


# --- durability


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_new_directories_are_synced_up_to_the_first_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = LocalBackend(tmp_path / "new" / "log")
    syncs = Syncs(monkeypatch)
    backend.put_new("wal/a/0", b"x")
    below = ("new/log/wal/a", "new/log/wal", "new/log", "new", "")
    assert syncs.folders == [str(tmp_path / one).rstrip("/") for one in below]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_a_known_directory_is_synced_alone(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.put_new("wal/a/0", b"x")
    syncs = Syncs(monkeypatch)
    backend.put_new("wal/a/1", b"x")
    assert syncs.folders == [f"{backend.root}/wal/a"]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_a_directory_that_was_removed_and_made_anew_is_synced_as_a_new_one(
    backend: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.put_new("wal/a/0", b"x")
    held = os.open(f"{backend.root}/wal/a", os.O_RDONLY)  # so that its number is not used again
    with contextlib.closing(LocalBackend(backend.root)) as other:
        other.delete(["wal/a/0"])
    syncs = Syncs(monkeypatch)
    backend.put_new("wal/a/0", b"x")
    os.close(held)
    assert syncs.folders == [f"{backend.root}/wal/a", f"{backend.root}/wal"]


def test_a_failed_sync_acknowledges_nothing(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(BackendError, match="the device failed"):
        backend.put_new("wal/a/0", b"x")
    assert keys_of(backend) == []


def test_a_file_of_the_same_file_system_is_linked_not_copied(
    backend: LocalBackend, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"x")
    backend.put_new_file("wal/a/0", path)
    assert os.path.samefile(path, Path(backend.root, "wal/a/0"))


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_a_file_that_cannot_be_linked_is_copied(
    backend: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"x")
    real = os.link

    def link(source: Any, target: Any) -> None:
        if os.fspath(source) == os.fspath(path):
            raise OSError(number, os.strerror(number))
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    backend.put_new_file("wal/a/0", path)
    assert backend.get("wal/a/0") == b"x"
    assert not os.path.samefile(path, Path(backend.root, "wal/a/0"))


def test_a_link_whose_answer_was_lost_is_ours(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def link(source: Any, target: Any) -> None:
        real(source, target)
        raise FileExistsError(errno.EEXIST, "as an NFS client says to its own second request")

    monkeypatch.setattr(os, "link", link)
    backend.put_new("wal/a/0", b"x")
    assert backend.get("wal/a/0") == b"x"


def test_a_directory_that_a_collector_removes_in_between_is_made_again(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.put_new("wal/a/0", b"x")
    real = os.link
    stolen: list[str] = []

    def link(source: Any, target: Any) -> None:
        if not stolen:
            stolen.append(target)
            LocalBackend(backend.root).delete(["wal/a/0"])
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    backend.put_new("wal/a/1", b"y")
    assert keys_of(backend) == ["wal/a/1"]


# --- what is left behind


def test_no_temporary_file_is_left_by_puts_that_end(backend: LocalBackend) -> None:
    backend.put_new("a", b"x")
    with pytest.raises(Exists):
        backend.put_new("a", b"y")
    assert os.listdir(Path(backend.root, "tmp")) == []


def test_emptied_lanes_leave_no_directory(backend: LocalBackend) -> None:
    backend.put_new("wal/a/0", b"x")
    backend.put_new("wal/b/0", b"x")
    backend.delete(["wal/a/0"])
    assert os.listdir(Path(backend.root, "wal")) == ["b"]


def test_temporary_files_of_writers_dead_for_a_day_are_swept(backend: LocalBackend) -> None:
    backend.put_new("a", b"x")
    old, young = Path(backend.root, "tmp", "1-old"), Path(backend.root, "tmp", "1-young")
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    two_days_ago = time.time() - 2 * 86_400
    os.utime(old, (two_days_ago, two_days_ago))
    backend.delete([])
    assert (old.exists(), young.exists()) == (False, True)


# --- errors say what to do


@pytest.mark.parametrize(
    ("number", "expected", "words"),
    [
        (errno.ENOSPC, BackendError, "no space"),
        (errno.EDQUOT, BackendError, "quota"),
        (errno.EROFS, Denied, "read-only"),
        (errno.EACCES, Denied, "permission denied"),
        (errno.EMFILE, Unavailable, "ulimit"),
        (errno.ESTALE, Unavailable, "mount"),
        (errno.ENAMETOOLONG, UsageError, "too long"),
    ],
)
def test_what_the_system_refuses_is_said_with_path_and_remedy(
    backend: LocalBackend,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    expected: type[Exception],
    words: str,
) -> None:
    def refuse(path: str) -> int:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(local, "_create", refuse)
    with pytest.raises(expected, match=words) as raised:
        backend.put_new("wal/a/0", b"x")
    assert backend.root in str(raised.value)


def test_a_full_disk_is_named_and_leaves_no_part(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    backend = LocalBackend(tmp_path / "log")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_create", lambda path: os.open("/dev/full", os.O_WRONLY))
        with pytest.raises(BackendError, match="no space"):
            backend.put_new("wal/a/0", b"x")
    assert keys_of(backend) == []


def test_a_directory_without_permission_is_denied(tmp_path: Path) -> None:
    root = tmp_path / "log"
    LocalBackend(root).put_new("wal/a/0", b"x")
    for folder in (root / "tmp", root / "wal" / "a"):
        folder.chmod(0o000)
    try:
        with as_another_user():
            for call in (
                lambda: LocalBackend(root).put_new("wal/a/1", b"x"),
                lambda: LocalBackend(root).get("wal/a/0"),
                lambda: keys_of(LocalBackend(root)),
            ):
                with pytest.raises(Denied, match="permission denied"):
                    call()
    finally:
        for folder in (root / "tmp", root / "wal" / "a"):
            folder.chmod(0o755)


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    root = tmp_path / "log"
    root.write_bytes(b"not a directory")
    backend = LocalBackend(root)
    with pytest.raises(BackendError, match="a file lies where a directory is needed"):
        backend.put_new("wal/a/0", b"x")
    with pytest.raises(Missing):
        backend.get("wal/a/0")
    assert keys_of(backend) == []


def test_a_missing_local_file_is_named(backend: LocalBackend, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="gone"):
        backend.put_new_file("wal/a/0", tmp_path / "gone")


# --- listings are cheap


def test_directories_before_start_after_are_not_looked_into(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        backend.put_new(f"wal/{number:02d}/0", b"x")
    looked: list[str] = []
    real = os.scandir

    def scandir(path: str) -> Any:
        looked.append(os.path.relpath(path, backend.root))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert keys_of(backend, "wal/", "wal/17/0") == ["wal/18/0", "wal/19/0"]
    assert looked == ["wal", "wal/17", "wal/18", "wal/19"]
