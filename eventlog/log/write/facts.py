"""Facts on their way: an append-only file of framed, checksummed records.

Frame: magic (2 bytes), length (4), CRC-32 of the payload (4), payload (MessagePack array). The
first element tells the kind:

- ``[0, time_us, type, stream, key, step, value, data, row]`` an event; ``row`` is the point counter
  when it was written and orders it among the points;
- ``[1, kind, id, text]`` a name: ``kind`` 0 is a stream, 1 a key; it comes before the first row
  that uses the id;
- ``[2, rows, boot_id]`` a durable mark: all points below ``rows`` were synced in that boot.

One event is one ``write``; what a failing write leaves behind is cut off again, or the file is
left for a new one, so that no torn frame can hide a later fact. Nor can one that the disk damaged:
the magic stands in no UTF-8 text, so whole frames are found again behind it (`damaged_ranges`), and
what lies between gets a header of its own, ``void``, whose payload nobody reads.
"""

from __future__ import annotations

import bisect
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec

from eventlog.errors import SpoolError
from eventlog.log.write.durable import sync_file, write_durably

EVENT, NAME, DURABLE = 0, 1, 2
STREAM, KEY = 0, 1
ROLL_BYTES = 8 * 1024 * 1024

Record: TypeAlias = "list[Any]"

_FRAME = struct.Struct("<2sII")
_MAGIC, _VOID = b"\xefL", b"\xefV"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(type=list).decode


class Framed(NamedTuple):
    """A record and the byte after its frame."""

    record: Record
    end: int


class Damaged(NamedTuple):
    """Bytes of a dead writer's file that are not what was written.

    Attributes:
        path: the file.
        start, end: the bytes.
        copy: where the file was kept as it was found.
    """

    path: Path
    start: int
    end: int
    copy: Path


def frame(record: Record) -> bytes:
    """The record as one frame."""
    payload = _encode(record)
    return _FRAME.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload


def parse(raw: bytes, at: int = 0) -> tuple[list[Framed], int]:
    """The records from byte ``at`` up to the first frame that is not whole, and where that is."""
    found: list[Framed] = []
    for frame in _frames(raw, at):
        if not frame.void:
            found.append(Framed(_decode(raw[at + _FRAME.size : frame.end]), frame.end))
        at = frame.end
    return found, at


class _Frame(NamedTuple):
    void: bool
    end: int


def _frames(raw: bytes, at: int) -> Iterator[_Frame]:
    """The frames from byte ``at`` up to the first that is not whole."""
    while (frame := _whole(raw, at)) is not None:
        yield frame
        at = frame.end


def _whole(raw: bytes, at: int) -> _Frame | None:
    """The frame at ``at``, if it is whole."""
    if at + _FRAME.size > len(raw):
        return None
    magic, length, checksum = _FRAME.unpack_from(raw, at)
    end = at + _FRAME.size + length
    if magic not in (_MAGIC, _VOID) or end > len(raw):
        return None
    if zlib.crc32(raw[at + _FRAME.size : end]) != checksum:
        return None
    return _Frame(magic == _VOID, end)


def damaged_ranges(raw: bytes) -> list[tuple[int, int]]:
    """The byte ranges that are no frames, though whole frames follow them.

    Each has room for the header of a void frame: where bytes are missing, a range takes a whole
    frame in.
    """
    found: list[tuple[int, int]] = []
    behind = at = survey(raw)[1]
    while (behind := raw.find(_MAGIC, behind + 1)) >= 0:
        if behind - at >= _FRAME.size and _whole(raw, behind) is not None:
            found.append((at, behind))
            behind = at = survey(raw, behind)[1]
    return found


def survey(raw: bytes, at: int = 0) -> tuple[list[tuple[int, int]], int]:
    """The void byte ranges among the frames from byte ``at`` on, and where the whole frames end."""
    void: list[tuple[int, int]] = []
    for frame in _frames(raw, at):
        if frame.void:
            void.append((at, frame.end))
        at = frame.end
    return void, at


def void_header(raw: bytes, start: int, end: int) -> bytes:
    """What makes a void frame of the bytes ``start:end``, written over the first of them."""
    rest = raw[start + _FRAME.size : end]
    return _FRAME.pack(_VOID, len(rest), zlib.crc32(rest))


class FactFile:
    """One file of frames, ``facts-<n>``, opened for appending."""

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path
        self.number = int(path.name.rpartition("-")[2])
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
        self.fd = os.open(path, flags, 0o600)
        self.size = os.fstat(self.fd).st_size
        self.head_bytes = 0  # the names that it begins with, which the next file repeats
        self.unsynced = False
        self.broken = False  # a torn frame could not be cut off: append no more
        self.busy = False  # inside `append`: a signal handler must append elsewhere

    def append(self, data: bytes) -> None:
        """Write whole frames; `OSError` when that fails, and then nothing of them stays."""
        end = self.size + len(data)
        self.busy = True
        try:
            written = os.write(self.fd, data)
            while written < len(data):  # a nearly full disk takes a part
                written += os.write(self.fd, data[written:])
            # No call from here to the end of the try: Ctrl-C cannot come in between.
            self.size = end
            self.unsynced = True
        except BaseException:
            self._cut_back()
            raise
        finally:
            self.busy = False

    @property
    def full(self) -> bool:
        """Whether the next frame belongs into a new file."""
        return self.broken or self.busy or self.size - self.head_bytes > ROLL_BYTES

    def moved(self) -> FactFile:
        """The same bytes in a fresh file of the same name, synced, for one whose sync failed."""
        draft = self.path.with_name(f"copy-{self.path.name}")
        try:
            draft.write_bytes(self.read())
            sync_file(draft)
            os.rename(draft, self.path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise SpoolError(
                f"the disk under {self.path.parent} fails ({error}); events are in memory and in "
                "the page cache only: move the log or the spool (EVENTLOG_STATE) to a sound disk."
            ) from error
        fresh = FactFile(self.path, create=False)
        fresh.head_bytes = self.head_bytes
        self.close()
        return fresh

    def mend(self, copy: Path) -> list[Damaged]:
        """Void what the disk damaged between whole frames; all damage in the file, old and new.

        Of a file that was damaged a copy is kept first, for who wants to look into it.
        """
        raw = self.read()
        void, end = survey(raw)
        if end < len(raw) and (ranges := damaged_ranges(raw)):
            _keep(copy, raw)
            with open(self.path, "r+b") as file:  # our own descriptor only appends
                for start, stop in ranges:
                    file.seek(start)
                    file.write(void_header(raw, start, stop))
            sync_file(self.path)
            void, end = survey(self.read())
        if end < len(raw):  # at the end of the file it stays as it is
            void.append((end, len(raw)))
            if not copy.exists():
                _keep(copy, raw)
        return [Damaged(self.path, *each, copy) for each in void]

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self.fd, self.size)
        except OSError:
            self.broken = True

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        """Bytes ``start:end``."""
        stop = self.size if end is None else end
        return os.pread(self.fd, stop - start, start)

    def close(self) -> None:
        """Close the descriptor. The file stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _keep(copy: Path, raw: bytes) -> None:
    """Keep a damaged file as it was found, beside those kept of it before."""
    copy.parent.mkdir(mode=0o700, exist_ok=True)
    name, number = copy.name, 1
    while copy.exists():
        number += 1
        copy = copy.with_name(f"{name}-{number}")
    write_durably(copy, raw)


class Facts:
    """All fact files of one lane, oldest first; the last one is written to.

    Not thread-safe: the spool calls it under its lock. But a signal handler that logs may come in
    between any two steps of the same thread: then it gets a file of its own.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._next_number = 0
        self.files: list[FactFile] = []

    def open_existing(self) -> None:
        """Open the files of a writer that is gone."""
        for path in sorted(self._directory.glob("facts-*")):
            self.files.append(FactFile(path, create=False))
        self._next_number = self.files[-1].number + 1 if self.files else 0

    def begin(self, head: bytes, behind: int = -1) -> FactFile:
        """Begin a new file with ``head`` (the names so far), numbered beyond ``behind``.

        Returns the file that is written to from now on.
        """
        number = max(self._next_number, behind + 1)
        self._next_number = number + 1
        path = self._directory / f"facts-{number:08d}"
        new = None
        try:
            path.unlink(missing_ok=True)  # Ctrl-C may have left one
            new = FactFile(path, create=True)
            if head:
                new.append(head)
                new.head_bytes = new.size
        except BaseException:
            if new is not None:
                new.close()
            path.unlink(missing_ok=True)
            if self._next_number == number + 1:
                self._next_number = number
            raise
        bisect.insort(self.files, new, key=lambda file: file.number)
        return self.last

    @property
    def last(self) -> FactFile:
        """The file that is written to."""
        return self.files[-1]

    def drop_below(self, number: int) -> None:
        """Delete the files numbered below ``number``."""
        while len(self.files) > 1 and self.files[0].number < number:
            file = self.files.pop(0)
            file.close()
            file.path.unlink(missing_ok=True)

    def size_bytes(self) -> int:
        """Disk space taken."""
        return sum(file.size for file in self.files)

    def close(self) -> None:
        """Close all files."""
        for file in self.files:
            file.close()
