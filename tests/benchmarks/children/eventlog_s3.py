"""eventlog on S3: commits by many writers, and what a quiet day costs in requests."""

from __future__ import annotations

import threading
import time
from typing import Any

from tests.benchmarks import child
from tests.benchmarks.child import Numbers
from tests.benchmarks.children.with_eventlog import open_log

TYPE = "benchmark.event"
PAUSE_S = 0.02  # between two events of the active writer


def prepare(root: str, url: str) -> Numbers:
    """Make the log."""
    with open_log(url) as log:
        log.append("benchmark.begun", "benchmark:s3")
        log.flush(remote=True)
    return {}


def commits(root: str, url: str, worker: int, count: int, events: int) -> Numbers:
    """``count`` times ``events`` events, each time waiting until the store has them."""
    log = open_log(url)
    stream = f"worker:{worker}"
    log.append("benchmark.begun", stream)
    log.flush(remote=True)
    child.wait_for_go()
    for commit in range(count):
        for n in range(events):
            log.append(TYPE, stream, step=commit * events + n)
        log.flush(remote=True)
    done_s = time.monotonic()
    log.close()
    return {"done_s": done_s}


def count(root: str, url: str, workers: int, expected: int) -> Numbers:
    """What the store holds of all workers' events."""
    import polars as pl

    with open_log(url) as log:
        mine = pl.col("type").cast(pl.String) == TYPE
        frame = log.events().filter(mine).select(pl.col("stream").cast(pl.String), "step")
        found = frame.collect()
    each = [
        child.steps_found(found.filter(pl.col("stream") == f"worker:{n}")["step"], expected)
        for n in range(workers)
    ]
    return {key: sum(numbers[key] for numbers in each) for key in each[0]}


class Clock:
    """Counts this process's HTTP requests in two windows of a timetable both processes share.

    settle, window (active), settle, window (idle): ``settle_s`` and ``window_s`` are seconds of a
    clock that runs ``speed`` times as fast as the wall's.
    """

    def __init__(self, settle_s: int, window_s: int, speed: int) -> None:
        self.speed = speed
        settle, window = settle_s / speed, window_s / speed
        now = self.begin = time.monotonic()
        self.active = (now + settle, now + settle + window)
        self.idle = (now + 2 * settle + window, now + 2 * settle + 2 * window)
        self.sent: list[float] = []
        self._watch()

    def _watch(self) -> None:
        """Note the time of every request that leaves, retries too."""
        from aiobotocore.httpsession import AIOHTTPSession

        send, sent = AIOHTTPSession.send, self.sent

        async def noted(session: Any, request: Any) -> Any:
            sent.append(time.monotonic())
            return await send(session, request)

        AIOHTTPSession.send = noted

    def counts(self) -> Numbers:
        return {
            name: sum(start <= at < end for at in self.sent)
            for name, (start, end) in (("active", self.active), ("idle", self.idle))
        }


def writer(root: str, url: str, settle_s: int, window_s: int, speed: int) -> Numbers:
    """Logs all the time until the active window is over, then keeps the log open."""
    clock = Clock(settle_s, window_s, speed)
    log = open_log(url)
    hurry(log, speed)
    written = 0
    while time.monotonic() < clock.active[1]:
        log.append(TYPE, "worker:0", step=written)
        written += 1
        time.sleep(PAUSE_S)
    time.sleep(max(0.0, clock.idle[1] - time.monotonic()))
    counts = clock.counts()
    log.close()
    return {**counts, "written": written}


def reader(root: str, url: str, settle_s: int, window_s: int, speed: int) -> Numbers:
    """Tails the log until both windows are over."""
    clock = Clock(settle_s, window_s, speed)
    log = open_log(url)
    hurry(log, speed)
    stop = threading.Event()
    timer = threading.Timer(clock.idle[1] - time.monotonic(), stop.set)
    timer.start()
    seen = 0
    for batch in log.tail(stop=stop):
        seen += batch["type"].to_list().count(TYPE)
    return {**clock.counts(), "seen": seen}


def hurry(log: Any, speed: int) -> None:
    """Divide every interval of the log by ``speed``."""
    from eventlog.log.read.tail import tail

    backend = log.backend
    backend.poll_s /= speed
    first_s, longest_s = backend.ship_s
    backend.ship_s = (first_s / speed, longest_s / speed)
    defaults = tail.__kwdefaults__ or {}
    defaults["idle_s"] /= speed


if __name__ == "__main__":
    every = (prepare, commits, count, writer, reader)
    child.main({function.__name__: function for function in every})
