"""Data files: sorted events as Parquet, and an index whose digests make range reads safe.

``data/<v>-<uuid>.parquet`` is plain Parquet that any tool reads. Its index (same key, ``.idx``)
lists the row groups with their ranges of streams, lanes, seqs and times, and a digest of every
byte range of the file: the head, each column chunk, the footer. `OpenFile` fetches only the ranges
that a read needs and checks each against its digest before a decoder sees it, because Parquet
decoders return wrong values, or crash, on damaged bytes.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import io
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from eventlog.backend import Backend, Range
from eventlog.errors import Damage, Exists, NewerFormat
from eventlog.log.cache import SegmentCache
from eventlog.log.manifest import DataFile

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 128 * 1024
INDEX_FORMAT = 1
DIGEST_BYTES = 16
GAP_BYTES = 64 * 1024  # ranges this close are fetched as one: a request costs more than the gap
HEAD_BYTES = 4  # Parquet's magic, in front
TYPES_LIMIT = 64
Pieces: TypeAlias = "dict[int, memoryview]"  # checked bytes of a file by where they start
_WORDS = ["lane", "type", "stream", "key"]
_DELTAS = ("seq", "step", "time", "lane_number")


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """Bytes ``start`` up to ``end`` of the file and their digest."""

    start: int
    end: int
    digest: bytes


class Group(msgspec.Struct, frozen=True, array_like=True):
    """One row group.

    Attributes:
        rows: how many.
        first, last: (stream, key, step) of its first and its last row.
        lanes, seqs, times_us: smallest and largest in it.
        chunks: one per column, in the file's order.
    """

    rows: int
    first: tuple[str, str | None, int | None]
    last: tuple[str, str | None, int | None]
    lanes: tuple[int, int]
    seqs: tuple[int, int]
    times_us: tuple[int, int]
    chunks: tuple[Chunk, ...]


class Index(msgspec.Struct, frozen=True):
    """What ``.idx`` holds (MessagePack)."""

    size_bytes: int
    columns: tuple[str, ...]
    head: Chunk
    footer: Chunk
    groups: tuple[Group, ...]
    format: int = INDEX_FORMAT


def index_key(key: str) -> str:
    """The key of a data file's index."""
    return key.removesuffix(".parquet") + ".idx"


def parse_data_key(key: str) -> int | None:
    """The manifest version that a data file or index was made for, None if it is neither."""
    name = key.removeprefix("data/")
    head, _, tail = name.partition("-")
    wanted = name != key and tail.endswith((".parquet", ".idx")) and head.isascii()
    return int(head) if wanted and head.isdigit() else None


def write(
    backend: Backend,
    table: pa.Table,
    *,
    kind: Literal["facts", "points"],
    version: int,
    tier: int,
    group_rows: int = GROUP_ROWS,
) -> DataFile:
    """Store ``table`` as one data file and its index; what a manifest has to say of it.

    Args:
        table: `eventlog.event.schema` and ``lane_number`` (int32), in the order it is to be read:
            facts by (stream, lane, seq), points by (stream, key, step). Not empty.
        version: of the manifest that it is made for.
    """
    raw = _encode(table, group_rows)
    index = _index(table, raw, group_rows)
    head = msgspec.msgpack.encode(index)
    key = f"data/{version:012d}-{uuid.uuid4().hex}.parquet"
    for name, data in ((key, raw), (index_key(key), head)):
        with contextlib.suppress(Exists):  # a fresh uuid: only our own lost answer can meet it
            backend.put_new(name, data)
    groups = index.groups
    types = sorted(set(_words(table, "type")))
    return DataFile(
        key=key,
        kind=kind,
        rows=table.num_rows,
        size_bytes=len(raw),
        index_sha256=hashlib.sha256(head).hexdigest(),
        version=version,
        tier=tier,
        lanes=(min(g.lanes[0] for g in groups), max(g.lanes[1] for g in groups)),
        streams=(min(g.first[0] for g in groups), max(g.last[0] for g in groups)),
        times_us=(min(g.times_us[0] for g in groups), max(g.times_us[1] for g in groups)),
        types=tuple(types) if len(types) <= TYPES_LIMIT else (),
    )


def _encode(table: pa.Table, group_rows: int) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    encoding = dict.fromkeys(_DELTAS, "DELTA_BINARY_PACKED") | {"value": "BYTE_STREAM_SPLIT"}
    pq.write_table(
        table.unify_dictionaries(),
        sink,
        row_group_size=group_rows,
        compression="zstd",
        compression_level=3,
        use_dictionary=_WORDS,
        column_encoding=encoding,
        # Of use to other tools; ours are in the index. On all columns they cost 100 bytes a page.
        write_statistics=["stream", "key", "time"],
    )
    return bytes(sink.getvalue().to_pybytes())


def _index(table: pa.Table, raw: bytes, group_rows: int) -> Index:
    """Ranges and digests of a file just encoded. The ranges cover each of its bytes once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(pa.BufferReader(raw))
    footer_at = len(raw) - metadata.serialized_size - 8
    starts = [_chunk_starts(metadata.row_group(n)) for n in range(metadata.num_row_groups)]
    cuts = sorted({HEAD_BYTES, footer_at, *(at for group in starts for at in group)})
    ends = dict(zip(cuts, cuts[1:], strict=False))
    view = memoryview(raw)

    def chunk(start: int, end: int) -> Chunk:
        return Chunk(start, end, _digest(view[start:end]))

    groups = tuple(
        _group(
            table.slice(n * group_rows, group_rows),
            tuple(chunk(at, ends[at]) for at in starts[n]),
        )
        for n in range(metadata.num_row_groups)
    )
    return Index(
        size_bytes=len(raw),
        columns=tuple(table.column_names),
        head=chunk(0, HEAD_BYTES),
        footer=chunk(footer_at, len(raw)),
        groups=groups,
    )


def _chunk_starts(group: Any) -> list[int]:
    """Where each column chunk of a row group begins."""
    columns = (group.column(n) for n in range(group.num_columns))
    return [
        c.data_page_offset
        if c.dictionary_page_offset is None
        else min(c.dictionary_page_offset, c.data_page_offset)
        for c in columns
    ]


def _group(rows: pa.Table, chunks: tuple[Chunk, ...]) -> Group:
    import pyarrow as pa

    def edge(at: int) -> tuple[str, str | None, int | None]:
        return tuple(rows[name][at].as_py() for name in ("stream", "key", "step"))

    return Group(
        rows=rows.num_rows,
        first=edge(0),
        last=edge(rows.num_rows - 1),
        lanes=_min_max(rows["lane_number"]),
        seqs=_min_max(rows["seq"]),
        times_us=_min_max(rows["time"].cast(pa.int64())),
        chunks=chunks,
    )


def _min_max(column: pa.ChunkedArray) -> tuple[int, int]:
    import pyarrow.compute as pc

    found = pc.min_max(column).as_py()
    return found["min"], found["max"]


def _words(table: pa.Table, name: str) -> list[str]:
    import pyarrow.compute as pc

    return list(pc.unique(table[name]).to_pylist())


def _digest(raw: memoryview | bytes) -> bytes:
    return hashlib.sha256(raw).digest()[:DIGEST_BYTES]


class OpenFile:
    """One data file, read by row groups and columns; every byte is checked before it is decoded.

    Raises `Damage` that names the file (or its index), and lets `Missing` through: then compaction
    has replaced the file, and a newer manifest says by what.
    """

    def __init__(self, backend: Backend, file: DataFile, cache: SegmentCache | None = None) -> None:
        self.file = file
        self._backend, self._cache = backend, cache
        self._index: Index | None = None
        self._metadata: Any = None

    @property
    def index(self) -> Index:
        """The file's index, fetched once."""
        if self._index is None:
            self._index = self._load_index()
        return self._index

    @property
    def groups(self) -> tuple[Group, ...]:
        """The row groups, in the file's order."""
        return self.index.groups

    def _load_index(self) -> Index:
        key = index_key(self.file.key)
        raw = self._cache.get(key, 0, None) if self._cache else None
        if raw is None:
            raw = self._backend.get(key)
            self._check_index(key, raw)
            if self._cache:
                self._cache.put(key, 0, None, raw)
        self._check_index(key, raw)
        try:
            index = msgspec.msgpack.decode(raw, type=Index)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Damage(key, f"the index cannot be read ({error})") from None
        rows = sum(g.rows for g in index.groups)
        if (rows, index.size_bytes) != (self.file.rows, self.file.size_bytes):
            raise Damage(key, "the index is of another file than the manifest's")
        return index

    def _check_index(self, key: str, raw: bytes) -> None:
        if hashlib.sha256(raw).hexdigest() != self.file.index_sha256:
            raise Damage(key, "the index's bytes do not match the digest in the manifest")
        try:
            found = msgspec.msgpack.decode(raw, type=_FormatOnly).format
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Damage(key, f"the index cannot be read ({error})") from None
        if found > INDEX_FORMAT:
            raise NewerFormat(
                f"{key} has format {found}. Upgrade with `pip install --upgrade eventlog-ml`."
            )

    def read(
        self, groups: Sequence[int] | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """The rows of ``groups`` (None: all), of ``columns`` (None: all), in the file's order."""
        chosen = range(len(self.groups)) if groups is None else groups
        names = self.index.columns if columns is None else columns
        return self.decode(chosen, names, self.fetch(chosen, names))

    def decode(self, groups: Sequence[int], columns: Sequence[str], pieces: Pieces) -> pa.Table:
        """The rows of these groups from bytes that `fetch` returned for them."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            if self._metadata is None:
                footer = pieces[self.index.footer.start]
                self._metadata = pq.read_metadata(pa.BufferReader(footer))
            source = _VerifiedBytes(pieces, self.index.size_bytes)
            opened = pq.ParquetFile(source, metadata=self._metadata, pre_buffer=False)
            table = opened.read_row_groups(list(groups), columns=list(columns))
            table.validate()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise Damage(self.file.key, f"the data file cannot be decoded ({error})") from None
        if table.num_rows != sum(self.groups[n].rows for n in groups):
            raise Damage(self.file.key, "the data file holds other rows than its index says")
        return table.select(list(columns))

    def fetch(self, groups: Sequence[int], columns: Sequence[str]) -> Pieces:
        """The bytes that a read needs, each chunk checked against the index, by their start."""
        chunks = self._chunks(groups, columns)
        key, cache = self.file.key, self._cache
        spans = _spans(chunks)
        found = {span: cache.get(key, *span) if cache else None for span in spans}
        absent = [span for span, raw in found.items() if raw is None]
        for span, raw in zip(absent, self._get(absent), strict=True):
            found[span] = raw
        pieces = {}
        for span, inside in spans.items():
            start, view = span[0], memoryview(found[span] or b"")
            for chunk in inside:
                piece = view[chunk.start - start : chunk.end - start]
                if _digest(piece) != chunk.digest:
                    where = f"bytes {chunk.start} to {chunk.end} of {self.index.size_bytes}"
                    raise Damage(key, f"{where} do not match their digest")
                pieces[chunk.start] = piece
        if cache:
            for span in absent:
                cache.put(key, *span, found[span] or b"")
        return pieces

    def _chunks(self, groups: Sequence[int], columns: Sequence[str]) -> list[Chunk]:
        """What a read needs of the file, ascending."""
        index = self.index
        wanted = [index.columns.index(name) for name in columns]
        chunks = [index.groups[n].chunks[c] for n in groups for c in wanted]
        if len(chunks) == len(index.groups) * len(index.columns):
            chunks.append(index.head)  # all of it: nothing of the file stays unchecked
            chunks.append(index.footer)
        elif self._metadata is None:
            chunks.append(index.footer)
        return sorted(chunks, key=lambda chunk: chunk.start)

    def chunk(self, group: int, column: str) -> Chunk:
        """Where a group's column lies."""
        return self.groups[group].chunks[self.index.columns.index(column)]

    def _get(self, spans: list[tuple[int, int]]) -> list[bytes]:
        if spans == [(0, self.index.size_bytes)]:
            return [self._backend.get(self.file.key)]
        return self._backend.get_many([Range(self.file.key, *span) for span in spans])


def _spans(chunks: list[Chunk]) -> dict[tuple[int, int], list[Chunk]]:
    """The chunks (ascending) by the one request that fetches them."""
    runs: list[list[Chunk]] = []
    for chunk in chunks:
        if runs and chunk.start - runs[-1][-1].end <= GAP_BYTES:
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    return {(run[0].start, run[-1].end): run for run in runs}


class _VerifiedBytes(io.RawIOBase):
    """A sparse file that holds checked chunks; reading anything else of it is an error."""

    def __init__(self, pieces: Pieces, size_bytes: int) -> None:
        self._pieces, self._size = pieces, size_bytes
        self._starts = sorted(pieces)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = origin + offset
        return self._at

    def read(self, size: int = -1) -> memoryview:
        n = bisect.bisect_right(self._starts, self._at) - 1
        piece = self._pieces[self._starts[n]][self._at - self._starts[n] :] if n >= 0 else None
        if piece is None or size < 0 or len(piece) < size:
            raise OSError(f"bytes {self._at} to {self._at + size} were not checked")
        self._at += size
        return piece[:size]


class _FormatOnly(msgspec.Struct):
    format: int = 0
