"""Who writes: machine, boot, process; and where this user's spools lie."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
import uuid
from pathlib import Path

import msgspec

from eventlog.backend import Backend
from eventlog.errors import SpoolError
from eventlog.mount import network_type


class Identity(msgspec.Struct, frozen=True):
    """A process, told apart from every other of any machine and time.

    Attributes:
        pid_space: the pid's namespace; pids of another (a container's) mean nothing here.
        pid_start: the process's start time in clock ticks since boot, for re-used pids.
    """

    machine_id: str
    boot_id: str
    pid: int
    pid_start: str
    pid_space: str
    host: str = ""


def this_process() -> Identity:
    """The identity of the calling process."""
    pid = os.getpid()
    return Identity(
        machine_id(), boot_id(), pid, process_start(pid) or "", _pid_space(), socket.gethostname()
    )


@functools.cache
def machine_id() -> str:
    """A name of this machine that survives reboots and differs between copies of a disk image."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        found = _read(path)
        if found:
            return found
    return f"{uuid.getnode():012x}"


@functools.cache
def boot_id() -> str:
    """A name of the time since the machine last started; what a page cache holds lasts so long."""
    return _read("/proc/sys/kernel/random/boot_id") or "unknown"


def process_start(pid: int) -> str | None:
    """When the process started, in ticks since boot; None where there is no such process."""
    stat = _read(f"/proc/{pid}/stat")
    # The name in parentheses may hold anything, so count from its end.
    return stat.rpartition(")")[2].split()[19] if stat else None


def is_alive(who: Identity) -> bool:
    """Whether the process may still run: True unless it certainly does not."""
    if who.machine_id != machine_id():
        return True
    if who.boot_id != boot_id():
        return False
    if who.pid_space != _pid_space() or not Path("/proc/self").exists():
        return True
    start = process_start(who.pid)
    return start == who.pid_start or (start is not None and not who.pid_start)


def _pid_space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


_NOT_THERE = (FileNotFoundError, NotADirectoryError, PermissionError, ProcessLookupError)


def _read(path: str) -> str:
    """What is there to read, or nothing. `OSError` where that cannot be said (no descriptor left).

    Not to know the boot or a process's start must not pass for another boot or a dead process.
    """
    try:
        return Path(path).read_text().strip()
    except (*_NOT_THERE, UnicodeDecodeError):
        return ""


def new_lane_id() -> str:
    """``<ms>-<host>-<nonce>``: sorts by birth, tells people where it came from, never repeats."""
    host = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().lower()).strip("-")[:24] or "host"
    return f"{time.time_ns() // 1_000_000:013d}-{host}-{secrets.token_hex(5)}"


def spool_root(backend: Backend) -> Path:
    """The directory of this log's spools: inside a local root, else among this user's state.

    A user's state directory on a network mount is passed over for local temporary storage: an
    ``mmap`` over NFS is neither fast nor safe.
    """
    if backend.local_root is not None:
        return backend.local_root / "spool"
    name = hashlib.sha256(backend.url.encode()).hexdigest()[:24]
    if backend.volatile:
        return _volatile_root(os.getpid()) / name
    return _state_directory() / "spool" / name


_volatile: dict[int, Path] = {}


@functools.cache
def _volatile_root(pid: int) -> Path:
    """A directory that ends with the process; ``pid`` tells a forked child from its parent."""
    root = _volatile[pid] = Path(tempfile.mkdtemp(prefix=f"eventlog-{pid}-"))
    return root


def remove_volatile_root() -> None:
    """At the end of the process, when its writers are closed. A child leaves its parent's alone."""
    root = _volatile.pop(os.getpid(), None)
    if root is not None:
        shutil.rmtree(root, ignore_errors=True)


def _state_directory() -> Path:
    chosen = os.environ.get("EVENTLOG_STATE")
    if chosen:
        return Path(chosen)
    import platformdirs

    state = Path(platformdirs.user_state_path("eventlog"))
    if network_type(state) is None:
        return state
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    place = Path(tempfile.gettempdir()) / f"eventlog-{user}"
    place.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and place.stat().st_uid != user:
        raise SpoolError(
            f"{place} belongs to somebody else: set EVENTLOG_STATE to a local directory."
        )
    return place
