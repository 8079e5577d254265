"""Acts under strace: killed at the n-th call of one kind, or given an error there."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import eventlog
from tests.crash.soak import ROOT, environment
from tests.crash.truth import compare

WRITING = (
    "openat write pwrite64 rename link linkat unlink unlinkat fsync fdatasync mkdir rmdir "
    "ftruncate fallocate mmap flock close"
).split()
ATTACH_S = 30.0
KILLED = -9


@dataclass
class Run:
    """How a traced act ended: its exit status (-9: killed) and what strace wrote."""

    status: int
    log: str
    said: str

    @property
    def injected(self) -> bool:
        """Whether the n-th call came at all."""
        return "(INJECTED)" in self.log

    def counts(self) -> Counter[str]:
        """How often each system call was made."""
        return Counter(re.findall(r"^(\w+)\(", self.log, re.MULTILINE))


class Stage:
    """Runs acts, one at a time.

    Args:
        place: a directory for gates and strace's output.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.gate, self.output = place / "gate", place / "strace"
        os.mkfifo(self.gate)
        self._errors = open(place / "errors", "w+b")  # noqa: SIM115
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
            env=environment(),
            start_new_session=True,
        )

    def close(self) -> None:
        """End the zygote, and the act that waits at the gate where its tracer did not come."""
        os.killpg(self._zygote.pid, signal.SIGKILL)
        self._zygote.communicate()
        self._errors.close()

    def run(self, act: str, root: Path, truth: Path, inject: str = "") -> Run:
        """Let an act run; ``inject`` is strace's, ``fsync:signal=SIGKILL:when=2``."""
        assert self._zygote.stdin is not None
        self._errors.seek(0)
        self._errors.truncate()
        line = "\t".join([act, os.fspath(root), os.fspath(truth), os.fspath(self.gate)])
        self._zygote.stdin.write(f"{line}\n".encode())
        self._zygote.stdin.flush()
        word, number = self._answer()
        log = ""
        if word == "ready":
            with self._traced(number, inject):
                self._open_gate()
                word, number = self._answer()
            log = self.output.read_text(errors="replace")
        assert word == "ended"
        self._errors.seek(0)
        return Run(number, log, self._errors.read().decode(errors="replace"))

    def _open_gate(self) -> None:
        gate = os.open(self.gate, os.O_WRONLY)
        os.write(gate, b"!")
        os.close(gate)

    def _answer(self) -> tuple[str, int]:
        assert self._zygote.stdout is not None
        word, number = self._zygote.stdout.readline().split()
        return word.decode(), int(number)

    @contextlib.contextmanager
    def _traced(self, tid: int, inject: str) -> Iterator[None]:
        calls = inject.partition(":")[0] or ",".join(WRITING)
        command = ["strace", "-p", str(tid), "-o", str(self.output), "-e", f"trace={calls}"]
        command += ["-e", f"inject={inject}"] if inject else []
        strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            _wait_for_tracer(tid, strace)
            yield
            strace.wait(ATTACH_S)
        finally:
            strace.kill()
            strace.wait()


def _wait_for_tracer(tid: int, strace: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + ATTACH_S
    while time.monotonic() < end and strace.poll() is None:
        status = Path(f"/proc/{tid}/status").read_text()
        if "\nTracerPid:\t0\n" not in status:
            return
        time.sleep(0.001)
    raise RuntimeError("strace did not attach")


def judged(root: Path, truth: Path) -> list[str]:
    """Open the log again, recover what is left; what is wrong then."""
    if not (root / "format.json").exists() and not any(root.glob("spool/*/lock")):
        return []  # it died before there was a log, and so before any call returned: see `compare`
    with eventlog.open(root) as log:
        report = log.sync()
        problems = [f"not recovered: {lane}: {error}" for lane, error in report.failed.items()]
        problems += [f"taken for alive: {lane}" for lane in report.alive]
        problems += compare(log.events().collect(), truth).problems
        problems += [f"verify: {damage}" for damage in log.verify().damage]
    return problems
