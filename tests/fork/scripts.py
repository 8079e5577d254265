"""Scripts that log in processes of their own, and what they left in the log."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import eventlog

ROOT = Path(__file__).parents[2]
DIED = "writer.died"

BEGIN = """
import os, sys, signal, threading, time
import eventlog
LOG = sys.argv[1]
def open_log(**options):
    return eventlog.open(LOG, **options)
"""


def environment() -> dict[str, str]:
    paths = (".", "backends", "views", "plugins")
    return os.environ | {"PYTHONPATH": os.pathsep.join(str(ROOT / path) for path in paths)}


def run(log: Path, script: str, *, code: int | tuple[int, ...] = 0, timeout_s: float = 60) -> str:
    """What the script printed; its exit status must be (one of) ``code``."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BEGIN + textwrap.dedent(script), str(log)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    codes = code if isinstance(code, tuple) else (code,)
    assert done.returncode in codes, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def rows(log: Path) -> list[dict[str, Any]]:
    """Every event of the log, in order of lane and seq, after whatever is left was shipped."""
    with eventlog.open(log) as opened:
        report = opened.sync()
        assert report.failed == {}
        assert report.alive == []
        frame = opened.events().collect().sort("lane", "seq")
        assert opened.verify().damage == []
    found = frame.filter(frame["type"].cast(str) != DIED).to_dicts()
    assert len({(r["lane"], r["seq"]) for r in found}) == len(found)
    return found


def words(log: Path) -> list[object]:
    """Facts by type, points by step."""
    return [r["step"] if r["type"] == "metric.logged" else r["type"] for r in rows(log)]
