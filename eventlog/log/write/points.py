"""Points on their way: memory-mapped rows that a call fills in under a microsecond.

A file holds fixed 32-byte rows, native byte order: time (int64, nanoseconds, as the clock tells it:
to divide it costs a call more than all it does here), step (int64), value (float64), stream id and
key id (uint32). The key id is stored last and is never 0, so a row is
either whole or void, whenever the process dies: each field is one aligned store. 32 divides the
page size, so no row crosses a page.

Rows of a lane are numbered on from file to file; a file's name tells its first row, its size how
many it takes. Who wants to write takes a row number first (`itertools.count`, one atomic step
under the GIL) and then fills the row. Between the two steps the row is *in flight*; a row whose
writer was interrupted there stays empty for ever and is a *hole*. To tell them apart without a time
limit we do what RCU does: note which threads are inside a writing function, and wait until each has
left it.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import mmap
import os
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from eventlog.log.write.inside import frames_inside, wait_for_others

ROW = struct.Struct("@qqdII")
ROW_BYTES = ROW.size
ROW_FIELDS = [
    ("time_ns", "=i8"),
    ("step", "=i8"),
    ("value", "=f8"),
    ("stream", "=u4"),
    ("key", "=u4"),
]
GROWTH_ROWS = (4_096, 16_384, 65_536, 262_144)
_SCAN_ROWS = 16_384


class Rows(NamedTuple):
    """What a writing function needs, read in one step so that its parts fit together.

    ``take()`` gives one row number, ``take_many(n)`` the first of n. A number at or beyond
    ``capacity`` is no row: call the slow path. ``ints`` and ``floats`` show the map as 8-byte
    numbers, four to a row; the fourth holds stream id and key id at once.
    """

    take: Callable[[], int]
    take_many: Callable[[int], int]
    map: mmap.mmap
    capacity: int
    ints: memoryview
    floats: memoryview[float]


def first_row_of(path: Path) -> int:
    """The lane's number of the first row in ``points-<first row>``."""
    return int(path.name.rpartition("-")[2])


class PointFile:
    """One mapped file of rows.

    Args:
        path: ``points-<first row>``.
        capacity: rows to preallocate; None opens a file that is there.
        locked: take rows under a lock, for builds without a GIL.
    """

    def __init__(self, path: Path, capacity: int | None = None, *, locked: bool = False) -> None:
        self.path = path
        self.first_row = first_row_of(path)
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if capacity else 0)
        self.fd = os.open(path, flags, 0o600)
        try:
            if capacity:
                allocate(self.fd, capacity * ROW_BYTES)
            self.capacity = capacity or os.fstat(self.fd).st_size // ROW_BYTES
            self.map = mmap.mmap(self.fd, self.capacity * ROW_BYTES)
        except BaseException:
            os.close(self.fd)
            if capacity:
                path.unlink(missing_ok=True)
            raise
        self._keys = memoryview(self.map).cast("I")
        # Of a file that was there no row is free; who copies it copies all of it.
        self._counter = itertools.count(0 if capacity else self.capacity)
        # Reentrant, for signal handlers that log.
        self._lock = threading.RLock() if locked else None
        self.rows = self._rows(*self._takers())

    def _takers(self) -> tuple[Callable[[], int], Callable[[int], int]]:
        counter, lock = self._counter, self._lock

        def take_many(n: int) -> int:
            # One C call steps over all n numbers: no other thread can take a row in between.
            return next(itertools.islice(counter, n - 1, n)) - n + 1

        if lock is None:
            return counter.__next__, take_many

        def take_locked() -> int:
            with lock:
                return next(counter)

        def take_many_locked(n: int) -> int:
            with lock:
                return take_many(n)

        return take_locked, take_many_locked

    def _rows(self, take: Callable[[], int], take_many: Callable[[int], int]) -> Rows:
        view = memoryview(self.map)
        return Rows(take, take_many, self.map, self.capacity, view.cast("q"), view.cast("d"))

    @property
    def end_row(self) -> int:
        """The lane's row number after this file's last."""
        return self.first_row + self.capacity

    @property
    def is_cut(self) -> bool:
        """Whether a part of the file is missing."""
        return self.capacity not in GROWTH_ROWS

    def taken(self) -> int:
        """How many rows of this file have been taken (at most its capacity)."""
        number, capacity = int(repr(self._counter)[6:-1]), self.capacity
        return number if number < capacity else capacity

    def exhaust(self) -> int:
        """Take all rows that are left, so that nobody gets one any more; how many were taken."""
        first = self.rows.take_many(self.capacity - self.taken() + 1)
        return min(first, self.capacity)

    def first_empty(self, start: int, end: int) -> int:
        """The first row from ``start`` that is not written, or ``end``."""
        while start < end:
            stop = min(start + _SCAN_ROWS, end)
            keys = self._keys[start * 8 + 7 : stop * 8 : 8].tolist()
            if 0 in keys:
                return start + keys.index(0)
            start = stop
        return end

    def is_empty(self, row: int) -> bool:
        """Whether the row (counted in this file) is not written."""
        return self._keys[row * 8 + 7] == 0

    def read(self, start: int, end: int) -> memoryview:
        """The raw bytes of rows ``start:end`` (counted in this file), where they lie."""
        return memoryview(self.map)[start * ROW_BYTES : end * ROW_BYTES]

    def moved(self, swap: Callable[[Rows, Rows], None]) -> PointFile:
        """The same rows in a fresh file of the same name, for a file whose sync failed.

        Row numbers go on from the same counter. ``swap(old, new)`` directs callers to the new map.
        The fresh file is not synced yet.
        """
        draft = self.path.with_name(f"copy-{self.path.name}")
        draft.unlink(missing_ok=True)
        new = PointFile(draft, self.capacity)
        new._counter = self._counter
        new.rows = new._rows(self.rows.take, self.rows.take_many)
        before = self.taken()
        swap(self.rows, new.rows)
        wait_for_others()
        new.map[: before * ROW_BYTES] = self.map[: before * ROW_BYTES]
        for row in range(before, self.taken()):
            if new.is_empty(row) and not self.is_empty(row):
                at = slice(row * ROW_BYTES, (row + 1) * ROW_BYTES)
                new.map[at] = self.map[at]
        os.rename(draft, self.path)
        new.path = self.path
        self.close()
        return new

    def close(self) -> None:
        """Unmap. The file stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        # Where a thread still looks at the map, it goes with the last reference to it.
        with contextlib.suppress(BufferError):
            for view in (self._keys, self.rows.ints, self.rows.floats):
                view.release()
            self.map.close()


def allocate(fd: int, size_bytes: int) -> None:
    """Reserve disk space, so that a full disk shows here and not as SIGBUS at a store."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size_bytes)
        return
    for at in range(0, size_bytes, 1 << 20):  # pragma: no cover - macOS, Windows
        os.pwrite(fd, bytes(min(1 << 20, size_bytes - at)), at)


class Points:
    """All point files of one lane, oldest first; the last one is written to.

    Attributes:
        prefix: rows below it are written or void; no row below it is in flight.
        holes: the void rows below ``prefix``, ascending.
    """

    def __init__(self, directory: Path, *, locked: bool = False) -> None:
        self._directory, self._locked = directory, locked
        self.files: list[PointFile] = []
        self._next_row = 0
        self._short: set[int] = set()
        self.prefix = 0
        self.holes: list[int] = []
        self.end: int | None = None  # once no row can be taken any more: the row after the last
        self._waiting: tuple[int, list[FrameType]] | None = None

    def open_existing(self) -> None:
        """Map the files of a writer that is gone; everything unwritten is void then."""
        names = sorted(self._directory.glob("points-*"))
        for path in names:
            if path.stat().st_size >= ROW_BYTES:
                self.files.append(PointFile(path))
            else:
                self._short.add(first_row_of(path))
        self.prefix = self.files[0].first_row if self.files else 0

    def lost(self, known_rows: int) -> int:
        """How many rows of a writer that is gone lay where a file was cut off.

        Args:
            known_rows: so many rows were taken at least, as the facts tell.
        """
        at, lost = self.prefix, 0
        for file in self.files:
            # Beyond a whole file a gap is what a signal handler's turn left: nothing lay there.
            cut = at in self._short or any(f.end_row == at and f.is_cut for f in self.files)
            lost += file.first_row - at if cut else 0
            at = file.end_row
        return lost + max(0, known_rows - at)

    def grow(self) -> PointFile:
        """Begin a new file. `OSError` (ENOSPC) when the disk is full; nothing changed then.

        A signal handler may come in between and call this too: it gets the rows after ours.
        """
        step = min(len(self.files) + self._rolled(), len(GROWTH_ROWS) - 1)
        first, capacity = self._next_row, GROWTH_ROWS[step]
        self._next_row = first + capacity
        path = self._directory / f"points-{first:015d}"
        try:
            path.unlink(missing_ok=True)  # Ctrl-C may have left one
            new = PointFile(path, capacity, locked=self._locked)
        except BaseException:
            if self._next_row == first + capacity:
                self._next_row = first
            raise
        bisect.insort(self.files, new, key=lambda file: file.first_row)
        return new

    def discard(self, file: PointFile) -> None:
        """Take back a file that `grow` made and of which nobody got a row."""
        self.files.remove(file)
        file.close()
        file.path.unlink(missing_ok=True)

    def _rolled(self) -> int:
        return 1 if self.files and self.files[0].first_row else 0

    def taken(self) -> int:
        """The row after the last that anybody has taken."""
        if self.end is not None:
            return self.end
        files = self.files
        return files[-1].first_row + files[-1].taken() if files else 0

    def finish(self) -> None:
        """Let nobody take a row any more."""
        if self.end is None:
            last = self.files[-1] if self.files else None
            self.end = last.first_row + last.exhaust() if last else 0

    def advance(self) -> int:
        """Move `prefix` on past all rows that are written, or certainly void; returns it."""
        limit = self.taken()
        for file in list(self.files):
            self.prefix = max(self.prefix, min(file.first_row, limit))
            while file.end_row > self.prefix < limit:
                stop = min(limit, file.end_row) - file.first_row
                at = file.first_empty(self.prefix - file.first_row, stop)
                self.prefix = file.first_row + at
                if at < stop and not self._void(limit, file, at):
                    return self.prefix
        self._waiting = None  # frames keep their callers' variables alive
        return self.prefix

    def _void(self, limit: int, file: PointFile, at: int) -> bool:
        """Whether the empty row will stay empty; if so, step over it."""
        row = file.first_row + at
        if self._waiting is None or self._waiting[0] <= row:
            self._waiting = (limit, frames_inside())
        known, frames = self._waiting
        if frames:
            now = {id(frame) for frame in frames_inside()}
            frames = [frame for frame in frames if id(frame) in now]
            self._waiting = (known, frames)
            if frames:
                return False
        if file.is_empty(at):
            self.holes.append(row)
            self.prefix = row + 1
        return True

    def void_from(self, row: int) -> None:
        """For a writer that is gone: take all empty rows below ``row`` as void."""
        self.end = row
        for file in self.files:
            self.prefix = max(self.prefix, min(file.first_row, row))
            while file.end_row > self.prefix < row:
                stop = min(row, file.end_row) - file.first_row
                at = file.first_empty(self.prefix - file.first_row, stop)
                self.prefix = file.first_row + at
                if at < stop:
                    self.holes.append(self.prefix)
                    self.prefix += 1
        self.prefix = row

    def spans(self, start: int, end: int) -> Iterator[tuple[int, memoryview]]:
        """(first row, raw bytes) of the files' parts within rows ``start:end``."""
        for file in self.files:
            lo, hi = max(start, file.first_row), min(end, file.end_row)
            if lo < hi:
                yield lo, file.read(lo - file.first_row, hi - file.first_row)

    def drop_below(self, row: int, keep: Sequence[int] = ()) -> None:
        """Delete files that lie wholly below ``row`` and hold none of the rows in ``keep``."""
        while len(self.files) > 1 and self.files[0].end_row <= row:
            file = self.files[0]
            if any(file.first_row <= kept < file.end_row for kept in keep):
                return
            self.files.pop(0)
            file.close()
            file.path.unlink(missing_ok=True)

    def size_bytes(self, start: int = 0) -> int:
        """Disk space taken by the files that hold rows from ``start`` on."""
        return sum(file.capacity for file in self.files if file.end_row > start) * ROW_BYTES

    def close(self) -> None:
        """Unmap all files."""
        for file in self.files:
            file.close()


def last_written(files: Sequence[PointFile]) -> int:
    """The lane's row after the last written one, of a writer that is gone."""
    for file in reversed(files):
        keys = memoryview(file.map).cast("I")
        try:
            for stop in range(file.capacity, 0, -_SCAN_ROWS):
                start = max(0, stop - _SCAN_ROWS)
                found = keys[start * 8 + 7 : stop * 8 : 8].tolist()
                for back, key in enumerate(reversed(found)):
                    if key:
                        return file.first_row + stop - back
        finally:
            keys.release()
    return files[0].first_row if files else 0
