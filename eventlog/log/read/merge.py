"""Merging lanes by (lane, seq): what one log has and another lacks, and where the two disagree.

Rows of both logs are brought into one order (lane, seq) in buckets of `BUCKET_ROWS`, through files
in temporary storage where there are more: that bounds the memory, whatever the size of the logs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from eventlog.errors import Damage
from eventlog.event import COLUMNS
from eventlog.log.read.masks import Identities, words_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from eventlog.log.read.reader import Snapshot

BUCKET_ROWS = 256 * 1024

Ended: TypeAlias = Literal["", "closed", "sealed"]


class Extent(NamedTuple):
    """How much of one lane a log holds.

    Attributes:
        end_seq: it holds seq 0 up to this one.
        ended: "closed" by its owner, "sealed" by somebody else, or "" while it may go on.
        next_slot: the first free slot, or None for a lane that retired.
        newest_us: the largest time of its facts.
    """

    end_seq: int
    ended: Ended = ""
    next_slot: int | None = 0
    newest_us: int = 0


def extents(snapshot: Snapshot) -> dict[str, Extent]:
    """Every lane of a log, sorted by name. Those that retired cost a look into the data files."""
    found = {
        lane: Extent(state.next_seq, state.ended, state.next_slot, state.newest_us)
        for lane, state in snapshot.lanes.items()
    }
    if snapshot.manifest.lanes_seen > len(snapshot.manifest.lanes):
        for lane, end_seq in _ends(snapshot).items():
            # A late seal may have brought the name of a retired lane back, with nothing in it.
            if lane not in found or found[lane].end_seq < end_seq:
                found[lane] = Extent(end_seq, "closed", None)
    return dict(sorted(found.items()))


def intact(snapshot: Snapshot) -> dict[str, Extent]:
    """`extents`, but of each lane only what comes before the first event that cannot be read.

    For a snapshot that skips damage. Reads the whole log: which rows a damaged file takes with it
    shows only there.
    """
    read = Identities()
    for table in snapshot.tables():
        read.add_rows(table)
    found = {}
    for lane, extent in extents(snapshot).items():
        end_seq = read.dense_end(lane)
        found[lane] = extent if end_seq == extent.end_seq else Extent(end_seq)
    return found


def _ends(snapshot: Snapshot) -> dict[str, int]:
    import numpy as np

    ends: dict[str, int] = {}
    for table in snapshot.tables(columns=["lane", "seq"]):
        lanes = words_of(table, "lane")
        largest = np.full(len(lanes.dictionary), -1, np.int64)
        np.maximum.at(largest, lanes.codes, table["seq"].to_numpy())
        for lane, seq in zip(lanes.dictionary, largest.tolist(), strict=True):
            if seq >= 0:
                ends[lane] = max(ends.get(lane, 0), seq + 1)
    return ends


class Buckets:
    """Rows in the order (lane, seq), sorted bucket by bucket.

    Args:
        ends: the lanes wanted, in order, and the end of each; other rows are left out.
        directory: where rows wait that are too many for memory.
    """

    def __init__(self, ends: Mapping[str, int], directory: Path) -> None:
        self._starts: dict[str, int] = {}
        self._ends = dict(ends)
        self.total = 0
        for lane, end_seq in ends.items():
            self._starts[lane] = self.total
            self.total += end_seq
        self._directory = directory
        self._pieces: dict[int, list[Path | pa.Table]] = {}

    @property
    def count(self) -> int:
        """How many buckets there are."""
        return -(-self.total // BUCKET_ROWS)

    def add(self, table: pa.Table) -> None:
        """Take these rows."""
        import numpy as np

        ordinals = self.ordinals(table)
        numbers = np.where(ordinals < 0, -1, ordinals // BUCKET_ROWS)
        for number in np.unique(numbers[numbers >= 0]).tolist():
            self._keep(number, table.filter(_mask(numbers == number)))

    def ordinals(self, table: pa.Table) -> NDArray[np.int64]:
        """The place of each row among all rows wanted; -1 for those that are not."""
        import numpy as np

        lanes, seqs = words_of(table, "lane"), table["seq"].to_numpy()
        starts = np.array([self._starts.get(name, -1) for name in lanes.dictionary], np.int64)
        ends = np.array([self._ends.get(name, 0) for name in lanes.dictionary], np.int64)
        return np.where(seqs < ends[lanes.codes], starts[lanes.codes] + seqs, -1)

    def _keep(self, number: int, table: pa.Table) -> None:
        import pyarrow as pa

        pieces = self._pieces.setdefault(number, [])
        if self.count <= 1:
            pieces.append(table)
            return
        path = self._directory / f"{id(self)}-{number}-{len(pieces)}.arrow"
        options = pa.ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)
        with (
            pa.OSFile(str(path), "wb") as sink,
            pa.ipc.new_stream(sink, table.schema, options=options) as stream,
        ):
            stream.write_table(table)
        pieces.append(path)

    def take(self, number: int) -> tuple[pa.Table, NDArray[np.int64]]:
        """The rows of one bucket in order, and the place of each. They are forgotten then."""
        import numpy as np
        import pyarrow as pa

        from eventlog.event import schema

        pieces = [_load(piece) for piece in self._pieces.pop(number, [])]
        table = pa.concat_tables(pieces) if pieces else schema().empty_table()
        table = table.unify_dictionaries().combine_chunks()
        ordinals = self.ordinals(table)
        order = np.argsort(ordinals, kind="stable")
        return table.take(order), ordinals[order]


def _mask(chosen: NDArray[np.bool_]) -> pa.Array:
    import pyarrow as pa

    return pa.array(chosen)


def _load(piece: Path | pa.Table) -> pa.Table:
    import pyarrow as pa

    if not isinstance(piece, Path):
        return piece
    with pa.OSFile(str(piece), "rb") as source, pa.ipc.open_stream(source) as stream:
        table = stream.read_all()
    piece.unlink()
    return table


def check_dense(where: str, ordinals: NDArray[np.int64], start: int, end: int) -> None:
    """`Damage` if rows are missing, or there twice."""
    import numpy as np

    if not np.array_equal(ordinals, np.arange(start, end)):
        raise Damage(where, f"of {end - start} events in a row it holds {len(ordinals)}")


def differing(table: pa.Table, other: pa.Table) -> Iterator[tuple[str, int]]:
    """The lane and seq of the first row of each lane that the two tables do not share.

    Args:
        table, other: the same identities in the same order.
    """
    import numpy as np

    same = np.ones(len(table), bool)
    for name in COLUMNS[2:]:
        same &= _same(table[name], other[name])
    seen: set[str] = set()
    if same.all():
        return
    odd = table.select(["lane", "seq"]).filter(_mask(~same))
    for lane, seq in zip(odd["lane"].to_pylist(), odd["seq"].to_pylist(), strict=True):
        if lane not in seen:
            seen.add(lane)
            yield lane, seq


def _same(column: pa.ChunkedArray, other: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Where both hold the same: nothing, or the same bits (so NaN is NaN, and 0 is not -0)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays = [column.combine_chunks(), other.combine_chunks()]
    if pa.types.is_floating(column.type):
        arrays = [array.view(pa.int64()) for array in arrays]
    elif pa.types.is_dictionary(column.type):
        arrays = [array.cast(pa.string()) for array in arrays]
    equal = pc.fill_null(pc.equal(*arrays), False)
    neither = pc.and_(pc.is_null(arrays[0]), pc.is_null(arrays[1]))
    return np.asarray(pc.or_(equal, neither).to_numpy(zero_copy_only=False), dtype=bool)
