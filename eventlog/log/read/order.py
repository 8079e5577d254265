"""The order of rows in data files, and merging sorted files without holding them whole.

Facts lie by (stream, lane, seq), points by (stream, key, step), equal ones by (lane, seq). Strings
compare by their bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from eventlog.event import POINT_TYPE

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

Kind = Literal["facts", "points"]
ORDER: dict[Kind, tuple[str, ...]] = {
    "facts": ("stream", "lane", "seq"),
    "points": ("stream", "key", "step", "lane", "seq"),
}
KINDS: tuple[Kind, ...] = ("facts", "points")


def split_kinds(table: pa.Table) -> dict[Kind, pa.Table]:
    """The table's facts and its points, each in the order they had.

    A point is an event of `POINT_TYPE` with a key, a step and a value, and nothing else.
    """
    import pyarrow.compute as pc

    mask = pc.equal(table["type"].cast("string"), POINT_TYPE)
    for column in ("key", "step", "value"):
        mask = pc.and_(mask, pc.is_valid(table[column]))
    mask = pc.and_(mask, pc.is_null(table["data"]))
    return {"facts": table.filter(pc.invert(mask)), "points": table.filter(mask)}


def sort(table: pa.Table, kind: Kind) -> pa.Table:
    """The table in the order of its kind."""
    return table.take(_sorted_rows(table, kind))


def _sorted_rows(table: pa.Table, kind: Kind) -> NDArray[np.int64]:
    import numpy as np

    columns = [_ranks(table[name]) for name in reversed(ORDER[kind])]
    return np.lexsort(columns).astype(np.int64, copy=False)


def _ranks(column: pa.ChunkedArray) -> NDArray[Any]:
    """Integers that compare as the column's values do."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        plain: NDArray[Any] = column.to_numpy()
        return plain
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], column.type)
    ranks = np.empty(len(whole.dictionary), np.int32)
    ranks[pc.sort_indices(whole.dictionary).to_numpy()] = np.arange(len(ranks), dtype=np.int32)
    of_rows: NDArray[Any] = ranks[whole.indices.to_numpy(zero_copy_only=False)]
    return of_rows


class SortedFile:
    """One input of `merge`: row groups that are read one after the other.

    Args:
        rows: the number of rows of each group.
        read: reads the groups of these numbers as one table.
    """

    def __init__(self, rows: Sequence[int], read: Callable[[Sequence[int]], pa.Table]) -> None:
        self._rows, self._read = list(rows), read
        self._next = 0

    @property
    def ended(self) -> bool:
        """Whether all of it was read."""
        return self._next == len(self._rows)

    def take(self, rows: int) -> pa.Table:
        """The next groups, at least one, of at most ``rows`` together if there are several."""
        first, count = self._next, 0
        while not self.ended and (self._next == first or count + self._rows[self._next] <= rows):
            count += self._rows[self._next]
            self._next += 1
        return self._read(range(first, self._next))


def merge(files: Sequence[SortedFile], kind: Kind, buffer_rows: int) -> Iterator[pa.Table]:
    """The rows of sorted files in order, piece by piece.

    Holds about ``buffer_rows`` rows, and at least a row group of each file.
    """
    import numpy as np
    import pyarrow as pa

    share = max(1, buffer_rows // max(1, len(files)))
    held: pa.Table | None = None  # sorted; what may yet be preceded by rows that were not read
    of_file = np.empty(0, np.int32)
    while True:
        left = np.bincount(of_file, minlength=len(files))
        parts, origins = ([] if held is None else [held]), [of_file]
        for number, file in enumerate(files):
            if not file.ended and left[number] < (share + 1) // 2:
                parts.append(file.take(share))
                origins.append(np.full(len(parts[-1]), number, np.int32))
        if not parts:
            return
        rows = _sorted_rows(table := pa.concat_tables(parts).unify_dictionaries(), kind)
        table, of_file = table.take(rows), np.concatenate(origins)[rows]
        safe = _safe(of_file, [n for n, file in enumerate(files) if not file.ended])
        if safe:
            yield table.slice(0, safe)
        held, of_file = table.slice(safe), of_file[safe:]
        if not len(held) and all(file.ended for file in files):
            return


def _safe(of_file: NDArray[np.int32], going_on: Iterable[int]) -> int:
    """How many of the first rows no unread row can precede.

    A file's unread rows come after its last row here; so the first such last row is the limit.
    """
    import numpy as np

    last = [int(np.flatnonzero(of_file == n)[-1]) for n in going_on]
    return min(last) + 1 if last else len(of_file)


def in_pieces(tables: Iterable[pa.Table], rows: int, size_bytes: int) -> Iterator[pa.Table]:
    """The same rows in pieces of about ``rows`` rows or ``size_bytes`` bytes in memory."""
    import pyarrow as pa

    held: list[pa.Table] = []
    held_rows = held_bytes = 0
    for table in tables:
        at = 0
        while at < len(table):
            held.append(table.slice(at, max(1, rows - held_rows)))
            at += len(held[-1])
            held_rows += len(held[-1])
            held_bytes += held[-1].nbytes
            if held_rows >= rows or held_bytes >= size_bytes:
                yield pa.concat_tables(held)
                held, held_rows, held_bytes = [], 0, 0
    if held:
        yield pa.concat_tables(held)
