"""What a writer knows to have returned, kept where its death does not reach, and the comparison.

Every thread of a writer makes the calls 0, 1, 2 … of a fixed programme, so that the number of calls
that returned says exactly which events must be in the log. The numbers are kept in a shared mapping
of a file outside the log: a store into it survives ``kill -9`` as soon as it is made.
"""

from __future__ import annotations

import json
import mmap
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from eventlog.event import POINT_TYPE

if TYPE_CHECKING:
    import polars as pl

THREADS = 3
STREAMS = "soak:"  # how the streams of the writers' calls begin
MANY_KEYS = tuple(f"m{n}" for n in range(5))
FACT_TYPE, BIG_TYPE = "soak.fact", "soak.big"
BIG_BYTES = 80_000


def kind_of(n: int) -> str:
    """What the n-th call of a thread is: "point", "many", "fact" or "big"."""
    if n % 1024 == 12:
        return "big"
    if n % 16 == 5:
        return "fact"
    return "many" if n % 8 == 3 else "point"


def stream_of(writer: str, thread: int) -> str:
    """The stream that one thread of one writer logs to, and nobody else."""
    return f"{STREAMS}{writer}:{thread}"


class Truth:
    """One writer's file of counts: calls returned, and calls that a returned flush covers.

    Args:
        path: on a disk that the test does not harm.
        fresh: make it; otherwise read what a writer left.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        size = THREADS * 2 * 8
        fd = os.open(path, os.O_RDWR | (os.O_CREAT | os.O_EXCL if fresh else 0), 0o600)
        try:
            if fresh:
                os.ftruncate(fd, size)
            # Each number is one aligned store: `struct.pack_into` clears its bytes first, and of
            # who is killed in between it would say that no call ever returned.
            self._counts = memoryview(mmap.mmap(fd, size)).cast("q")
        finally:
            os.close(fd)

    def returned(self, thread: int, calls: int) -> None:
        """So many calls of the thread have returned."""
        self._counts[thread * 2] = calls

    def flushed(self, thread: int, calls: int) -> None:
        """So many calls had returned before a flush began that has returned."""
        self._counts[thread * 2 + 1] = calls

    def counts(self, thread: int) -> tuple[int, int]:
        """(returned, flushed) of a thread."""
        return self._counts[thread * 2], self._counts[thread * 2 + 1]

    def total(self) -> int:
        """Calls of all threads."""
        return sum(self.counts(thread)[0] for thread in range(THREADS))


@dataclass
class Found:
    """What the comparison of the log with the writers' truth showed.

    Attributes:
        dropped: points that the log itself says it could not take (``lane.dropped``). That many may
            be missing, exactly; facts never.
        missing: points that are missing, with what `lost` says of them.
    """

    events: int = 0
    calls: int = 0
    dropped: int = 0
    missing: int = 0
    lost: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def compare(events: pl.DataFrame, truth: Path, *, powered_off: bool = False) -> Found:
    """Compare the soak's events with all truths in a directory.

    Args:
        events: with the columns of `eventlog.event.schema`; others than the soak's are ignored.
        powered_off: only what was flushed must be there.
    """
    import polars as pl

    found = Found()
    ours = events.filter(pl.col("stream").cast(pl.String).str.starts_with(STREAMS))
    found.events = len(ours)
    _identities(events, found)
    _contents(ours, found)
    notes = events.filter(pl.col("type").cast(pl.String) == "lane.dropped")["data"]
    found.dropped = sum(json.loads(note)["points"] for note in notes)
    by_stream = {
        str(name): part
        for (name,), part in ours.sort(_order()).group_by("stream", maintain_order=True)
    }
    for path in sorted(truth.glob("*.truth")):
        kept = Truth(path)
        for thread in range(THREADS):
            stream = stream_of(path.stem, thread)
            returned, flushed = kept.counts(thread)
            found.calls += returned
            due = flushed if powered_off else returned
            part = by_stream.pop(stream, ours.clear())
            found.problems += [f"{stream}: {p}" for p in _judge(part, returned)]
            _look_for_lost(stream, part, due, found)
    found.problems += [f"{stream}: nobody's truth knows it" for stream in by_stream]
    if found.missing != found.dropped:
        found.problems += [*found.lost, f"{found.missing} missing, {found.dropped} named"]
    return found


def _order() -> list[pl.Expr]:
    """The order of a writer's events: a fenced lane goes on under its next name (``~1``)."""
    import polars as pl

    lane = pl.col("lane").cast(pl.String).str.splitn("~", 2).struct
    number = lane.field("field_1").cast(pl.Int64).fill_null(0)
    return [lane.field("field_0"), number, pl.col("seq")]


def _identities(events: pl.DataFrame, found: Found) -> None:
    """(lane, seq) once each, and dense in each lane."""
    import polars as pl

    lanes = events.group_by("lane").agg(
        pl.col("seq").len().alias("n"),
        pl.col("seq").n_unique().alias("distinct"),
        pl.col("seq").min().alias("first"),
        pl.col("seq").max().alias("last"),
    )
    wrong = lanes.filter(
        (pl.col("n") != pl.col("distinct"))
        | (pl.col("first") != 0)
        | (pl.col("last") != pl.col("n") - 1)
    )
    found.problems += [f"lane {row} is not dense" for row in wrong.iter_rows()]


def _contents(ours: pl.DataFrame, found: Found) -> None:
    """Each event says what was written: nothing is mangled."""
    import polars as pl

    step = pl.col("step").cast(pl.Float64)
    kind = pl.col("type").cast(pl.String)
    size = pl.col("data").str.len_bytes().fill_null(0)
    number = pl.col("step").cast(pl.String)
    fact = pl.concat_str(pl.lit('{"n":'), number, pl.lit("}"))
    big = pl.concat_str(pl.lit("["), number, pl.lit(',"x'))
    right = (
        pl.when(kind == POINT_TYPE).then(size == 0)
        .when(kind == FACT_TYPE).then(pl.col("data") == fact)
        .otherwise((kind == BIG_TYPE) & (size > BIG_BYTES) & pl.col("data").str.starts_with(big))
    )  # fmt: skip
    wrong = ours.filter(~(right & (pl.col("value") == step)).fill_null(False))
    found.problems += [f"mangled: {str(row)[:300]}" for row in wrong.head(5).iter_rows()]


def _judge(part: pl.DataFrame, returned: int) -> list[str]:
    """What is wrong with one thread's events, which come in their lane's order."""
    import polars as pl

    problems = []
    lanes = part["lane"].cast(pl.String).str.split("~").list.first().n_unique()
    if lanes > 1:
        problems.append(f"its events lie in {lanes} lanes")
    if not part["step"].is_sorted():
        problems.append("its events are out of order")
    there = part.group_by("step").agg(pl.len().alias("n"), pl.col("key").n_unique().alias("keys"))
    doubled = there.filter(pl.col("n") != pl.col("keys"))
    if len(doubled):
        problems.append(f"{len(doubled)} calls are there twice: {_some(doubled)}")
    # One call may have been on its way when the process died.
    beyond = there.filter(pl.col("step") > returned)
    if len(beyond):
        problems.append(f"{len(beyond)} calls that nobody made: {_some(beyond)}")
    return problems


def _look_for_lost(stream: str, part: pl.DataFrame, due: int, found: Found) -> None:
    """Which of a thread's first ``due`` calls are not there, or not whole."""
    import polars as pl

    want = pl.DataFrame({"step": pl.Series(range(due), dtype=pl.Int64)}).with_columns(
        pl.when(_is_many()).then(len(MANY_KEYS)).otherwise(1).alias("want")
    )
    there = part.group_by("step").agg(pl.col("key").n_unique().alias("keys"))
    lost = (
        want.join(there, on="step", how="left")
        .with_columns(missing=pl.col("want") - pl.col("keys").cast(pl.Int64).fill_null(0))
        .filter(pl.col("missing") > 0)
    )
    facts = lost.filter(pl.col("step").map_elements(_is_fact, pl.Boolean))
    if len(facts):
        found.problems.append(f"{stream}: {len(facts)} facts are lost: {_some(facts)}")
    if len(lost):
        found.lost.append(f"{stream}: {len(lost)} of {due} calls are lost: {_some(lost)}")
    found.missing += int(lost["missing"].sum()) - len(facts)


def _is_fact(n: int) -> bool:
    return kind_of(n) in ("fact", "big")


def _is_many() -> pl.Expr:
    import polars as pl

    step = pl.col("step")
    return (step % 1024 != 12) & (step % 16 != 5) & (step % 8 == 3)


def _some(rows: pl.DataFrame) -> str:
    steps = sorted(rows["step"].to_list())
    return f"{steps[:5]} … {steps[-5:]}" if len(steps) > 10 else str(steps)
