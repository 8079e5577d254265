"""Waiting for a condition, for tests of what happens on another thread or in another process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

TIMEOUT_S = 30.0


def until(predicate: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
    """Return once ``predicate()`` is true; fail loudly when it never is."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < deadline, f"not so within {timeout_s:g} s: {predicate}"
        time.sleep(0.002)


def in_threads(*work: Callable[[], object]) -> None:
    """Call each on a thread of its own, all at once; return when all have."""
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
