"""Starts the processes that are traced, quickly: everything is imported once, then forked.

Reads ``act root truth gate`` a line (tab between), forks, and prints ``ready <tid>`` where tracing
is to begin and ``ended <status>`` when the process is gone. ``gate`` is a FIFO: the process reads
it until the tracer is there, which is no call that is counted.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path

from tests.crash.acts import ACTS

# What an act would import: none of these starts a thread.
WARM = (
    "eventlog.log.write.tables", "eventlog.log.keep.recover", "eventlog.log.keep.compact",
    "eventlog.log.keep.collect",
    "eventlog.log.create", "eventlog.log.read.reader", "eventlog.log.cache", "eventlog.log.parquet",
    "eventlog_backends.local", "hashlib", "multiprocessing.util", "numpy.ma",
    "pyarrow.compute", "pyarrow.parquet",
)  # fmt: skip


def main() -> None:
    import eventlog

    for name in WARM:
        importlib.import_module(name)
    eventlog.open("/nonexistent/warm")
    for line in sys.stdin:
        act, root, truth, gate = line.rstrip("\n").split("\t")
        pid = os.fork()
        if not pid:
            _act(act, Path(root), Path(truth), gate)
        _, status = os.waitpid(pid, 0)
        _say(f"ended {os.waitstatus_to_exitcode(status)}")


def _act(act: str, root: Path, truth: Path, gate: str) -> None:
    status = 1

    def wait(tid: int) -> None:
        waiting = os.open(gate, os.O_RDWR)
        _say(f"ready {tid}")
        os.read(waiting, 1)

    try:
        status = ACTS[act](root, truth, wait, os.getpid())
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    main()
