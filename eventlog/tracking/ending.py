"""Runs that nobody ends: when the interpreter exits, or SIGTERM comes.

SIGTERM is taken only in the main thread of a process that has not set a handler of its own. The
runs are marked KILLED, which is in the spool when the process dies of the signal as it would have.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventlog.tracking.run import Run

_OPEN: weakref.WeakValueDictionary[int, Run] = weakref.WeakValueDictionary()


def watch(run: Run) -> None:
    """End the run if nobody does."""
    _OPEN[id(run)] = run
    if threading.current_thread() is threading.main_thread():
        with contextlib.suppress(ValueError, OSError):
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                signal.signal(signal.SIGTERM, _terminated)


def forget(run: Run) -> None:
    """The run has ended."""
    _OPEN.pop(id(run), None)


def end_runs_of(log: object) -> None:
    """End the open runs of a log that is closed, as they would end with the interpreter."""
    failed = sys.exc_info()[0] is not None
    for run in _open():
        if run._log is log:
            run.finish("FAILED" if failed else "FINISHED")


def _open() -> list[Run]:
    return [run for _, run in sorted(_OPEN.items(), key=lambda item: item[1].id, reverse=True)]


def _exit() -> None:
    failed = getattr(sys, "last_value", None) is not None  # an exception that nobody caught
    for run in _open():
        with contextlib.suppress(Exception):  # its log may be closed
            run.finish("FAILED" if failed else "FINISHED")


def _terminated(number: int, frame: Any) -> None:
    for run in _open():
        with contextlib.suppress(Exception):
            run.finish("KILLED")
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


atexit.register(_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_OPEN.clear)  # the runs are the parent's to end
