"""A process that logs flat out until it is killed.

``python -m tests.crash.writer URL TRUTH NAME [SPOOL]``
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import eventlog
from tests.crash.truth import (
    BIG_BYTES,
    BIG_TYPE,
    FACT_TYPE,
    MANY_KEYS,
    THREADS,
    Truth,
    kind_of,
    stream_of,
)

FLUSH_EVERY = 1_500
FLAT_OUT_CALLS = 20_000  # a thread; then it slows down, so that a long soak stays comparable
SLOW_S = 0.001
_BIG = "x" * BIG_BYTES


def programme(log: eventlog.Log, stream: str) -> Callable[[int], None]:
    """The n-th call of the thread that owns ``stream``."""
    point = log.points(stream, "p")
    many = log.points_many(stream, MANY_KEYS)

    def call(n: int) -> None:
        kind = kind_of(n)
        if kind == "point":
            point(float(n), n)
        elif kind == "many":
            many([float(n)] * len(MANY_KEYS), n)
        elif kind == "fact":
            log.append(FACT_TYPE, stream, key="f", step=n, value=float(n), data={"n": n})
        else:
            log.append(BIG_TYPE, stream, key="b", step=n, value=float(n), data=[n, _BIG])

    return call


def write(log: eventlog.Log, truth: Truth, name: str, thread: int) -> None:
    """One thread's calls, for ever."""
    call = programme(log, stream_of(name, thread))
    n = 0
    while True:
        call(n)
        n += 1
        truth.returned(thread, n)
        if n % FLUSH_EVERY == FLUSH_EVERY * thread // THREADS:
            log.flush()
            truth.flushed(thread, n)
        if n > FLAT_OUT_CALLS:
            time.sleep(SLOW_S)


def main() -> None:
    url, place, name, *spool = sys.argv[1:]
    truth = Truth(Path(place) / f"{name}.truth", fresh=True)
    log = eventlog.open(url, ship_s=(0.1, 0.4), spool=spool[0] if spool else None)
    threads = [
        threading.Thread(target=write, args=(log, truth, name, thread), daemon=True)
        for thread in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    while all(thread.is_alive() for thread in threads):
        time.sleep(0.1)
    sys.exit("a writing thread ended by itself")


if __name__ == "__main__":
    main()
