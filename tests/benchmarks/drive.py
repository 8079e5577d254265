"""How a workload is driven from outside: the processes it takes, and the clock it is held to."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.child import READY, Numbers, Returned
from tests.benchmarks.product import CHILD_LIMIT_S, ChildFailed, Product, end, finish, home_of

Sizes = dict[str, int]
Drive = Callable[[Product, Path, Sizes], Numbers]

START_LIMIT_S = 60.0
FILLERS = 2
FILL_LIMIT_S = 3600.0
SETTLE_S = 0.5  # a store whose size stood still for so long has lost its writer
SETTLE_LIMIT_S = 15.0


def once(function: str, module: str = "") -> Drive:
    """One process that runs one function to its end, of the product's module or the one given."""

    def drive(product: Product, root: Path, sizes: Sizes) -> Numbers:
        chosen = dataclasses.replace(product, module=module or product.module)
        return chosen.run(function, root, **sizes)

    return drive


def write_then_read(product: Product, root: Path, sizes: Sizes) -> Numbers:
    """Write in one process, read back in another."""
    written = product.run("million", root, **sizes)
    return {**written, **product.run("read", root, **sizes)}


def together(product: Product, root: Path, sizes: Sizes) -> Numbers:
    """Several processes write at once, from one signal until the last has closed."""
    workers, count = sizes["workers"], sizes["count"]
    product.run("prepare", root)
    took_s = all_at_once(
        product, root, "part", [{"count": count, "worker": worker} for worker in range(workers)]
    )
    runs = [f"part-{worker}" for worker in range(workers)]
    counted = product.run("count", root, runs=runs, expected=count)
    return {"points_per_s": workers * count / took_s, **counted}


def all_at_once(
    product: Product,
    root: Path,
    function: str,
    each: Sequence[Mapping[str, object]],
    limit_s: float = CHILD_LIMIT_S,
) -> float:
    """Run one function in a process for each set of arguments; seconds until the last was done.

    The function gets ready, waits for the signal (`child.wait_for_go`) and tells ``done_s``.
    """
    started = [product.start(function, root, **arguments) for arguments in each]
    try:
        for process in started:
            _await_ready(process)
        before_s = time.monotonic()
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return max(finish(process, limit_s)["done_s"] for process in started) - before_s
    finally:
        for process in started:
            end(process)


def _await_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        if line.strip() == READY:
            return
        said.append(line)
    raise ChildFailed("a writer ended before it was ready: " + "".join(said[-12:]))


def lanes(product: Product, root: Path, sizes: Sizes) -> Numbers:
    """Very many closed lanes beside a few, both compacted; the ratios tell what they cost."""
    there = dataclasses.replace(product, module="eventlog_lanes")
    looks = {}
    for name in ("few", "many"):
        per_worker = max(1, sizes[name] // FILLERS)
        each = [{"folder": name, "count": per_worker, "worker": n} for n in range(FILLERS)]
        all_at_once(there, root, "fill", each, FILL_LIMIT_S)
        looks[name] = there.run("look", root, folder=name, lanes=per_worker * FILLERS)
    few, many = looks["few"], looks["many"]
    ratios = {f"{w}_ratio": many[f"{w}_ms"] / few[f"{w}_ms"] for w in ("open", "poll", "list")}
    return {**many, **ratios, "missing": few["missing"] + many["missing"]}


def killed(product: Product, root: Path, sizes: Sizes) -> Numbers:
    """``kill -9`` while logging flat out; what had returned is counted in the store afterwards."""
    product.run("prepare", root)
    counter = root.parent / "returned"
    returned = Returned(str(counter), create=True)
    with _family_of(root):
        process = product.start("flood", root, counter=str(counter), limit_s=START_LIMIT_S)
        try:
            _wait_for(lambda: returned.get() > 0 or process.poll() is not None, START_LIMIT_S)
            _wait_for(lambda: process.poll() is not None, sizes["kill_after_ms"] / 1e3)
            if process.poll() is not None:
                finish(process)
                raise ChildFailed("the writer ended before it was killed")
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        _wait_until_still(root)
    total = returned.get()
    counted = product.run("count", root, runs=["flood"], expected=total)
    lost = counted["lost"]
    return {**counted, "returned": total, "lost_percent": 100 * lost / max(1, total)}


def fresh(product: Product, root: Path, sizes: Sizes) -> Numbers:
    """From the start of an interpreter on an empty folder to its first point's return."""
    before = time.monotonic()  # one clock for all processes of a machine
    numbers = product.run("first", root)
    return {"first_s": numbers["monotonic_s"] - before}


def _wait_for(condition: Callable[[], bool], limit_s: float) -> None:
    until = time.monotonic() + limit_s
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)


def _wait_until_still(root: Path) -> None:
    """Wait for a helper process that outlives its killed parent to finish writing."""
    until = time.monotonic() + SETTLE_LIMIT_S
    size, since = -1, time.monotonic()
    while time.monotonic() < until and time.monotonic() - since < SETTLE_S:
        now = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        if now != size:
            size, since = now, time.monotonic()
        time.sleep(0.05)


@contextmanager
def _family_of(root: Path) -> Iterator[None]:
    """On leaving, kill what was started with ``root`` as its home and is still there."""
    try:
        yield
    finally:
        mark = f"HOME={home_of(root)}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue  # somebody else's, or gone
            if mark in environment.split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
