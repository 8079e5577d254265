"""Waiting for a condition, for tests of what happens on another thread or in another process."""

from __future__ import annotations

import time
from collections.abc import Callable

TIMEOUT_S = 30.0


def until(predicate: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
    """Return once ``predicate()`` is true; fail loudly when it never is."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < deadline, f"not so within {timeout_s:g} s: {predicate}"
        time.sleep(0.002)
