"""One lane's spool: what its writer has not shipped, in a local directory that outlives it.

The spool knows no store. It takes facts and points, makes them durable, fixes their order, and
keeps the outbox: the one encoded segment that is on its way. `tables.build` makes Arrow tables of
it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from eventlog.errors import LogClosed, SpoolError, SpoolFull
from eventlog.log.segment import SpoolMark
from eventlog.log.write import facts as ff
from eventlog.log.write.durable import sync_directory as _sync_directory
from eventlog.log.write.durable import write_durably
from eventlog.log.write.identity import Identity, boot_id, this_process
from eventlog.log.write.lock import Held
from eventlog.log.write.names import Names
from eventlog.log.write.points import Points, Rows
from eventlog.log.write.replay import replay

NOT_HELD = 2**63


def step(name: str) -> None:
    """Called before every step that a crash might fall on; tests put their own in its place."""


@dataclass
class Spool:
    """A lane's directory. Make one with `create`, or `open_dead` for a writer that is gone."""

    directory: Path
    lane: str
    names: Names
    lock_fd: int
    writer: Identity
    cell: list[Rows] = field(default_factory=list)
    locked: bool = False

    def __post_init__(self) -> None:
        self.points = Points(self.directory, locked=self.locked)
        self.facts = ff.Facts(self.directory)
        self.lock = threading.RLock()  # facts, names, growth
        self.sync_lock = threading.RLock()  # a signal handler may flush while its thread flushes
        self.clock_us = 0
        self.durable = SpoolMark()  # all facts and all settled rows below it are synced
        self._marked = 0  # up to this row the facts say that it was synced
        self._forgotten_row = 0  # up to this row the store has everything
        self.held_row = NOT_HELD  # a fact that waits for room comes before this row
        self._suspect = False  # a sync failed and its files have not been copied yet
        self.lost_bytes = 0  # of a writer that the power left: what lies beyond a bad frame
        self.lost_rows = 0
        self.damage: list[ff.Damaged] = []  # of a dead writer: what the disk did to its facts
        self.unreadable: set[int] = set()  # of a dead writer: rows whose names are lost
        self.finished = False
        self._new_files = True  # names in the directory that are not synced yet

    # -- birth and death ---------------------------------------------------------------------

    @classmethod
    def create(
        cls, root: Path, lane: str, names: Names, cell: list[Rows], *, locked: bool = False
    ) -> Spool:
        """A new lane's spool: born under another name, locked, then renamed into place."""
        unborn = root / f".tmp-{lane}"
        unborn.mkdir(parents=True, mode=0o700)
        who = this_process()
        lock_fd = os.open(unborn / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        os.write(lock_fd, msgspec.json.encode(who))
        (unborn / "out").mkdir()
        os.rename(unborn, root / lane)
        spool = cls(root / lane, lane, names, lock_fd, who, cell, locked)
        try:
            spool.facts.begin(names.records())
        except BaseException:
            spool.close()
            shutil.rmtree(spool.directory, ignore_errors=True)
            raise
        return spool

    @classmethod
    def open_dead(cls, directory: Path, held: Held) -> Spool:
        """The spool of a writer that is gone, whose lock the caller holds."""
        spool = cls(directory, directory.name, Names(), held.fd, held.writer)
        try:
            spool.points.open_existing()
            spool.facts.open_existing()
            replay(spool, same_boot=held.writer.boot_id == boot_id())
        except BaseException:
            spool.close()
            raise
        return spool

    def close(self) -> None:
        """Let go of all files and of the lock. The directory stays."""
        self.points.close()
        self.facts.close()
        if self.lock_fd >= 0:
            os.close(self.lock_fd)
            self.lock_fd = -1

    def delete(self) -> None:
        """Remove the directory, under its lock. Only when all of it is in the store."""
        grave = self.directory.with_name(f".tmp-{self.directory.name}")
        os.rename(self.directory, grave)
        shutil.rmtree(grave, ignore_errors=True)
        self.close()

    # -- writing -----------------------------------------------------------------------------

    def append(
        self,
        time_us: int | None,
        type_: str,
        stream: str,
        key: str | None,
        step_: int | None,
        value: float | None,
        data: str | None,
        *,
        newest: bool = True,
        row: int | None = None,
    ) -> None:
        """Write one event; it is in the page cache when this returns. `OSError` if it cannot be.

        The time of a fact never decreases within the lane; ``newest=False`` (points) leaves the
        lane's clock alone. ``row``: before it was taken the event happened; None is now.
        """
        with self.lock:
            self._refuse_late()
            at = time.time_ns() // 1000 if time_us is None else time_us
            if newest:
                at = max(at, self.clock_us)
            row = self.points.taken() if row is None else row
            self._write(ff.frame([ff.EVENT, at, type_, stream, key, step_, value, data, row]))
            if newest:
                self.clock_us = at

    def name(self, kind: int, text: str) -> int:
        """The number of a stream or key, written down before it is handed out."""
        number = self.names.known(kind, text)
        if number is not None:
            return number
        with self.lock:
            number = self.names.known(kind, text)
            if number is None:
                number = self.names.fresh(kind)
                self._write(ff.frame([ff.NAME, kind, number, text]))
                number = self.names.add(kind, number, text)
            return number

    def _write(self, frame: bytes) -> None:
        step("spool.write")
        last = self.facts.files[-1]
        if last.full:
            last = self.facts.begin(self.names.records())
            self._new_files = True
        last.append(frame)

    def grow(self, old: Rows) -> None:
        """Begin a new point file unless another thread just did. `OSError` when there's no room."""
        with self.lock:
            self._refuse_late()
            if self.cell[0] is old:
                step("spool.grow")
                new = self.points.grow()
                self._new_files = True
                if self.cell[0] is old:
                    self.cell[0] = new.rows
                else:  # a signal handler came in between and logged
                    self.points.discard(new)

    def finish(self) -> None:
        """Take no more facts and no more rows; those in flight still count."""
        with self.lock:
            self.finished = True
            self.points.finish()

    def go_behind(self, mark: SpoolMark) -> None:
        """In a copy that is older than what its writer shipped: write beyond that only."""
        with self.lock:
            if self.facts.last.number <= mark.fact_file:
                self.facts.begin(self.names.records(), mark.fact_file)

    def _refuse_late(self) -> None:
        if self.finished:
            raise LogClosed("the log is closed: open it again with eventlog.open().")

    # -- durability --------------------------------------------------------------------------

    def end(self) -> SpoolMark:
        """Where the spool ends now, in-flight rows included."""
        with self.lock:
            return SpoolMark(self.facts.last.number, self.facts.last.size, self.points.taken())

    def sync(self, until: SpoolMark | None = None) -> None:
        """Make everything that returned by now safe against power loss.

        Calls join: who finds that somebody else's sync covered ``until`` returns at once. Rows in
        flight stop nobody here: one that is still empty is void if the power goes. `SpoolError`
        when the disk failed; what was written has then been copied to fresh files.
        """
        if self.writing_here():
            self._sync_in_handler()
            return
        with self.sync_lock:
            if until is not None and self.durable >= until and self.durable.row >= until.row:
                return
            step("spool.sync")
            try:
                if self._suspect:
                    self._rescue()
                self._sync()
            except OSError as error:
                self._suspect = True
                self._rescue()
                raise SpoolError(
                    f"the disk under {self.directory} failed to keep events ({error}); they were "
                    "copied to fresh files: call flush() again, and look at the disk."
                ) from error

    def _sync(self) -> None:
        row, taken = self.points.advance(), self.points.taken()
        if taken > self.durable.row:
            for file in list(self.points.files):
                if file.first_row < taken and file.end_row > self.durable.row:
                    os.fdatasync(file.fd)
        with self.lock:
            if taken > self._marked:
                self._write_mark(taken)
            mark = SpoolMark(self.facts.last.number, self.facts.last.size, row)
            unsynced = [file for file in self.facts.files if file.unsynced]
        for facts in unsynced:
            facts.unsynced = False
            try:
                os.fdatasync(facts.fd)
            except BaseException:
                facts.unsynced = True
                raise
        if self._new_files:
            self._sync_names()
        self.durable = mark

    def writing_here(self) -> bool:
        """Whether this is a signal handler that came in the middle of a call of ours.

        Then its thread holds our lock, and may wait for nobody who might need it.
        """
        return self.lock._is_owned()  # type: ignore[attr-defined, no-any-return]

    def _sync_in_handler(self) -> None:
        """`sync`, without a look at what others do: all files, whether they need it or not."""
        taken = self.points.taken()
        try:
            for file in list(self.points.files):
                os.fdatasync(file.fd)
            if taken > self._marked:
                self._write_mark(taken)
            for facts in list(self.facts.files):
                os.fdatasync(facts.fd)
            if self._new_files:
                self._sync_names()
        except OSError as error:
            self._suspect = True
            raise SpoolError(
                f"the disk under {self.directory} failed to keep events ({error}): call flush() "
                "again, and look at the disk."
            ) from error

    def _write_mark(self, taken: int) -> None:
        try:
            self._write(ff.frame([ff.DURABLE, taken, boot_id()]))
        except OSError as error:
            raise SpoolFull(
                f"no room in {self.directory} to note what is safe ({error}): free disk space, "
                "then flush() again."
            ) from error
        self._marked = taken

    def _sync_names(self) -> None:
        """Files are only as durable as their names in the directories."""
        self._new_files = False
        try:
            os.fsync(self.lock_fd)
            for directory in (self.directory, self.directory.parent):
                _sync_directory(directory)
        except BaseException:
            self._new_files = True
            raise

    def _rescue(self) -> None:
        """After a failed sync the kernel forgets which pages it lost: copy everything anew.

        A second sync of the same descriptor would succeed and mean nothing.
        """
        with self.lock:
            for n, facts in enumerate(self.facts.files):
                if facts.unsynced or facts is self.facts.last:
                    self.facts.files[n] = facts.moved()
        for n, file in enumerate(self.points.files):
            if file.end_row > self.durable.row:
                self.points.files[n] = file.moved(self._swap)
        self.durable, self._marked, self._new_files = SpoolMark(), 0, True
        for file in self.points.files:
            os.fsync(file.fd)
        self._suspect = False

    def _swap(self, old: Rows, new: Rows) -> None:
        if self.cell and self.cell[0] is old:
            self.cell[0] = new

    def size_bytes(self) -> int:
        """Disk space that events take which the store does not have."""
        return self.points.size_bytes(self._forgotten_row) + self.facts.size_bytes()

    # -- the outbox --------------------------------------------------------------------------

    def post(self, name: str, raw: bytes) -> Path:
        """Keep an encoded segment, safe against power loss. Names grow."""
        path = self.directory / "out" / name
        step("outbox.write")
        try:
            write_durably(path, raw, lambda: step("outbox.rename"))
        except OSError as error:
            raise SpoolError(
                f"{path.parent} cannot take what is to be shipped ({error}): free disk space there."
            ) from error
        return path

    def keep_blob(self, key: str, raw: bytes) -> None:
        """Keep a payload that an event will name, safe against power loss before that."""
        path = self.blob(key)
        path.parent.mkdir(exist_ok=True)
        write_durably(path, raw)

    def blob(self, key: str) -> Path:
        """Where the payload of a key is kept until the store has it."""
        return self.directory / "blobs" / key.rpartition("/")[2]

    def posted(self) -> list[Path]:
        """The segments in the outbox, the newest first."""
        found = [p for p in (self.directory / "out").iterdir() if not p.suffix]
        return sorted(found, reverse=True)

    def forget(self, path: Path, until: SpoolMark) -> None:
        """The store has the segment at ``path``: drop all that is older. The newest one stays."""
        step("spool.forget")
        for name in os.listdir(path.parent):
            if name < path.name:
                (path.parent / name).unlink(missing_ok=True)
        with self.sync_lock, self.lock:
            self._forgotten_row = until.row
            self.points.drop_below(until.row)
            self.facts.drop_below(until.fact_file)
