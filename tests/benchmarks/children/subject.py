"""The workloads as every product runs them: one adapter each, the same loops for all."""

from __future__ import annotations

import abc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from tests.benchmarks import child
from tests.benchmarks.child import Numbers

PARAMS: Mapping[str, float] = {f"param_{n}": n * 0.1 for n in range(10)}
READS = 6  # the first of a process, and those whose median counts
TAGS: Mapping[str, str] = {f"tag_{n}": "value" for n in range(3)}


@dataclass(frozen=True)
class Run:
    """One run of a product: how to log a scalar ``(value, step)``, a dict, and the end."""

    scalar: Callable[[float, int], object]
    row: Callable[[Mapping[str, float], int], object]
    close: Callable[[], object]


class Subject(abc.ABC):
    """One product, used as its own documentation says.

    Attributes:
        modules: what it imports; loaded before any clock starts, save for the first point's.
    """

    modules: tuple[str, ...]

    @abc.abstractmethod
    def start(
        self,
        root: str,
        name: str,
        params: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        """Begin a run that stores below ``root``."""

    @abc.abstractmethod
    def steps(self, root: str, name: str) -> Sequence[int]:
        """The steps of the metric ``loss`` of a run, as they were stored."""

    def read(self, root: str, name: str) -> int:
        """Read a run's ``loss`` back, in the product's own form; how many points there were."""
        return len(self.steps(root, name))

    def prepare(self, root: str) -> None:
        """What processes that start together would race for."""

    def stored_bytes(self, root: str) -> int:
        """What the product's data takes below ``root``."""
        return child.size_bytes(root)

    def main(self) -> None:
        """Run the workload that the command line names."""
        if sys.argv[1] != "first":
            for module in self.modules:
                import_module(module)
        runs = [name for name in dir(self) if name.startswith("run_")]
        child.main({name.removeprefix("run_"): getattr(self, name) for name in runs})

    def run_prepare(self, root: str) -> Numbers:
        self.prepare(root)
        return {}

    def run_scalar(self, root: str, count: int) -> Numbers:
        run = self.start(root, "scalar")
        numbers = child.per_call(run.scalar, count)
        run.close()
        return numbers

    def run_dicts(self, root: str, count: int, width: int) -> Numbers:
        rows = child.dict_rows(count, width)
        run = self.start(root, "dicts")
        clock, took_ns = time.perf_counter_ns, [0] * count
        before = clock()
        for step, row in enumerate(rows):
            start = clock()
            run.row(row, step)
            took_ns[step] = clock() - start
        run.close()
        took_s = (clock() - before) / 1e9
        return {
            "points_per_s": count * width / took_s,
            "dict_us": child.quantile(took_ns, 0.5) / 1e3,
        }

    def run_facts(self, root: str, count: int) -> Numbers:
        metrics = dict(zip(child.metric_names(10), child.curve(10), strict=True))
        self.start(root, "warm-up").close()
        before = time.perf_counter()
        for n in range(count):
            run = self.start(root, f"run-{n}", PARAMS, TAGS)
            run.row(metrics, 0)
            run.close()
        runs_per_s = count / (time.perf_counter() - before)
        return {"runs_per_s": runs_per_s, "closed_runs_per_s": runs_per_s}

    def run_million(self, root: str, count: int) -> Numbers:
        values = child.curve(count)
        run = self.start(root, "million")
        before = time.perf_counter()
        for step, value in enumerate(values):
            run.scalar(value, step)
        run.close()
        return {"write_s": (time.perf_counter() - before) * 1e6 / count}

    def run_read(self, root: str, count: int) -> Numbers:
        took, rows = [], 0
        for _ in range(READS):
            before = time.perf_counter()
            rows = self.read(root, "million")
            took.append((time.perf_counter() - before) * 1e6 / count)
        return {
            "first_read_s": took[0],
            "read_s": child.quantile(took[1:], 0.5),
            "missing": count - rows,
        }

    def run_part(self, root: str, count: int, worker: int) -> Numbers:
        run = self.start(root, f"part-{worker}")
        child.wait_for_go()
        for step in range(count):
            run.scalar(step * 0.5, step)
        run.close()
        return {"done_s": time.monotonic()}

    def run_flood(self, root: str, counter: str, limit_s: float) -> Numbers:
        return child.flood(self.start(root, "flood").scalar, counter, limit_s)

    def run_count(self, root: str, runs: list[str], expected: int) -> Numbers:
        each = [child.steps_found(self.steps(root, run), expected) for run in runs]
        return {key: sum(found[key] for found in each) for key in each[0]}

    def run_size(self, root: str, runs: int, keys: int, steps: int) -> Numbers:
        names = child.metric_names(keys)
        for n in range(runs):
            run = self.start(root, f"size-{n}")
            for step, values in enumerate(child.curves(keys, steps, seed=n)):
                run.row(dict(zip(names, values, strict=True)), step)
            run.close()
        return {"bytes_per_point": self.stored_bytes(root) / (runs * keys * steps)}

    def run_first(self, root: str) -> Numbers:
        self.start(root, "first").scalar(1.0, 0)
        return {"monotonic_s": time.monotonic()}
