"""Who writes, and where its spools lie."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from eventlog.errors import SpoolError
from eventlog.log.write import identity
from eventlog.log.write.identity import (
    is_alive,
    new_lane_id,
    process_start,
    spool_root,
    this_process,
)
from eventlog_backends.local import LocalBackend
from eventlog_backends.memory import MemoryBackend


class Remote(MemoryBackend):
    volatile = False


def changed(**fields: object) -> identity.Identity:
    return msgspec.structs.replace(this_process(), **fields)


def test_this_process_is_alive() -> None:
    assert is_alive(this_process())


def test_a_process_that_ended_is_not(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    who = changed(pid=child.pid, pid_start=process_start(child.pid))
    assert is_alive(who)
    child.communicate(b"\n")
    assert not is_alive(who)


def test_another_process_with_the_same_number_is_not_the_same() -> None:
    assert not is_alive(changed(pid_start="1"))


def test_nothing_lives_on_after_a_reboot() -> None:
    assert not is_alive(changed(boot_id="before"))


def test_of_other_machines_and_containers_nobody_knows() -> None:
    assert is_alive(changed(machine_id="other", pid=2**22 - 1))
    assert is_alive(changed(pid_space="pid:[1]", pid=2**22 - 1, pid_start="1"))


def test_a_process_name_may_hold_anything(tmp_path: Path) -> None:
    odd = tmp_path / "a) R 1 (b"
    odd.symlink_to(sys.executable)
    child = subprocess.Popen([odd, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    start = process_start(child.pid)
    child.communicate(b"\n")
    assert start is not None
    assert abs(int(start) - int(process_start(os.getpid()) or 0)) < 10_000_000


def test_there_is_no_start_of_no_process() -> None:
    assert process_start(2**22 - 1) is None


def test_lane_names_sort_by_birth_and_never_repeat() -> None:
    names = [new_lane_id() for _ in range(100)]
    assert len(set(names)) == 100
    assert [n[:13] for n in names] == sorted(n[:13] for n in names)
    assert all(re.fullmatch(r"\d{13}-[a-z0-9-]+-[0-9a-f]{10}", n) for n in names)


@pytest.mark.parametrize("host", ["", "ÄÖÜ", "My Host.local", "x" * 300, "../../etc"])
def test_lane_names_are_keys_whatever_the_host_is_called(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eventlog.backend import is_key

    monkeypatch.setattr(identity.socket, "gethostname", lambda: host)
    assert is_key(f"wal/{new_lane_id()}/000000000000.arrow")


def test_a_local_log_has_its_spools_inside(tmp_path: Path) -> None:
    assert spool_root(LocalBackend(tmp_path / "log")) == tmp_path / "log" / "spool"


def test_a_network_mount_has_its_spools_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENTLOG_STATE", str(tmp_path / "state"))
    mount = LocalBackend(tmp_path / "log", network=lambda path: "nfs4")
    assert spool_root(mount).is_relative_to(tmp_path / "state")


def test_a_remote_log_has_its_spools_in_the_user_s_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENTLOG_STATE", str(tmp_path))
    one, two = spool_root(Remote("one")), spool_root(Remote("two"))
    assert one.is_relative_to(tmp_path)
    assert one != two
    assert one == spool_root(Remote("one"))


def test_a_state_directory_on_a_network_mount_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVENTLOG_STATE", raising=False)
    monkeypatch.setattr(identity, "network_type", lambda path: "nfs4")
    monkeypatch.setattr(identity.tempfile, "gettempdir", lambda: str(tmp_path))
    root = spool_root(Remote("one"))
    assert root.is_relative_to(tmp_path)
    assert root.parents[1].stat().st_mode & 0o777 == 0o700


def test_a_temporary_place_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVENTLOG_STATE", raising=False)
    monkeypatch.setattr(identity, "network_type", lambda path: "nfs4")
    monkeypatch.setattr(identity.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(identity.os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(SpoolError, match="EVENTLOG_STATE"):
        spool_root(Remote("one"))


def test_a_log_in_memory_has_spools_that_end_with_the_process() -> None:
    root = spool_root(MemoryBackend("x"))
    assert str(os.getpid()) in root.parent.name
    assert root != spool_root(MemoryBackend("y"))
