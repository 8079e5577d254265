"""The lock of a spool: who may go on with a lane whose writer is gone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from eventlog.log.write.identity import Identity, boot_id, is_alive, machine_id

UNBORN_LIMIT_S = 3600


@dataclass(frozen=True)
class Held:
    """A spool's lock in our hands.

    Attributes:
        owner: whether we may go on with the lane: same machine, same boot, lock really free.
    """

    fd: int
    writer: Identity
    owner: bool


_alone: set[int] = set()


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[bool]:
    """Be the only one who recovers the spool; False where somebody else is at it.

    The spool's own lock cannot tell: a child of the dead writer may hold it, or a recoverer.
    """
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    _alone.add(fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        first = False
    else:
        first = True
    try:
        yield first
    finally:
        _alone.discard(fd)
        os.close(fd)


def _after_fork_in_child() -> None:
    while _alone:  # else the child would go on to hold what its parent holds
        os.close(_alone.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def take_lock(directory: Path, *, adopt: bool = False) -> Held | None:
    """The lock of a spool whose writer is gone; None while it may live, or is another machine's.

    ``adopt`` takes a spool that another machine wrote (its directory was copied or mounted here).
    """
    try:
        fd = os.open(directory / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    held = None
    try:
        held = _examine(directory, fd, adopt)
    finally:
        if held is None:
            os.close(fd)
    return held


def _examine(directory: Path, fd: int, adopt: bool) -> Held | None:
    free = True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        free = False
    try:
        same = os.stat(directory / "lock").st_ino == os.fstat(fd).st_ino
        writer = msgspec.json.decode(os.pread(fd, 65536, 0), type=Identity)
    except OSError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):  # the power went before the first sync
        if not free:  # whoever holds it, nothing says that they are dead
            return None
        writer = Identity(machine_id(), "lost", 0, "", "")
    if not same or (writer.machine_id != machine_id() and not adopt):
        return None
    if not free and is_alive(writer):
        return None
    here = writer.machine_id == machine_id() and writer.boot_id == boot_id()
    return Held(fd, writer, owner=free and here)


def sweep_unborn(root: Path) -> None:
    """Remove what processes that died while making or deleting a spool left behind."""
    for path in root.glob(".tmp-*"):
        try:
            if time.time() - path.stat().st_mtime > UNBORN_LIMIT_S:
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue
