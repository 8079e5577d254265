"""The products that are measured: eventlog from this tree, and each peer in its own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.child import RESULT, Numbers

REPOSITORY = Path(__file__).resolve().parents[2]
ROOTS = (".", "backends", "views", "plugins")
CHILD_LIMIT_S = 600.0
DEAD_PROXY = "http://127.0.0.1:9"  # nobody listens: a peer that would phone home cannot

# Where a child may write and what it must not do, in every product's own words.
QUIET = {
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "DO_NOT_TRACK": "1",
    "HTTP_PROXY": DEAD_PROXY,
    "HTTPS_PROXY": DEAD_PROXY,
    "NO_PROXY": "127.0.0.1,localhost",
}
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")


class ChildFailed(Exception):
    """A measured process ended without numbers; the message is the end of what it said."""


class NotHere(Exception):
    """Something that a workload needs is not on this machine; the message says what."""


@dataclass(frozen=True)
class Product:
    """Something that logs: which interpreter runs it, by which module of ``children``."""

    name: str
    module: str
    python: Path
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, function: str, root: Path, **arguments: object) -> subprocess.Popen[str]:
        """Start one function of the product's child, storing below ``root``."""
        home = home_of(root)
        home.mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        own = {"HOME": str(home), "PYTHONPATH": paths(), "TRACKIO_DIR": str(root)}
        module = f"tests.benchmarks.children.{self.module}"
        return subprocess.Popen(
            [
                str(self.python),
                "-m",
                module,
                function,
                json.dumps({"root": str(root), **arguments}),
            ],
            cwd=home,
            env={**kept, **QUIET, **own, **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, function: str, root: Path, **arguments: object) -> Numbers:
        """Run one function to its end, and return its numbers."""
        return finish(self.start(function, root, **arguments))


def home_of(root: Path) -> Path:
    """The home directory of the processes that store below ``root``: beside it, not counted."""
    return root.parent / "home"


def paths() -> str:
    """The import roots of this tree, as ``PYTHONPATH``."""
    return os.pathsep.join(str((REPOSITORY / root).resolve()) for root in ROOTS)


def finish(process: subprocess.Popen[str], limit_s: float = CHILD_LIMIT_S) -> Numbers:
    """Wait for a child and return its numbers; `ChildFailed` with its last words otherwise."""
    try:
        said, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        said += f"\nno end after {limit_s:.0f} s"
    for line in reversed(said.splitlines()):
        if line.startswith(RESULT):
            return dict(json.loads(line.removeprefix(RESULT)))
    raise ChildFailed("\n".join(said.strip().splitlines()[-12:]) or f"exit {process.returncode}")


def end(process: subprocess.Popen[str]) -> None:
    """Kill a child that is still there, and give its pipes back."""
    process.kill()
    if process.stdout is not None and not process.stdout.closed:
        process.communicate()


def eventlog() -> Product:
    """eventlog, from this tree, in this interpreter."""
    import eventlog as package

    version = str(getattr(package, "__version__", "unreleased"))
    return Product("eventlog", "with_eventlog", Path(sys.executable), version)


def floors() -> Product:
    """What the interpreter and the disk allow at best."""
    return Product("floor", "floors", Path(sys.executable), "")


PEERS = {
    "trackio": "with_trackio",
    "tensorboardX": "with_tensorboardx",
    "wandb": "with_wandb",
    "mlflow": "with_mlflow",
}


def peer(name: str, environments: Path) -> Product:
    """A peer in its own virtual environment below ``environments``, made at the first call.

    Raises `ChildFailed` where it cannot be installed. Delete the folder to get a newer version.
    """
    python = environments / name / "bin" / "python"
    if not _version(python, name):
        environments.mkdir(parents=True, exist_ok=True)
        _call([sys.executable, "-m", "venv", "--clear", str(environments / name)])
        _call([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", name])
    return Product(name, PEERS[name], python, _version(python, name))


def _version(python: Path, distribution: str) -> str:
    """The version that the environment holds, or nothing."""
    if not python.exists():
        return ""
    script = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    done = subprocess.run([str(python), "-c", script], capture_output=True, text=True)
    return done.stdout.strip()


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_LIMIT_S)
    if done.returncode:
        raise ChildFailed(f"{' '.join(command)}: {done.stderr.strip()[-400:]}")
