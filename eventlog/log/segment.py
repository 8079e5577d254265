"""Segments: one group commit of one lane, as one object ``wal/<lane>/<slot>.arrow``.

Layout: an Arrow IPC stream (zstd), then the header as JSON, its length (4 bytes, little-endian),
the SHA-256 of all that comes before it, and the magic. An Arrow reader stops where the stream
ends, so any tool can read a segment as it lies; we read from the back and check the digest over the
raw bytes before anything is decoded. `kind` is "events", or "seal": a non-owner's mark that the
lane ends at `first_seq`. `final` on a segment of events says that the owner ended the lane with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from eventlog.errors import Damage, NewerFormat
from eventlog.event import schema

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"EVLGSEG1"
TAIL_BYTES = 4 + 32 + len(MAGIC)
HEADER_LIMIT_BYTES = 64 * 1024 * 1024
# Smaller ones are (de)compressed where they are: to hand 50 rows to other threads takes longer.
THREADS_ROWS = 32_768


class SpoolMark(msgspec.Struct, frozen=True, order=True):
    """A place in a spool: all facts below ``(fact_file, fact_byte)``, all rows below ``row``."""

    fact_file: int = 0
    fact_byte: int = 0
    row: int = 0


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a segment says of itself.

    Attributes:
        first_seq, count: the segment holds seq ``first_seq`` up to ``first_seq + count``.
        newest_us: the largest fact time in the lane so far, microseconds since 1970.
        content: SHA-256 of the Arrow IPC stream, hex. With lane, slot and first_seq it tells a
            retry of one's own put from anybody else's.
        since, until: what of the writer's spool the segment holds.
        holes: rows below ``until.row`` that were never written (and are void).
        blobs: keys of the payloads that its events name; they were put before it.
        writer: who wrote it, for people.
    """

    lane: str
    slot: int
    first_seq: int
    count: int
    newest_us: int = 0
    kind: Literal["events", "seal"] = "events"
    final: bool = False
    content: str = ""
    since: SpoolMark = SpoolMark()
    until: SpoolMark = SpoolMark()
    holes: tuple[int, ...] = ()
    blobs: tuple[str, ...] = ()
    writer: str = ""

    @property
    def end_seq(self) -> int:
        """The seq after the segment's last event: for a seal, the lane's final seq."""
        return self.first_seq + self.count

    def same_put(self, other: Header) -> bool:
        """Whether both are one and the same put (a retry meets its own success so)."""
        return (self.lane, self.slot, self.first_seq, self.kind, self.content) == (
            other.lane,
            other.slot,
            other.first_seq,
            other.kind,
            other.content,
        )


class Place(NamedTuple):
    """Where a segment lies."""

    lane: str
    slot: int


def segment_key(lane: str, slot: int) -> str:
    """The key of a lane's slot."""
    return f"wal/{lane}/{slot:012d}.arrow"


def parse_key(key: str) -> Place | None:
    """The lane and slot that a key names, or None where it is no segment's."""
    head, _, name = key.rpartition("/")
    digits = name.removesuffix(".arrow")
    if not head.startswith("wal/") or not digits.isascii() or not digits.isdigit():
        return None
    place = Place(head.removeprefix("wal/"), int(digits))
    return place if segment_key(*place) == key else None


def encode(header: Header, table: pa.Table | None) -> tuple[Header, bytes]:
    """The segment's bytes, and the header as completed with the content digest."""
    body = b"" if table is None else _encode_stream(table)
    digest = hashlib.sha256(body)
    header = msgspec.structs.replace(header, content=digest.hexdigest())
    head = msgspec.json.encode(header)
    end = (head, len(head).to_bytes(4, "little"))
    for part in end:
        digest.update(part)
    return header, b"".join((body, *end, digest.digest(), MAGIC))


def _encode_stream(table: pa.Table) -> pa.Buffer:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(
        compression="zstd", unify_dictionaries=True, use_threads=len(table) >= THREADS_ROWS
    )
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table)
    return sink.getvalue()


def split(key: str, raw: bytes, *, checked: bool = False) -> tuple[Header, memoryview]:
    """The header and the Arrow stream of a segment, after its digest was checked.

    ``checked``: these very bytes went through here before.

    Raises `Damage` where the bytes are not what was written, or lie where they do not belong, and
    `NewerFormat` where a newer eventlog wrote them.
    """
    header, body = _checked(key, raw) if not checked else _parts(key, raw)
    if parse_key(key) != (header.lane, header.slot):
        raise Damage(key, f"the segment says it is slot {header.slot} of lane {header.lane!r}")
    return header, body


def _checked(key: str, raw: bytes) -> tuple[Header, memoryview]:
    """`split` without a look at where the segment lies."""
    view = memoryview(raw)
    digest = hashlib.sha256(view[: -TAIL_BYTES + 4]).digest()
    fits = len(raw) >= TAIL_BYTES and digest == raw[-TAIL_BYTES + 4 : -len(MAGIC)]
    if raw[-len(MAGIC) :] != MAGIC:
        # A later format's digest covers its magic: where ours fits, a bit of the magic flipped.
        if raw[-len(MAGIC) : -1] == MAGIC[:-1] and not fits:
            raise NewerFormat(
                f"{key} was written by a newer eventlog. Upgrade with `pip install -U eventlog-ml`."
            )
        raise Damage(key, f"the segment is cut or overwritten ({len(raw)} bytes, no end mark)")
    if not fits:
        raise Damage(key, "the segment's bytes do not match its digest")
    return _parts(key, raw)


def _parts(key: str, raw: bytes) -> tuple[Header, memoryview]:
    view = memoryview(raw)
    size = int.from_bytes(view[-TAIL_BYTES : -TAIL_BYTES + 4], "little")
    head_at = len(raw) - TAIL_BYTES - size
    if head_at < 0:
        raise Damage(key, "the segment's header is longer than the segment")
    try:
        header = msgspec.json.decode(view[head_at : head_at + size], type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damage(key, f"the segment's header cannot be read ({error})") from None
    return header, view[:head_at]


def split_at(path: Path) -> Header:
    """The header of a segment in an outbox; `Damage` names the file."""
    raw = path.read_bytes()
    try:
        return _checked(str(path), raw)[0]
    except Damage as error:
        raise Damage(str(path), error.what, "Its events are in the spool's other files.") from None


def decode(
    key: str, raw: bytes, columns: Collection[str] | None = None, *, checked: bool = False
) -> tuple[Header, pa.Table]:
    """The header and the events of a segment; `Damage` as `split` says, and for wrong rows.

    Args:
        columns: what is wanted of the events, besides lane and seq; None is all.
        checked: as in `split`.
    """
    import pyarrow as pa

    header, body = split(key, raw, checked=checked)
    wanted = _schema_of(columns)
    if header.kind == "seal" or (header.count == 0 and not body):
        return header, wanted.empty_table()
    options = pa.ipc.IpcReadOptions(
        use_threads=header.count >= THREADS_ROWS,
        included_fields=[schema().get_field_index(name) for name in wanted.names],
    )
    try:
        with pa.ipc.open_stream(pa.py_buffer(body), options=options) as stream:
            table = stream.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Damage(key, f"the segment's Arrow stream cannot be read ({error})") from None
    if not table.schema.equals(wanted) or table.num_rows != header.count:
        raise Damage(key, "the segment's columns or its number of rows are not what it says")
    _check_identity(key, header, table)
    return header, table


def _schema_of(columns: Collection[str] | None) -> pa.Schema:
    import pyarrow as pa

    if columns is None:
        return schema()
    return pa.schema([f for f in schema() if f.name in ("lane", "seq") or f.name in columns])


def _check_identity(key: str, header: Header, table: pa.Table) -> None:
    """Every row must be of the header's lane, its seq dense from first_seq."""
    import pyarrow.compute as pc

    lanes = pc.unique(table["lane"]).to_pylist()
    dense = pc.all(pc.equal(table["seq"], _dense(header)), skip_nulls=False).as_py()
    if header.count and (lanes != [header.lane] or not dense):
        raise Damage(key, f"the segment holds rows that are not its own (lanes {lanes[:3]})")
    if any(table[field.name].null_count for field in table.schema if not field.nullable):
        raise Damage(key, "the segment holds rows without a time, type or stream")


def _dense(header: Header) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    return pa.array(np.arange(header.first_seq, header.end_seq, dtype=np.int64))
