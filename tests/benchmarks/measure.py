"""Runs workloads: every product in turn, again and again, each time in a folder of its own."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.product import ChildFailed, NotHere, Product
from tests.benchmarks.table import Row
from tests.benchmarks.workload import Workload


class Trouble(NamedTuple):
    """A workload that a product did not finish, or that this machine cannot run, and why."""

    workload: str
    product: str
    why: str

    def __str__(self) -> str:
        return f"{self.workload}, {self.product}: {' / '.join(self.why.splitlines()[-2:])}"


@dataclass
class Report:
    """What was measured, and what could not be."""

    rows: list[Row] = field(default_factory=list)
    failures: list[Trouble] = field(default_factory=list)
    skipped: list[Trouble] = field(default_factory=list)


def measure(
    workloads: Iterable[Workload],
    products: Sequence[Product],
    *,
    scale: float,
    repeat: int,
    folder: Path,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """Run each workload with each product ``repeat`` times, products taking turns (A B A B)."""
    report = Report()
    for workload in workloads:
        rows = [Row(workload.name, measure) for measure in workload.measures]
        taking_part = [p for p in products if p.name in workload.scaled]
        for _ in range(min(repeat, workload.most_repeats)):
            for product in list(taking_part):
                before = time.perf_counter()
                who = (workload.name, product.name)
                try:
                    _one(workload, product, scale, folder, rows)
                except ChildFailed as error:
                    report.failures.append(Trouble(*who, str(error)))
                    taking_part.remove(product)
                except NotHere as error:
                    report.skipped.append(Trouble(*who, str(error)))
                    taking_part.remove(product)
                tell(f"{workload.name}, {product.name}: {time.perf_counter() - before:.1f} s")
        report.rows += [row for row in rows if row.samples]
    return report


def _one(workload: Workload, product: Product, scale: float, folder: Path, rows: list[Row]) -> None:
    """One run of one product, its numbers added to the rows."""
    own = Path(tempfile.mkdtemp(prefix=f"{workload.name}-{product.name}-", dir=folder))
    root = own / "store"
    root.mkdir()
    try:
        numbers = workload.drive(product, root, workload.sizes(product.name, scale))
    finally:
        shutil.rmtree(own, ignore_errors=True)
    for row in rows:
        if row.measure.key in numbers:
            row.samples.setdefault(product.name, []).append(numbers[row.measure.key])


def tell(line: str) -> None:
    """Progress, beside the table on stdout."""
    print(line, file=sys.stderr, flush=True)
