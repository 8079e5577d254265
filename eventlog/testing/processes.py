"""Functions run in forked processes, with their results brought back."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

T = TypeVar("T")


def in_forks(work: Sequence[Callable[[], T]], timeout_s: float = 60.0) -> list[T]:
    """Run each function in a child forked from here, all at once; their results, in order.

    A child that raises, dies or outlasts ``timeout_s`` fails with an `AssertionError` that says so.
    """
    children = [_fork(one, timeout_s) for one in work]
    results: list[T] = []
    failures: list[str] = []
    for pid, pipe in children:
        with os.fdopen(pipe, "rb") as stream:
            said = stream.read()
        _, status = os.waitpid(pid, 0)
        if status or not said:
            failures.append(f"child ended with {os.waitstatus_to_exitcode(status)}: {said!r:.2000}")
        else:
            results.append(pickle.loads(said))
    assert not failures, "\n".join(failures)
    return results


def _fork(work: Callable[[], T], timeout_s: float) -> tuple[int, int]:
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside threads: that they work is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    os.close(reading)
    _child(work, writing, timeout_s)


def _child(work: Callable[[], T], writing: int, timeout_s: float) -> NoReturn:
    status = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        try:
            said, status = pickle.dumps(work()), 0
        except BaseException:
            said = traceback.format_exc().encode()
        with os.fdopen(writing, "wb") as stream:
            stream.write(said)
    finally:
        # Not sys.exit: what the parent registered for its own end is no business of ours.
        os._exit(status)
