"""What a sweep of short processes leaves behind: the cost of closed lanes after compaction."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tests.benchmarks import child
from tests.benchmarks.child import Numbers
from tests.benchmarks.children.with_eventlog import Eventlog, open_log

LOOKS = 21
EVENTS = 5  # of one lane: as little as a run that failed early


def fill(root: str, folder: str, count: int, worker: int) -> Numbers:
    """``count`` lanes, each as a process of a sweep makes it: open, a few events, close.

    One process makes them all, as a start of the interpreter for each would take an hour.
    """
    url = str(Path(root, folder))
    child.wait_for_go()
    for n in range(count):
        with open_log(url) as log:
            stream = f"run:{worker}-{n}"
            log.append("run.created", stream, data={"name": "sweep"})
            loss = log.points(stream, "loss")
            for step in range(EVENTS - 2):
                loss(step * 0.5, step)
            log.append("run.finished", stream, data={"status": "FINISHED"})
    return {"done_s": time.monotonic()}


def look(root: str, folder: str, lanes: int) -> Numbers:
    """Compact, collect, then time a first look, another one, and a listing."""
    for module in Eventlog.modules:
        import_module(module)
    url = str(Path(root, folder))
    with open_log(url) as log:
        before = time.perf_counter()
        for _ in range(2):  # a lane retires in the compaction after the one that took it
            log.compact()
            log.collect()
        compact_s = time.perf_counter() - before
        kinds = log.events().select("lane").collect()
        polled = _median_ms(log.position)
        listed = _median_ms(lambda: list(log.backend.list("wal/")))
        left = len(list(log.backend.list("wal/")))
    return {
        "open_ms": _median_ms(lambda: _first_look(url)),
        "poll_ms": polled,
        "list_ms": listed,
        "compact_s": compact_s,
        "wal_objects": left,
        "missing": lanes * EVENTS - len(kinds),
    }


def _first_look(url: str) -> None:
    with open_log(url) as log:
        log.position()


def _median_ms(action: Callable[[], object]) -> float:
    took = []
    for _ in range(LOOKS):
        before = time.perf_counter()
        action()
        took.append((time.perf_counter() - before) * 1e3)
    return child.quantile(took, 0.5)


if __name__ == "__main__":
    child.main({"fill": fill, "look": look})
