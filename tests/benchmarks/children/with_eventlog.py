"""eventlog, in a local directory."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import child
from tests.benchmarks.child import Numbers
from tests.benchmarks.children.subject import PARAMS, TAGS, Run, Subject

if TYPE_CHECKING:
    import polars as pl

    from eventlog import Log

RECOVER_LIMIT_S = 60.0


def open_log(url: str) -> Log:
    """The log, imported as late as a script does."""
    import eventlog

    return eventlog.open(url)


def log_run(log: Log, name: str, metrics: Mapping[str, float]) -> None:
    """One run's 25 facts: its start, 10 params, 10 metrics, 3 tags, its end."""
    stream = f"run:{name}"
    log.append("run.created", stream, data={"name": name})
    for key, param in PARAMS.items():
        log.append("param.set", stream, key=key, data=param)
    log.points_many(stream, tuple(metrics))(list(metrics.values()), 0)
    for key, tag in TAGS.items():
        log.append("tag.set", stream, key=key, data=tag)
    log.append("run.finished", stream, data={"status": "FINISHED"})


def _loss(root: str, name: str) -> pl.DataFrame:
    """The steps and values of a run's ``loss``, by a log that is opened for it."""
    import polars as pl

    with open_log(root) as log:
        mine = (pl.col("stream") == f"run:{name}") & (pl.col("key") == "loss")
        return log.events().filter(mine).select("step", "value").collect()


class Eventlog(Subject):
    """One log a process; a run is a stream, a metric a prepared handle."""

    # pyarrow too: else the first shipment's import is most of what the short workloads measure.
    modules = ("eventlog", "eventlog.log.log", "eventlog.log.write.tables", "pyarrow", "polars")

    def start(
        self,
        root: str,
        name: str,
        params: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        log = open_log(root)
        stream = f"run:{name}"
        handles = {}

        def row(values: Mapping[str, float], step: int) -> None:
            keys = tuple(values)
            if keys not in handles:
                handles[keys] = log.points_many(stream, keys)
            handles[keys](list(values.values()), step)

        return Run(scalar=log.points(stream, "loss"), row=row, close=log.close)

    def steps(self, root: str, name: str) -> Sequence[int]:
        steps: list[int] = _loss(root, name)["step"].to_list()
        return steps

    def read(self, root: str, name: str) -> int:
        return len(_loss(root, name))

    def run_read(self, root: str, count: int) -> Numbers:
        """As every product's; then once more, compacted."""
        numbers = super().run_read(root, count)
        with open_log(root) as log:
            log.compact()
        compacted = super().run_read(root, count)
        return {**numbers, "compacted_read_s": compacted["read_s"]}

    def run_facts(self, root: str, count: int) -> Numbers:
        metrics = dict(zip(child.metric_names(10), child.curve(10), strict=True))
        log = open_log(root)
        log_run(log, "warm-up", metrics)
        log.flush()
        before = time.perf_counter()
        for n in range(count):
            log_run(log, f"run-{n}", metrics)
        log.flush()
        flushed_s = time.perf_counter() - before
        log.close()
        closed_s = time.perf_counter() - before
        return {"runs_per_s": count / flushed_s, "closed_runs_per_s": count / closed_s}

    def run_flushes(self, root: str, count: int) -> Numbers:
        """A flush after every run: each is safe against power loss before the next begins."""
        metrics = dict(zip(child.metric_names(10), child.curve(10), strict=True))
        log = open_log(root)
        log_run(log, "warm-up", metrics)
        log.flush()
        before = time.perf_counter()
        for n in range(count):
            log_run(log, f"run-{n}", metrics)
            log.flush()
        took_s = time.perf_counter() - before
        log.close()
        return {"runs_per_s": count / took_s}

    def run_million(self, root: str, count: int) -> Numbers:
        numbers = super().run_million(root, count)
        flushed = open_log(f"{root}-flushed")
        values, handle = child.curve(count), flushed.points("run:million", "loss")
        before = time.perf_counter()
        for step, value in enumerate(values):
            handle(value, step)
        flushed.flush()
        flushed_s = time.perf_counter() - before
        flushed.close()
        series = open_log(f"{root}-series")
        before = time.perf_counter()
        series.series("run:million", "loss", list(range(count)), values)
        series.close()
        series_s = time.perf_counter() - before
        scale = 1e6 / count
        return {**numbers, "flushed_s": flushed_s * scale, "series_s": series_s * scale}

    def run_count(self, root: str, runs: list[str], expected: int) -> Numbers:
        """Counted once what a dead writer left behind is shipped, or the limit is over."""
        until = time.monotonic() + RECOVER_LIMIT_S
        while True:
            numbers = super().run_count(root, runs, expected)
            if not numbers["lost"] or time.monotonic() > until:
                return numbers
            time.sleep(0.2)

    def run_size(self, root: str, runs: int, keys: int, steps: int) -> Numbers:
        """Times as a training has them, a step about every 50 ms: flat out they cost nothing."""
        names, draw = child.metric_names(keys), random.Random(0)
        with open_log(root) as log:
            for n in range(runs):
                handle, at_us = log.points_many(f"run:size-{n}", names), 1_700_000_000_000_000
                for step, values in enumerate(child.curves(keys, steps, seed=n)):
                    at_us += int(draw.gauss(50_000, 2_000))
                    handle(values, step, at_us)
        with open_log(root) as log:
            log.compact()
            log.collect()
        points = runs * keys * steps
        return {
            "bytes_per_point": child.size_bytes(str(Path(root, "data"))) / points,
            "whole_bytes_per_point": child.size_bytes(root) / points,
        }


if __name__ == "__main__":
    Eventlog().main()
