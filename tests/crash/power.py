"""A disk whose power can be cut: XFS in a file, mounted by a loop device.

``xfs_io -x -c shutdown`` without ``-f`` stops it where it is: what is not on the disk by then, data
or the file system's own log, is lost.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

IMAGE_BYTES = 340 * 1024 * 1024  # mkfs.xfs refuses less than 300 MiB
UMOUNT_TRIES = 100


class Disk:
    """Made, mounted at ``place/mount``. A context manager: it leaves no mount behind."""

    def __init__(self, place: Path) -> None:
        self.image, self.path = place / "image", place / "mount"
        self.path.mkdir(parents=True)
        with open(self.image, "wb") as image:
            image.truncate(IMAGE_BYTES)
        _run("mkfs.xfs", "-q", str(self.image))
        self._mount()

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *exception: object) -> None:
        self._unmount()
        self.image.unlink()

    def cut(self) -> None:
        """The power goes."""
        _run("xfs_io", "-x", "-c", "shutdown", str(self.path))

    def back(self) -> None:
        """The power is there again. Nobody may hold a file of the disk any more."""
        self._unmount()
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self.image), str(self.path))

    def _unmount(self) -> None:
        for _ in range(UMOUNT_TRIES):  # the kernel may still be closing what a killed process held
            if subprocess.run(["umount", str(self.path)], capture_output=True).returncode == 0:
                return
            time.sleep(0.05)
        _run("umount", str(self.path))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
