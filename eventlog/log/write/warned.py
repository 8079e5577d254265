"""Warnings that come once a minute at most, however many writers have reason to give them."""

from __future__ import annotations

import math
import time

WARN_EVERY_S = 60.0
_last: dict[str, float] = {}


def due(what: str) -> bool:
    """Whether ``what`` has not been said for a minute; from now on it counts as said."""
    now = time.monotonic()
    # No lock: a signal handler may come in between, and who hears it twice is none the worse.
    if now - _last.get(what, -math.inf) < WARN_EVERY_S:
        return False
    _last[what] = now
    return True
