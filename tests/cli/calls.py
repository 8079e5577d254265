"""Calling ``eventlog`` from tests: in this process, and as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

import eventlog
from eventlog.cli import main

ROOT = Path(__file__).parents[2]


def call(*words: str, env: dict[str, str] | None = None) -> Result:
    """The outcome of ``eventlog <words>``."""
    return CliRunner().invoke(main, [str(word) for word in words], env=env)


def call_json(*words: str) -> Any:
    """The one JSON document that ``eventlog <words> --json`` prints."""
    result = call(*words, "--json")
    assert result.stderr == ""
    return json.loads(result.stdout)


def lines(*words: str) -> list[dict[str, Any]]:
    """The JSON lines that ``eventlog <words> --json`` prints."""
    return [json.loads(line) for line in call(*words, "--json").stdout.splitlines()]


def environment(**changes: str) -> dict[str, str]:
    """For a process of its own, whatever this one was started with."""
    roots = [ROOT, ROOT / "backends", ROOT / "views", ROOT / "plugins"]
    path = os.pathsep.join(map(str, roots))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("EVENTLOG_", "NO_COLOR"))}
    return {**kept, "PYTHONPATH": path, **changes}


def start(
    *words: str, env: dict[str, str] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """``eventlog <words>`` as a process."""
    command = [sys.executable, "-m", "eventlog", *map(str, words)]
    return subprocess.Popen(command, env=env or environment(), **options)


def a_log(path: Path, events: int = 3) -> str:
    """A log with so many facts of two types and twice so many points; its URL."""
    with eventlog.open(path) as log:
        loss = log.points("run:1", "loss")
        for n in range(events):
            log.append("run.created" if n % 2 else "run.ended", f"run:{n}", data={"n": n})
            loss(n / 2, n)
            loss(float("nan"), n)
    return str(path)
