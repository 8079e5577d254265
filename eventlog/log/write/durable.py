"""Files and names that survive a power cut."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_durably(path: Path, raw: bytes, before_rename: Callable[[], None] | None = None) -> None:
    """A file that is whole, and on the disk, or not there at all."""
    draft = path.with_suffix(".tmp")
    try:
        with open(draft, "wb") as out:
            out.write(raw)
            out.flush()
            os.fsync(out.fileno())
        if before_rename is not None:
            before_rename()
        os.rename(draft, path)
    except OSError:  # no room: give back what it took
        draft.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """The names in a directory are on the disk when this returns."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """The bytes of a file are on the disk when this returns."""
    _sync(path, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
