"""Which rows of a table are wanted, as Arrow masks: by position, by words, by identity."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from eventlog.log.manifest import Position

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

UNNUMBERED = 2**31 - 1  # the lane_number of a lane that no manifest names: below no `lanes_seen`


def below(position: Position, table: pa.Table) -> pa.Array:
    """Which rows are below ``position``.

    Args:
        table: with ``lane``, ``seq`` and ``lane_number`` (null or `UNNUMBERED` for a lane that no
            manifest names).
    """
    import numpy as np
    import pyarrow as pa

    lanes = words_of(table, "lane")
    ends = np.array([position.lanes.get(name, -1) for name in lanes.dictionary], np.int64)
    numbers = table["lane_number"].combine_chunks().fill_null(UNNUMBERED).to_numpy()
    of_row = ends[lanes.codes]
    listed = table["seq"].to_numpy() < of_row
    return pa.array(np.where(of_row >= 0, listed, numbers < position.lanes_seen))


class Words:
    """A dictionary column as one list of words and a code for each row, -1 for null."""

    def __init__(self, dictionary: list[str], codes: NDArray[np.int32]) -> None:
        self.dictionary, self.codes = dictionary, codes


def words_of(table: pa.Table, name: str) -> Words:
    """The column ``name``, whatever its chunks."""
    import numpy as np
    import pyarrow as pa

    column = table[name].unify_dictionaries()
    if not column.num_chunks:
        return Words([], np.empty(0, np.int32))
    codes = pa.chunked_array([chunk.indices for chunk in column.chunks]).fill_null(-1)
    return Words(column.chunk(0).dictionary.to_pylist(), codes.to_numpy())


def among(table: pa.Table, name: str, wanted: Collection[str]) -> pa.Array:
    """Which rows hold one of these words in the column ``name``."""
    import numpy as np
    import pyarrow as pa

    words = words_of(table, name)
    # One more than there are words, so that null (-1) finds False at the end.
    chosen = np.array([*(word in wanted for word in words.dictionary), False], bool)
    if chosen[:-1].all():
        return pa.array(words.codes >= 0)
    return pa.array(chosen[words.codes])


class Identities:
    """A set of events by (lane, seq), as ranges: what was seen of a log, however large."""

    def __init__(self) -> None:
        self._starts: dict[str, NDArray[np.int64]] = {}
        self._ends: dict[str, NDArray[np.int64]] = {}

    def add(self, lane: str, start: int, end: int) -> None:
        """Seq ``start`` up to ``end`` of ``lane``."""
        import numpy as np

        self._merge(lane, np.array([start], np.int64), np.array([end], np.int64))

    def add_rows(self, table: pa.Table) -> None:
        """The rows of a table with ``lane`` and ``seq``."""
        for lane, seqs in _by_lane(table).items():
            self._merge(lane, seqs, seqs + 1)

    def _merge(self, lane: str, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
        import numpy as np

        if lane in self._starts:
            starts = np.concatenate((self._starts[lane], starts))
            ends = np.concatenate((self._ends[lane], ends))
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], np.maximum.accumulate(ends[order])
        first = np.concatenate(([True], starts[1:] > ends[:-1]))
        self._starts[lane] = starts[first]
        self._ends[lane] = ends[np.concatenate((first[1:], [True]))]

    def mask(self, table: pa.Table) -> pa.Array:
        """Which rows of a table with ``lane`` and ``seq`` are in the set."""
        import numpy as np
        import pyarrow as pa

        words, seqs = words_of(table, "lane"), table["seq"].to_numpy()
        found = np.zeros(len(table), bool)
        for code, lane in enumerate(words.dictionary):
            if lane in self._starts:
                rows = np.flatnonzero(words.codes == code)
                found[rows] = self._holds(lane, seqs[rows])
        return pa.array(found)

    def dense_end(self, lane: str) -> int:
        """The first seq of ``lane`` that is not in the set."""
        starts = self._starts.get(lane)
        return int(self._ends[lane][0]) if starts is not None and starts[0] == 0 else 0

    def _holds(self, lane: str, seqs: NDArray[np.int64]) -> Any:
        import numpy as np

        at = np.searchsorted(self._starts[lane], seqs, side="right") - 1
        return (at >= 0) & (seqs < self._ends[lane][at])

    def __bool__(self) -> bool:
        return bool(self._starts)


def _by_lane(table: pa.Table) -> Mapping[str, NDArray[np.int64]]:
    import numpy as np

    words, seqs = words_of(table, "lane"), table["seq"].to_numpy()
    order = np.lexsort((seqs, words.codes))
    codes, seqs = words.codes[order], seqs[order]
    used, first = np.unique(codes, return_index=True)
    ends = [*first[1:], len(codes)]
    return {
        words.dictionary[code]: seqs[start:end]
        for code, start, end in zip(used, first, ends, strict=bool(len(codes)))
    }
