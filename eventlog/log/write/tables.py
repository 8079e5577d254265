"""Arrow tables from spools: facts and points in one order, with seq.

Order: a fact comes after all rows that were taken before it was written. Runs on the shipping
thread and for a process's reads of its own tail, never on the path of a call that logs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    points, holes = _points(spool, since.row, until.row)
    total = len(points.key) + len(events)
    if not len(points.key):
        columns = _facts(events)
    elif not events:
        columns = _alone(spool, points)
    else:
        columns = _merged(spool, events, points, _numbers(spool, since.row, until.row, holes))
    seqs = np.arange(first_seq, first_seq + total, dtype=np.int64)
    columns |= {
        "lane": _dictionary(_array(np.zeros(total, np.int32), pa.int32()), [lane]),
        "seq": _array(seqs, pa.int64()),
    }
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


class _Points(NamedTuple):
    """Rows by column, each of shape (n,); ``time`` in us."""

    time: NDArray[np.int64]
    step: NDArray[np.int64]
    value: NDArray[np.float64]
    stream: NDArray[np.uint32]
    key: NDArray[np.uint32]


def _points(spool: Spool, start: int, end: int) -> tuple[_Points, tuple[int, ...]]:
    """The written ones of the rows ``start:end``, and the numbers of the others.

    One copy turns rows into columns. While the process logs flat out, each step of numpy or Arrow
    costs this thread a wait for the GIL, a hundred times what it computes: hence so few of them.
    """
    spans = [
        (first, np.frombuffer(raw, np.int64).reshape(-1, 4).T)
        for first, raw in spool.points.spans(start, end)
    ]
    columns = np.empty((4, sum(rows.shape[1] for _, rows in spans)), np.int64)
    if spans:
        np.concatenate([rows for _, rows in spans], axis=1, out=columns)
    ids = columns[3].view(np.uint32)
    stream, key = ids[0::2], ids[1::2]
    points = _Points(columns[0] // 1000, columns[1], columns[2].view(np.float64), stream, key)
    if key.all() and not spool.unreadable:
        return points, ()
    numbers = _numbers(spool, start, end)
    written = (key != 0) & ~np.isin(numbers, list(spool.unreadable))
    holes = tuple(numbers[~written].tolist())
    return _Points._make(column[written] for column in points), holes


def _numbers(spool: Spool, start: int, end: int, holes: Sequence[int] = ()) -> NDArray[np.int64]:
    """The numbers of the rows ``start:end``; between two files some may be missing."""
    parts = [
        np.arange(first, first + len(raw) // ROW_DTYPE.itemsize)
        for first, raw in spool.points.spans(start, end)
    ]
    numbers = np.concatenate([np.empty(0, np.int64), *parts])
    return numbers[~np.isin(numbers, holes)] if holes else numbers


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

    def words(number: int) -> pa.DictionaryArray:
        known: dict[str, int] = {}
        codes = _codes([record[number] for record in events], known)
        return _dictionary(pa.array(codes, pa.int32()), list(known))

    return {
        "time": column(1, _TIME),
        "type": words(2),
        "stream": words(3),
        "key": words(4),
        "step": column(5, pa.int64()),
        "value": column(6, pa.float64()),
        "data": column(7, pa.large_string()),
    }


def _merged(
    spool: Spool, events: Sequence[list[Any]], points: _Points, numbers: NDArray[np.int64]
) -> dict[str, pa.Array]:
    """The columns of facts and points, each fact behind the rows that were taken before it."""
    counters = np.maximum.accumulate(np.fromiter((r[8] for r in events), np.int64, len(events)))
    total = len(numbers) + len(events)
    at_facts = np.searchsorted(numbers, counters) + np.arange(len(events))
    at_points = np.delete(np.arange(total), at_facts)

    def placed(of_facts: list[Any], of_points: NDArray[Any]) -> tuple[Any, Any]:
        values, missing = np.zeros(total, of_points.dtype), np.zeros(total, bool)
        values[at_facts] = [0 if v is None else v for v in of_facts]
        missing[at_facts] = [v is None for v in of_facts]
        values[at_points] = of_points
        return values, missing

    def plain(column: int, of_points: NDArray[Any]) -> tuple[Any, Any]:
        return placed([record[column] for record in events], of_points)

    def words(column: int, of_points: Coded) -> pa.Array:
        """A dictionary column from the facts' strings and the points' codes."""
        known = {word: code for code, word in enumerate(of_points[1])}
        of_facts = _codes([record[column] for record in events], known)
        codes, missing = placed(of_facts, of_points[0])
        return _dictionary(_array(codes, pa.int32(), missing), list(known))

    times, _ = plain(1, points.time)
    steps, no_step = plain(5, points.step)
    values, no_value = plain(6, points.value)
    data: list[str | None] = [None] * total
    for at, record in zip(at_facts.tolist(), events, strict=True):
        data[at] = record[7]
    type_, stream, key = _words(spool, points)
    return {
        "time": _array(times, _TIME),
        "type": words(2, type_),
        "stream": words(3, stream),
        "key": words(4, key),
        "step": _array(steps, pa.int64(), no_step),
        "value": _array(values, pa.float64(), no_value),
        "data": pa.array(data, pa.large_string()),
    }


def _alone(spool: Spool, points: _Points) -> dict[str, pa.Array]:
    """The columns of points with no facts among them: most of what a training writes."""
    type_, stream, key = (
        _dictionary(_array(codes, pa.int32()), words) for codes, words in _words(spool, points)
    )
    return {
        "time": _array(points.time, _TIME),
        "type": type_,
        "stream": stream,
        "key": key,
        "step": _array(points.step, pa.int64()),
        "value": _array(points.value, pa.float64()),
        "data": pa.nulls(len(points.key), pa.large_string()),
    }


Coded = tuple["NDArray[np.int32]", list[str]]


def _words(spool: Spool, points: _Points) -> tuple[Coded, Coded, Coded]:
    """(codes, dictionary) of the points' types, streams and keys."""
    return (
        (np.zeros(len(points.key), np.int32), [POINT_TYPE]),
        _coded(points.stream, spool.names.texts(ff.STREAM)),
        _coded(points.key, spool.names.texts(ff.KEY)),
    )


def _coded(numbers: NDArray[np.uint32], texts: Mapping[int, str]) -> Coded:
    first = int(numbers[0])
    if (numbers == first).all():
        return np.zeros(len(numbers), np.int32), [texts[first]]
    used = np.flatnonzero(np.bincount(numbers))
    code_of = np.zeros(used[-1] + 1, np.int32)
    code_of[used] = np.arange(len(used))
    return code_of[numbers], [texts[number] for number in used.tolist()]


def _codes(words: list[str | None], known: dict[str, int]) -> list[int | None]:
    """The code of each word; new words are added to ``known``.

    Arrow could do that, but loads its compute functions first, and most processes are short.
    """
    return [None if word is None else known.setdefault(word, len(known)) for word in words]


def _array(
    values: NDArray[Any], kind: pa.DataType, missing: NDArray[np.bool_] | None = None
) -> pa.Array:
    """The very memory of ``values`` as Arrow; `pyarrow.array` would load `numpy.ma` for it."""
    validity = None
    if missing is not None and missing.any():
        validity = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(values)])


def _dictionary(codes: pa.Array, words: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(codes, pa.array(words, pa.string()))
