"""The store's own clock: the only one by which the age of an object can be judged."""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets

from eventlog.backend import Backend
from eventlog.errors import BackendError, Exists

PROBE_PREFIX = "probe/"
TRIES = 4


def store_now(backend: Backend) -> dt.datetime:
    """The present time by the store's clock, as a fresh object's Last-Modified tells it."""
    for _ in range(TRIES):
        key = f"{PROBE_PREFIX}clock-{secrets.token_hex(8)}"
        with contextlib.suppress(Exists):  # a lost answer of our own: nobody else has the key
            backend.put_new(key, b"")
        try:
            modified = modified_of(backend, key)
        finally:
            backend.delete([key])
        if modified is not None:
            return modified
        # We slept for so long that a collector took the probe away.
    raise BackendError(
        f"{backend.url} does not list {key}, which was just written: a log needs a store whose "
        "listings are up to date."
    )


def modified_of(backend: Backend, key: str) -> dt.datetime | None:
    """When the object was written, by the store's clock; None where there is none."""
    for entry in backend.list(key):
        if entry.key == key:
            return entry.modified
    return None


def age_s(modified: dt.datetime, now: dt.datetime) -> float:
    """Seconds from ``modified`` to ``now``."""
    return (now - modified).total_seconds()
