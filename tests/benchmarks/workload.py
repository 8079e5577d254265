"""What ``write`` measures: the rows of the table, their sizes, and what each should reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.benchmarks.drive import (
    Drive,
    Sizes,
    fresh,
    killed,
    lanes,
    once,
    together,
    write_then_read,
)
from tests.benchmarks.drive_s3 import commits, requests

SMALLEST = 4  # of a size that is scaled down


@dataclass(frozen=True)
class Measure:
    """One line of the table: a number that a workload yields.

    Attributes:
        key: its name among the workload's numbers.
        better: ``lower`` or ``higher``.
        reach: the figure to reach; None where there is none.
    """

    key: str
    title: str
    unit: str
    better: str = "lower"
    reach: float | None = None


@dataclass(frozen=True)
class Workload:
    """Something done with each product.

    Attributes:
        fixed: sizes that make the workload what it is.
        scaled: for each product, the sizes that ``--quick`` shrinks. A product that is not named
            does not run it. Peers that take milliseconds a call get fewer.
        small: what a scaled-down run takes instead, where a share would not do.
        most_repeats: for a workload that takes long and varies little.
    """

    name: str
    drive: Drive
    measures: tuple[Measure, ...]
    scaled: Mapping[str, Sizes]
    fixed: Sizes = field(default_factory=dict)
    small: Sizes = field(default_factory=dict)
    most_repeats: int = 99

    def sizes(self, product: str, scale: float) -> Sizes:
        """The sizes for a product, shrunk by ``scale``."""
        scaled = self.scaled[product].items()
        sizes = {k: max(SMALLEST, round(v * scale)) for k, v in scaled}
        return {**self.fixed, **sizes, **(self.small if scale < 1 else {})}


def _counts(
    eventlog: int, trackio: int, tensorboardx: int, wandb: int, mlflow: int
) -> dict[str, Sizes]:
    names = ("eventlog", "trackio", "tensorboardX", "wandb", "mlflow")
    counts = (eventlog, trackio, tensorboardx, wandb, mlflow)
    return {name: {"count": count} for name, count in zip(names, counts, strict=True)}


def _only(**sizes: int) -> dict[str, Sizes]:
    return {"eventlog": sizes}


def _everybody(**sizes: int) -> dict[str, Sizes]:
    names = ("eventlog", "trackio", "tensorboardX", "wandb", "mlflow")
    return dict.fromkeys(names, sizes)


WRITE = (
    Workload(
        "scalar",
        once("scalar"),
        (
            Measure("median_us", "one scalar a call, median", "µs", reach=1.0),
            Measure("p99_us", "one scalar a call, p99", "µs", reach=5.0),
        ),
        _counts(200_000, 20_000, 20_000, 10_000, 500),
    ),
    Workload(
        "dicts",
        once("dicts"),
        (
            Measure("points_per_s", "1,000 dicts of 100, until closed", "/s", "higher", 900e3),
            Measure("dict_us", "a dict of 100, median of the call", "µs", reach=15.0),
        ),
        _counts(1_000, 1_000, 1_000, 1_000, 50),
        {"width": 100},
    ),
    Workload(
        "facts",
        once("facts"),
        (
            Measure("runs_per_s", "1,000 runs of 25 facts, one flush", "/s", "higher", 5_000),
            Measure("closed_runs_per_s", "… until closed", "/s", "higher"),
        ),
        _counts(1_000, 100, 300, 20, 50),
    ),
    Workload(
        "flushes",
        once("flushes"),
        (Measure("runs_per_s", "runs of 25 facts, a flush each", "/s", "higher", 100),),
        _only(count=200),
    ),
    Workload(
        "million",
        write_then_read,
        (
            Measure("write_s", "1 M points of one metric, until closed", "s per M", reach=0.6),
            Measure("flushed_s", "… until flush() returned", "s per M"),
            Measure("series_s", "… as one array, until closed", "s per M"),
            Measure("read_s", "… read back", "s per M", reach=0.05),
            Measure("first_read_s", "… the first time in a process", "s per M"),
            Measure("compacted_read_s", "… once compacted", "s per M"),
            Measure("missing", "… missing", "points", reach=0),
        ),
        _counts(1_000_000, 50_000, 50_000, 20_000, 2_000),
    ),
    Workload(
        "processes",
        together,
        (
            Measure("points_per_s", "8 processes, until all closed", "/s", "higher", 200e3),
            Measure("lost", "… lost", "points", reach=0),
            Measure("doubled", "… seen twice", "points", reach=0),
        ),
        _counts(100_000, 5_000, 5_000, 2_000, 50),
        {"workers": 8},
    ),
    Workload(
        "killed",
        killed,
        (
            Measure("lost", "kill -9 flat out, lost of what returned", "points", reach=0),
            Measure("lost_percent", "… share", "%", reach=0),
            Measure("doubled", "… seen twice", "points", reach=0),
            Measure("returned", "… had returned", "points", "higher"),
        ),
        _everybody(),
        {"kill_after_ms": 2_000},
    ),
    Workload(
        "size",
        once("size"),
        (
            Measure("bytes_per_point", "stored, compacted", "bytes a point", reach=9.0),
            Measure("whole_bytes_per_point", "… with all else in the folder", "bytes a point"),
        ),
        {
            "eventlog": {"runs": 10, "steps": 10_000},
            "trackio": {"runs": 5, "steps": 1_000},
            "tensorboardX": {"runs": 5, "steps": 1_000},
            "wandb": {"runs": 5, "steps": 1_000},
            "mlflow": {"runs": 5, "steps": 100},
        },
        {"keys": 10},
    ),
    Workload(
        "fresh",
        fresh,
        (Measure("first_s", "fresh folder to first logged point", "s", reach=0.2),),
        _everybody(),
    ),
    Workload(
        "lanes",
        lanes,
        (
            Measure("open_ratio", "10,000 closed lanes to 10, compacted: open", "×", reach=1.5),
            Measure("poll_ratio", "… poll", "×", reach=1.5),
            Measure("list_ratio", "… list", "×", reach=1.5),
            Measure("open_ms", "… open, with 10,000", "ms"),
            Measure("poll_ms", "… poll, with 10,000", "ms"),
            Measure("missing", "… missing", "events", reach=0),
        ),
        _only(many=10_000),
        {"few": 10},
        {"many": 40},
        most_repeats=1,
    ),
    Workload(
        "s3_commits",
        commits,
        (
            Measure("commits_per_s", "S3, 8 writers, 50 events a commit", "/s", "higher", 150),
            Measure("lost", "… lost", "events", reach=0),
            Measure("doubled", "… seen twice", "events", reach=0),
        ),
        _only(count=100),
        {"workers": 8, "events": 50},
        {"workers": 2},
    ),
    Workload(
        "s3_requests",
        requests,
        (
            Measure("active_per_h", "S3 requests, a writer and a reader", "/h", reach=3_000),
            Measure("idle_per_h", "… when nothing is written", "/h", reach=400),
            Measure("lost", "… events the reader did not see", "events", reach=0),
        ),
        # Seconds of the log's own clock, which runs `speed` times as fast.
        _only(),
        {"settle_s": 120, "window_s": 300, "speed": 5},
        {"speed": 60},
        most_repeats=1,
    ),
)

FLOORS = Workload(
    "floors",
    once("floors"),
    (
        Measure("append_us", "list.append of a tuple", "µs"),
        Measure("pack_us", "struct.pack_into, 32 bytes into a map", "µs"),
        Measure("write_us", "os.write of 32 bytes", "µs"),
        Measure("fdatasync_ms", "os.write of 4 KiB + fdatasync", "ms"),
        Measure("interpreter_s", "python -c pass", "s"),
    ),
    {"floor": {"count": 100_000}},
)
