"""What the traced processes do: small, the same each time, on one thread as far as that goes.

Each act is a function of (log's directory, directory of the truth, gate). It calls ``gate(tid)``
where tracing is to begin; the gate returns when the tracer is there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import eventlog
from eventlog.errors import EventlogError
from tests.crash.truth import Truth, stream_of
from tests.crash.writer import programme

Gate = Callable[[int], None]
WRITER = "traced"
NEVER_S = (3600.0, 3600.0)
RAISED = 8  # exit status: a call that may raise has raised


def write(root: Path, truth: Path, gate: Gate, tid: int) -> int:
    """The calling thread's part of a commit: a new log, a lane, events, flush, ship, close."""
    kept = Truth(truth / f"{WRITER}.truth", fresh=True)
    gate(tid)
    return _commit(eventlog.open(root, ship_s=NEVER_S), kept)


def ship(root: Path, truth: Path, gate: Gate, _: int) -> int:
    """The daemon's part of it."""
    kept = Truth(truth / f"{WRITER}.truth", fresh=True)
    log = eventlog.open(root, ship_s=NEVER_S)
    log.append("begun", "traced")
    daemon = log._writer.daemon
    assert daemon is not None
    gate(daemon.native_id or 0)
    return _commit(log, kept)


def leave(root: Path, truth: Path, gate: Gate, tid: int) -> int:
    """Events in the store, in the outbox and in the spool, and no end: for `recover`."""
    kept = Truth(truth / f"{WRITER}.truth", fresh=True)
    log = eventlog.open(root, ship_s=NEVER_S)
    call = programme(log, stream_of(WRITER, 0))
    for n in range(40):
        call(n)
        kept.returned(0, n + 1)
        if n == 10:
            log.flush(remote=True)
        if n == 25:
            shipper = log._writer.shipper
            assert shipper is not None
            shipper._encode(final=False)
    return 0


def recover(root: Path, truth: Path, gate: Gate, tid: int) -> int:
    """Ship what `leave` left."""
    log = eventlog.open(root)
    gate(tid)
    try:
        return RAISED if log.sync().failed else 0
    except (EventlogError, OSError):
        return RAISED


def compact(root: Path, truth: Path, gate: Gate, tid: int) -> int:
    """Move all of it into a data file, and delete what is garbage then."""
    log = eventlog.open(root)
    log.sync()
    gate(tid)
    try:
        log.compact()
        log.collect(grace_s=0)
    except (EventlogError, OSError):
        return RAISED
    return 0


def _commit(log: eventlog.Log, kept: Truth) -> int:
    """Calls 0 … 29 with flushes in between. What raises once must work the next time."""
    stream = stream_of(WRITER, 0)
    raised: list[str] = []
    with _noted(raised):
        call = programme(log, stream)
    if raised:  # the lane could not be made: that has to be said
        call = programme(log, stream)
    for n in range(30):
        call(n)  # never raises, whatever the disk does
        kept.returned(0, n + 1)
        if n in (9, 14, 19):
            with _noted(raised):
                log.flush(remote=n == 19, timeout_s=5.0)
                kept.flushed(0, n + 1)
    with _noted(raised):
        log.flush()
    log.flush()
    kept.flushed(0, 30)
    log.close(5.0)
    return RAISED if raised else 0


@contextlib.contextmanager
def _noted(raised: list[str]) -> Iterator[None]:
    try:
        yield
    except (EventlogError, OSError) as error:
        raised.append(f"{type(error).__name__}: {error}")


ACTS = {act.__name__: act for act in (write, ship, leave, recover, compact)}
