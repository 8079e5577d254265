"""The results as a Markdown table, and the machine they were measured on."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.workload import Measure

OURS = "eventlog"


@dataclass
class Row:
    """One measure of one workload: each product's samples, in the order they were taken."""

    workload: str
    measure: Measure
    samples: dict[str, list[float]] = field(default_factory=dict)

    def median(self, product: str) -> float | None:
        """The median of a product's samples; None where it has none."""
        samples = self.samples.get(product)
        return statistics.median(samples) if samples else None

    def best_peer(self) -> tuple[str, float] | None:
        """The peer with the best median, and that median."""
        medians = {p: m for p in self.samples if p != OURS and (m := self.median(p)) is not None}
        if not medians:
            return None
        pick = min if self.measure.better == "lower" else max
        name = pick(medians, key=medians.__getitem__)
        return name, medians[name]

    def ratio(self) -> float | None:
        """How many times better than the best peer; None without one or with a zero."""
        ours, best = self.median(OURS), self.best_peer()
        if ours is None or best is None or not ours or not best[1]:
            return None
        return best[1] / ours if self.measure.better == "lower" else ours / best[1]

    def reached(self) -> bool | None:
        """Whether our median is as good as it should be; None where nothing is asked."""
        ours, reach = self.median(OURS), self.measure.reach
        if ours is None or reach is None:
            return None
        return ours <= reach if self.measure.better == "lower" else ours >= reach


def as_number(number: float | None) -> str:
    """Three significant digits, thousands separated."""
    if number is None:
        return "–"
    if number == int(number) or abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def markdown(rows: Sequence[Row], peers: Sequence[str], *, judged: bool = True) -> str:
    """The table: one line a measure, one column a product.

    ``judged`` marks each figure as reached or not; one of a scaled-down run says neither.
    """
    head = ["workload", "unit", "reach", OURS, "", "× best peer", *peers]
    marks = {True: "✓", False: "✗", None: ""}
    lines = [head, ["---"] * len(head)]
    for row in rows:
        sign = {"lower": "≤ ", "higher": "≥ "}[row.measure.better]
        reach = row.measure.reach
        ratio = row.ratio()
        lines.append(
            [
                row.measure.title,
                row.measure.unit,
                "–" if reach is None else sign + as_number(reach),
                as_number(row.median(OURS)),
                marks[row.reached() if judged else None],
                "–" if ratio is None else f"{ratio:.3g}",
                *(as_number(row.median(peer)) for peer in peers),
            ]
        )
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def machine() -> dict[str, str]:
    """Processor, cores, memory, kernel, file system and Python: what the numbers depend on."""
    return {
        "processor": _first("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _first(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(name))
    return next(found, "")


def file_system(root: Path) -> str:
    """The type of the file system that ``root`` lies on."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    above = {str(parent) for parent in (root.resolve(), *root.resolve().parents)}
    return max((m for m in mounts if m[1] in above), key=lambda m: len(m[1]))[2]


def load() -> str:
    """The load average of the last 1, 5 and 15 minutes."""
    return " ".join(f"{number:.2f}" for number in os.getloadavg())


def described(facts: Mapping[str, str]) -> str:
    """Names and values as one line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value)
