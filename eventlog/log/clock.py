"""Clocks: the store's own, by which the age of an object is judged, and that of facts.

A process gives its facts times that never go back, nor behind the newest fact that it has read:
else a clock that is an hour slow would put an answer before its question, for ever.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import time

from eventlog.backend import Backend
from eventlog.errors import BackendError, Exists, UsageError
from eventlog.event import check_int64

PROBE_PREFIX = "probe/"
TRIES = 4
AHEAD_LIMIT_US = 24 * 3600 * 1_000_000
_witnessed_us: dict[str, int] = {}


def now_us() -> int:
    """Microseconds since 1970 in UTC, by this machine's clock."""
    return time.time_ns() // 1000


def checked_time(what: str, time_us: object) -> int:
    """``time_us`` as an int; `UsageError` where it lies more than 24 hours ahead."""
    at = check_int64(what, time_us)
    if at > now_us() + AHEAD_LIMIT_US:
        raise UsageError(
            f"{what}={at} is more than 24 hours ahead: microseconds since 1970 in UTC are meant."
        )
    return at


def witness(url: str, newest_us: int) -> None:
    """This process has read a fact of that time in the log."""
    if newest_us <= now_us() + AHEAD_LIMIT_US:  # else a clock so wrong that nobody follows it
        _witnessed_us[url] = max(newest_us, witnessed_us(url))


def witnessed_us(url: str) -> int:
    """The newest time of a fact that this process has read in the log, or 0."""
    return _witnessed_us.get(url, 0)


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
