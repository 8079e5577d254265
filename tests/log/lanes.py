"""Small logs for tests, written segment by segment, and what a fresh reader sees in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, overload

import msgspec
import pyarrow as pa

from eventlog.backend import Backend
from eventlog.event import COLUMNS, POINT_TYPE, Event, schema
from eventlog.log import segment
from eventlog.log.create import ensure_log
from eventlog.log.keep.collect import collect
from eventlog.log.keep.compact import compact
from eventlog.log.read.reader import Reader
from tests.log.claim_stores import LossyBackend

B = TypeVar("B", bound=Backend)


@overload
def a_log() -> LossyBackend: ...


@overload
def a_log(backend: B) -> B: ...


def a_log(backend: Backend | None = None) -> Backend:
    """An empty log, in memory if no store is given."""
    backend = LossyBackend() if backend is None else backend
    ensure_log(backend)
    return backend


def an_event_of(lane: str, seq: int, word: str = "") -> Event:
    """Every third is a point; each differs from every other."""
    stream = f"run:{lane[-1]}"
    if seq % 3 == 2:
        return Event(lane, seq, 10**15 + seq, POINT_TYPE, stream, "loss", seq, seq / 7, None)
    data = f'{{"n":{seq},"word":"{word}"}}'
    return Event(lane, seq, 10**15 + seq, "thing.done", stream, None, None, None, data)


def table_of(events: Sequence[Event]) -> pa.Table:
    columns = zip(*events, strict=True)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema(), strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema())


def write(
    backend: Backend,
    lane: str,
    start: int,
    end: int,
    *,
    slot: int = 0,
    final: bool = False,
    word: str = "",
) -> None:
    """One segment with seq ``start`` up to ``end``."""
    events = [an_event_of(lane, seq, word) for seq in range(start, end)]
    newest_us = max((e.time_us for e in events if e.type != POINT_TYPE), default=0)
    header = segment.Header(lane, slot, start, end - start, newest_us, final=final)
    _, raw = segment.encode(header, table_of(events) if events else None)
    backend.put_new(segment.segment_key(lane, slot), raw)


def seal(backend: Backend, lane: str, seq: int, *, slot: int) -> None:
    header = segment.Header(lane, slot, seq, 0, kind="seal")
    backend.put_new(segment.segment_key(lane, slot), segment.encode(header, None)[1])


def retire(backend: Backend) -> None:
    """Compact and collect until closed lanes have left the manifest."""
    for _ in range(2):
        compact(Reader(backend))
        collect(Reader(backend))


def forge(backend: Backend, key: str, **changes: object) -> None:
    """Change a segment's header, digests and all: what only a forger can do."""
    header, table = segment.decode(key, backend.get(key))
    header = msgspec.structs.replace(header, **changes)
    backend.delete([key])
    backend.put_new(key, segment.encode(header, table)[1])


def ended(backend: Backend) -> dict[str, str]:
    """How each lane that a fresh reader sees has ended."""
    return {lane: state.ended for lane, state in Reader(backend).snapshot().lanes.items()}


def contents(backend: Backend) -> list[tuple[object, ...]]:
    """Every event that a fresh reader sees, in the order of lane and seq."""
    rows = [
        tuple(row[name] for name in COLUMNS)
        for table in Reader(backend).snapshot().tables()
        for row in table.to_pylist()
    ]
    return sorted(rows, key=lambda row: (str(row[0]), int(str(row[1]))))
