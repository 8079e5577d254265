"""Putting the same bytes until the store has answered."""

from __future__ import annotations

import time

from eventlog.backend import Backend
from eventlog.errors import Exists, Unavailable

TRIES = 4
FIRST_WAIT_S = 0.05


def put_or_get(backend: Backend, key: str, data: bytes) -> bytes | None:
    """Create ``key``; None, or the bytes of the object that is there already.

    Where no answer comes the same bytes are put again, so what is there may be ours: an earlier
    try may have landed without telling. The caller compares. `Unavailable` after `TRIES` tries.
    """
    for attempt in range(TRIES):
        try:
            backend.put_new(key, data)
            return None
        except Exists:
            return backend.get(key)
        except Unavailable:
            if attempt == TRIES - 1:
                raise
            time.sleep(FIRST_WAIT_S * 2**attempt)
    raise AssertionError("unreachable: the last try returns or raises")
