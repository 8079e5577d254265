"""Arrow tables from spools: facts and points in one order, with seq.

Order: a fact comes after all rows that were taken before it was written. Runs on the shipping
thread and for a process's reads of its own tail, never on the path of a call that logs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from eventlog.event import BLOB_MARK, POINT_TYPE, schema
from eventlog.log.blob import parse_mark
from eventlog.log.segment import SpoolMark
from eventlog.log.write import facts as ff
from eventlog.log.write.marks import records
from eventlog.log.write.points import ROW_FIELDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from eventlog.log.write.spool import Spool

ROW_DTYPE = np.dtype(ROW_FIELDS)
_TIME = pa.timestamp("us", "UTC")


class Built(NamedTuple):
    """A part of a spool as events.

    Attributes:
        table: rows in order, in `event.schema`.
        holes: the void rows among the points.
        newest_us: the largest time of a fact in it, or 0.
        blobs: keys of the payloads that its events name.
    """

    table: pa.Table
    holes: tuple[int, ...]
    newest_us: int
    blobs: tuple[str, ...] = ()


def build(spool: Spool, since: SpoolMark, until: SpoolMark, lane: str, first_seq: int) -> Built:
    """Everything between two marks of a spool as events of ``lane`` from ``first_seq`` on."""
    events = list(_events(spool, since, until))
    rows, numbers = _points(spool, since.row, until.row)
    written = rows["key"] != 0
    if spool.unreadable:
        written &= ~np.isin(numbers, list(spool.unreadable))
    holes = tuple(int(n) for n in numbers[~written])
    rows, numbers = rows[written], numbers[written]
    total = len(rows) + len(events)
    columns = _merged(spool, events, rows, numbers) if len(rows) else _facts(events)
    seqs = pa.array(np.arange(first_seq, first_seq + total, dtype=np.int64))
    lanes = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(total, np.int32)), pa.array([lane], pa.string())
    )
    columns |= {"lane": lanes, "seq": seqs}
    return Built(
        pa.table([columns[name] for name in schema().names], schema=schema()),
        holes,
        max((r[1] for r in events if r[2] != POINT_TYPE), default=0),
        tuple(parse_mark(r[7]).key for r in events if r[7] and r[7].startswith(BLOB_MARK)),
    )


def clip(spool: Spool, since: SpoolMark, until: SpoolMark, rows: int) -> tuple[SpoolMark, bool]:
    """``until``, or a mark before it that bounds one segment; and whether it is ``until`` itself.

    At most ``rows`` rows and two files of facts. It falls behind a fact, together with all rows
    that precede it.
    """
    if until.row - since.row <= rows and until.fact_file - since.fact_file <= 1:
        return until, True
    limit_row = min(until.row, since.row + rows)
    reached, row = (since.fact_file, since.fact_byte), since.row
    for file, record, end in records(spool, since, until):
        if file > since.fact_file + 1:
            return SpoolMark(file, 0, row), False
        if record[0] == ff.EVENT:
            if record[8] > limit_row < until.row:
                break
            # After a power cut facts may tell of more rows than there are.
            row = min(until.row, max(row, record[8]))
        reached = (file, end)
    else:  # files without records (of recoveries that died) are passed too
        reached = (until.fact_file, until.fact_byte)
    mark = SpoolMark(*reached, limit_row)
    return mark, mark == until


def _events(spool: Spool, since: SpoolMark, until: SpoolMark) -> Iterator[list[Any]]:
    """The event records between two marks."""
    return (record for _, record, _ in records(spool, since, until) if record[0] == ff.EVENT)


def _points(spool: Spool, start: int, end: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The rows ``start:end`` and their numbers."""
    spans = list(spool.points.spans(start, end))
    if not spans:
        return np.empty(0, ROW_DTYPE), np.empty(0, np.int64)
    rows = np.concatenate([np.frombuffer(raw, ROW_DTYPE) for _, raw in spans])
    sizes = [len(raw) // ROW_DTYPE.itemsize for _, raw in spans]
    numbers = np.concatenate(
        [np.arange(first, first + n) for (first, _), n in zip(spans, sizes, strict=True)]
    )
    return rows, numbers


def unreadable(spool: Spool) -> set[int]:
    """Rows of a writer that is gone whose stream or key nobody knows: their name was damaged."""
    known = [np.fromiter(spool.names.texts(kind), np.uint32) for kind in (ff.STREAM, ff.KEY)]
    found: set[int] = set()
    for first, raw in spool.points.spans(0, spool.points.taken()):
        rows = np.frombuffer(raw, ROW_DTYPE)
        named = np.isin(rows["stream"], known[0]) & np.isin(rows["key"], known[1])
        found.update((np.flatnonzero((rows["key"] != 0) & ~named) + first).tolist())
    return found


def _facts(events: Sequence[list[Any]]) -> dict[str, pa.Array]:
    """The columns of facts with no points among them: a small segment's, where time counts."""

    def column(number: int, kind: pa.DataType) -> pa.Array:
        return pa.array([record[number] for record in events], kind)

    return {
        "time": column(1, _TIME),
        "type": column(2, pa.string()).dictionary_encode(),
        "stream": column(3, pa.string()).dictionary_encode(),
        "key": column(4, pa.string()).dictionary_encode(),
        "step": column(5, pa.int64()),
        "value": column(6, pa.float64()),
        "data": column(7, pa.large_string()),
    }


def _merged(
    spool: Spool, events: Sequence[list[Any]], rows: NDArray[Any], row_numbers: NDArray[np.int64]
) -> dict[str, pa.Array]:
    """The columns of facts and points, each fact behind the rows that were taken before it."""
    counters = np.maximum.accumulate(np.fromiter((r[8] for r in events), np.int64, len(events)))
    total = len(rows) + len(events)
    at_facts = np.searchsorted(row_numbers, counters) + np.arange(len(events))
    at_points = np.delete(np.arange(total), at_facts)

    def numbers(column: int, of_points: NDArray[Any], dtype: str) -> tuple[Any, Any]:
        values, missing = np.zeros(total, dtype), np.zeros(total, bool)
        given = [record[column] for record in events]
        values[at_facts] = [0 if v is None else v for v in given]
        missing[at_facts] = [v is None for v in given]
        values[at_points] = of_points
        return values, missing

    def words(column: int, of_points: NDArray[Any], texts: dict[int, str]) -> pa.Array:
        return _words([r[column] for r in events], of_points, texts, at_facts, at_points, total)

    times, _ = numbers(1, rows["time"], "i8")
    steps, no_step = numbers(5, rows["step"], "i8")
    values, no_value = numbers(6, rows["value"], "f8")
    data = np.full(total, None, object)
    data[at_facts] = [r[7] for r in events] if events else []
    names = spool.names
    point_type = np.ones(len(rows), np.int64)
    return {
        "time": pa.array(times).view(_TIME),
        "type": words(2, point_type, {1: POINT_TYPE}),
        "stream": words(3, rows["stream"], names.texts(ff.STREAM)),
        "key": words(4, rows["key"], names.texts(ff.KEY)),
        "step": pa.array(steps, mask=no_step),
        "value": pa.array(values, mask=no_value, from_pandas=False),
        "data": pa.array(data, pa.large_string()),
    }


def _words(
    given: list[str | None],
    of_points: NDArray[Any],
    texts: dict[int, str],
    at_facts: NDArray[np.int64],
    at_points: NDArray[np.int64],
    total: int,
) -> pa.DictionaryArray:
    """A dictionary column from the facts' strings and the points' numbers."""
    words: dict[str, int] = {}
    codes, missing = np.zeros(total, np.int32), np.zeros(total, bool)
    codes[at_facts] = [0 if w is None else words.setdefault(w, len(words)) for w in given]
    missing[at_facts] = [w is None for w in given]
    used = np.flatnonzero(np.bincount(of_points, minlength=1))
    code_of = np.zeros(used[-1] + 1 if len(used) else 0, np.int32)
    for number in used:
        code_of[number] = words.setdefault(texts[int(number)], len(words))
    codes[at_points] = code_of[of_points]
    return pa.DictionaryArray.from_arrays(
        pa.array(codes, mask=missing), pa.array(list(words), pa.string())
    )
