"""What every measured process shares; the standard library only, for it runs beside any product.

A child is called as ``python -m tests.benchmarks.children.<name> FUNCTION ARGUMENTS`` with the
arguments as JSON, and prints its numbers as JSON after `RESULT`.
"""

from __future__ import annotations

import json
import math
import mmap
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

Numbers = dict[str, float]
RESULT = "RESULT "
READY = "READY"
WARM_UP_CALLS = 200


def main(functions: Mapping[str, Callable[..., Numbers]]) -> None:
    """Run the function that the command line names, and print what it returns."""
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    numbers = functions[name](**arguments)
    print(RESULT + json.dumps(numbers), flush=True)


def wait_for_go() -> None:
    """Tell the parent that this process is ready, and wait until all are."""
    print(READY, flush=True)
    sys.stdin.readline()


def per_call(call: Callable[[float, int], object], count: int) -> Numbers:
    """Nanoseconds of single calls ``call(value, step)``, less what reading the clock costs."""
    values = curve(count)
    clock = time.perf_counter_ns
    for step in range(WARM_UP_CALLS):
        call(0.0, -1 - step)
    took = [0] * count
    for step in range(count):
        value = values[step]
        before = clock()
        call(value, step)
        took[step] = clock() - before
    empty = [0] * 10_000
    for n in range(len(empty)):
        before = clock()
        empty[n] = clock() - before
    timer_ns = quantile(empty, 0.5)
    return {
        "median_us": max(0.0, quantile(took, 0.5) - timer_ns) / 1e3,
        "p99_us": max(0.0, quantile(took, 0.99) - timer_ns) / 1e3,
        "timer_us": timer_ns / 1e3,
    }


def quantile(numbers: Iterable[float], q: float) -> float:
    """The nearest-rank quantile."""
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(q * len(ordered)) - 1))]


def curve(count: int, seed: int = 0) -> list[float]:
    """A noisy loss curve in full double precision: what a training logs, and hard to compress."""
    draw = random.Random(seed)
    return [math.exp(-3 * n / max(1, count)) + draw.gauss(0, 0.02) for n in range(count)]


def curves(keys: int, steps: int, seed: int) -> Iterable[tuple[float, ...]]:
    """For each step the values of ``keys`` metrics of one run."""
    return zip(*(curve(steps, seed=seed * keys + key) for key in range(keys)), strict=True)


class Returned:
    """How many calls have returned: a counter in a file of its own, which outlives ``kill -9``."""

    def __init__(self, path: str, *, create: bool = False) -> None:
        if create:
            Path(path).write_bytes(bytes(mmap.PAGESIZE))
        with Path(path).open("r+b") as file:
            # One aligned store; `struct.pack_into` clears its bytes first.
            self._count = memoryview(mmap.mmap(file.fileno(), mmap.PAGESIZE)).cast("q")

    def set(self, count: int) -> None:
        self._count[0] = count

    def get(self) -> int:
        return self._count[0]


def flood(call: Callable[[float, int], object], counter: str, limit_s: float) -> Numbers:
    """Log as fast as it goes, counting what returned, until killed (or the limit)."""
    returned = Returned(counter)
    until = time.monotonic() + limit_s
    step = 0
    while step % 64 or time.monotonic() < until:
        call(step * 0.5, step)
        step += 1
        returned.set(step)
    return {"returned": step}


def steps_found(steps: Iterable[int], expected: int) -> Numbers:
    """How many of the steps ``0 … expected`` are there, and how many come twice."""
    wanted = [step for step in steps if 0 <= step < expected]
    found = len(set(wanted))
    return {"found": found, "lost": expected - found, "doubled": len(wanted) - found}


def size_bytes(root: str) -> int:
    """Bytes of all files below a directory; links to one file count once."""
    seen: dict[tuple[int, int], int] = {}
    for path in Path(root).rglob("*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            seen[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(seen.values())


def metric_names(count: int) -> list[str]:
    """Names as people choose them."""
    return [f"layer_{n:03d}/grad_norm" for n in range(count)]


def dict_rows(count: int, width: int) -> list[dict[str, float]]:
    """``count`` dicts of ``width`` metrics, made before the clock starts."""
    names = metric_names(width)
    values: Sequence[float] = curve(count * width)
    return [
        dict(zip(names, values[n * width : (n + 1) * width], strict=True)) for n in range(count)
    ]
