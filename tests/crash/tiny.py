"""A disk that is soon full: a tmpfs of a given size."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


class TinyDisk:
    """Mounted at ``path`` while the context lasts."""

    def __init__(self, path: Path, *, size_kib: int = 1024, inodes: int = 1000) -> None:
        self.path = path
        self.path.mkdir(parents=True)
        self._run("mount", "-t", "tmpfs", "-o", f"size={size_kib}k,nr_inodes={inodes}", "tmpfs")

    def __enter__(self) -> TinyDisk:
        return self

    def __exit__(self, *exception: object) -> None:
        self._run("umount", "-l")

    def remount(self, options: str) -> None:
        """Change ``size=…k``, ``nr_inodes=…``, ``ro`` or ``rw``."""
        self._run("mount", "-o", f"remount,{options}")

    def fill(self) -> None:
        """Take all space that is left."""
        with open(self.path / "filler", "ab") as filler, contextlib.suppress(OSError):
            while True:
                os.write(filler.fileno(), bytes(4096))

    def empty(self) -> None:
        """Give it back."""
        (self.path / "filler").unlink()

    @contextlib.contextmanager
    def without_inodes(self) -> Iterator[None]:
        """No file can be made here."""
        made = []
        with contextlib.suppress(OSError):
            for n in range(10_000):
                path = self.path / f"inode-{n}"
                path.touch()
                made.append(path)
        try:
            yield
        finally:
            for path in made:
                path.unlink()

    def _run(self, *command: str) -> None:
        done = subprocess.run([*command, str(self.path)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} {self.path}: {done.stderr}")
