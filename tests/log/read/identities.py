"""Which events a reader sees, by lane and seq."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from eventlog.log.manifest import Position
from eventlog.log.read.reader import Snapshot

Identity = tuple[str, int]


def identities(tables: Iterable[pa.Table]) -> list[Identity]:
    """(lane, seq) of every event, sorted; a repeated one shows twice."""
    rows = (row for table in tables for row in table.to_pylist())
    return sorted((row["lane"], row["seq"]) for row in rows)


def seen(snapshot: Snapshot, *args: Position | None, **filters: object) -> list[Identity]:
    """The identities of what ``snapshot.tables`` gives for these arguments."""
    return identities(snapshot.tables(*args, **filters))  # type: ignore[arg-type]


def span(lane: str, start: int, end: int) -> list[Identity]:
    """The identities of one lane from seq ``start`` up to ``end``."""
    return [(lane, seq) for seq in range(start, end)]
