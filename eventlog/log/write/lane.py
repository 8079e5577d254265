"""The writer: this process's present lane, opened by the first write, replaced after a fork.

A `Writer` belongs to one process and one log. Prepared handles hold on to it for good; what changes
underneath them (a new file, a new lane, a forked child) shows in its one mutable `cell`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from eventlog.backend import Backend
from eventlog.errors import LogClosed, SpoolError, SpoolFull
from eventlog.log.write import facts as ff
from eventlog.log.write import warned
from eventlog.log.write.backlog import Backlog
from eventlog.log.write.daemon import Daemon
from eventlog.log.write.identity import new_lane_id, remove_volatile_root, spool_root
from eventlog.log.write.inside import inside_here
from eventlog.log.write.lock import sweep_unborn
from eventlog.log.write.names import Names
from eventlog.log.write.options import Options
from eventlog.log.write.points import Rows
from eventlog.log.write.ship import Shipper
from eventlog.log.write.spool import Spool

if TYPE_CHECKING:
    import mmap

    import pyarrow as pa

logger = logging.getLogger("eventlog")

_RETRY_S = 0.1
WAITING = (
    "Until there is room, new points are dropped and counted, and facts wait in memory: they are "
    "lost if this process is killed before."
)
DROPPING = "New facts are dropped now, as points are: the log will lack them, and say how many."
AT_LIMIT = "Until there is room, new points are dropped and counted; facts are still kept."


def _no_rows() -> Rows:
    no_map: mmap.mmap = None  # type: ignore[assignment]
    empty = memoryview(b"")
    return Rows(lambda: 0, lambda n: 0, no_map, 0, empty, empty.cast("d"))


class Writer:
    """Takes facts and points for one log; see `Log` for the public face.

    Args:
        prepare: makes or checks the log in the store; called on the daemon's thread, or for a
            local store at the first write. Returns the newest time in the log, microseconds.
        after_ship: called on the daemon's thread when something has landed.
        landed: see `Shipper`.
    """

    def __init__(
        self,
        backend: Backend,
        options: Options,
        *,
        prepare: Callable[[], int],
        after_ship: Callable[[], None],
        landed: Callable[[str, Path], None] | None = None,
    ) -> None:
        self.backend, self.options = backend, options
        self._prepare, self._after_ship, self._landed = prepare, after_ship, landed
        self.root = options.spool or spool_root(backend)
        self.names = Names()
        self.cell: list[Rows] = [_no_rows()]
        self.closed = False
        self._reset()
        _WRITERS.add(self)

    def _reset(self) -> None:
        self.spool: Spool | None = None
        self.shipper: Shipper | None = None
        self.daemon: Daemon | None = None
        self.backlog = Backlog(self.root)
        self.announced: dict[str, int] = {}  # claims by chain that this process has announced
        self._lock = threading.RLock()
        self._retry_at = 0.0

    # -- the lane ----------------------------------------------------------------------------

    def opened(self) -> Spool:
        """The present spool, opened now if this is the first write."""
        spool = self.spool
        if spool is not None:
            return spool
        with self._lock:
            if self.closed:
                raise LogClosed("the log is closed: open it again with eventlog.open().")
            if self.spool is None:
                self._open_lane()
            assert self.spool is not None
            return self.spool

    def _open_lane(self) -> None:
        local = self.backend.local_root is not None
        newest_us = self._prepare() if local else 0
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            sweep_unborn(self.root)
            locked = self.options.locked
            spool = Spool.create(
                self.root,
                new_lane_id(),
                self.names,
                self.cell,
                locked=_without_gil() if locked is None else locked,
            )
        except OSError as error:
            raise SpoolError(
                f"{self.root} cannot hold unshipped events ({error}): make it writable, or set "
                "EVENTLOG_STATE to a local directory with room."
            ) from error
        spool.clock_us = newest_us
        shipper = Shipper(spool, self.backend)
        shipper.landed = self._landed
        daemon = Daemon(
            shipper,
            self.options.ship_s or self.backend.ship_s,
            prepare=None if local else self._prepare_remote,
            every_tick=self.retry,
            after_ship=self._after_ship,
        )
        if self.spool is not None:  # a signal handler came in between and logged
            spool.delete()
            return
        self.spool, self.shipper, self.daemon = spool, shipper, daemon
        daemon.start()
        _close_with_child_process()

    def _prepare_remote(self) -> None:
        if self.spool is not None:
            newest_us = self._prepare()
            with self.spool.lock:
                self.spool.clock_us = max(self.spool.clock_us, newest_us)

    def forget_parent(self) -> None:
        """In a forked child: the lane is the parent's; the next write opens one of our own."""
        spool = self.spool
        self.cell[0] = _no_rows()
        self._reset()
        if self.backend.volatile and self.options.spool is None:
            self.root = spool_root(self.backend)
        self.names.lock = threading.RLock()
        if spool is not None:
            # Closing the inherited descriptor gives up nothing: the parent's lock stays. Unlocking
            # would free it under the parent.
            spool.close()

    # -- writing -----------------------------------------------------------------------------

    def ids(self, stream: str, keys: Iterable[str]) -> list[tuple[int, int]]:
        """The (stream, key) numbers of a handle, written down in the spool."""
        spool = self.opened()
        try:
            number = spool.name(ff.STREAM, stream)
            return [(number, spool.name(ff.KEY, key)) for key in keys]
        except OSError as error:
            raise SpoolFull(self._full(error)) from error

    def append(
        self,
        time_us: int | None,
        type_: str,
        stream: str,
        key: str | None,
        step: int | None,
        value: float | None,
        data: str | None,
        newest: bool,
    ) -> None:
        """One event into the spool. On a full disk it waits in memory, with a warning."""
        fields = (time_us, type_, stream, key, step, value, data)
        spool, backlog = self.opened(), self.backlog
        if backlog.held:
            self.retry()
        if not backlog.held:
            try:
                return spool.append(*fields, newest=newest)
            except OSError as error:
                if self.options.strict:
                    raise SpoolFull(self._full(error)) from error
                self._warn("full", f"{self._full(error)} {WAITING}")
        if not backlog.hold(spool, fields, newest):
            why = f"{len(backlog.held)} facts wait in memory, and more may not"
            self._warn("dropping", f"{self._full(why)} {DROPPING}", logging.ERROR)
        return None

    def drop(self, count: int, error: SpoolFull) -> None:
        """Do without ``count`` points, as there is no room; where that is strict, raise instead."""
        if self.options.strict:
            raise error
        self._warn("full", f"{error} {WAITING}")
        self.backlog.drop(count)

    def later(self, rows: Rows, count: int) -> bool:
        """Make room for ``count`` more rows; False when they must be dropped (they are counted)."""
        spool = self.opened()
        if self.cell[0] is not rows and self.cell[0].capacity:
            return True
        if time.monotonic() >= self._retry_at:
            if self._grow(spool, rows):
                return True
        elif self.options.strict:
            raise SpoolFull(self._full("no room since a moment ago"))
        self.backlog.drop(count)
        return False

    def _grow(self, spool: Spool, rows: Rows) -> bool:
        """A new file for points; False, and a warning, where there is no room for one."""
        what, then = "full", WAITING
        try:
            if spool.size_bytes() > self.options.spool_limit_bytes:
                what, then = "limit", AT_LIMIT
                raise OSError(errno.EDQUOT, "the spool has reached its limit")
            spool.grow(rows)
        except OSError as error:
            self._retry_at = time.monotonic() + _RETRY_S
            self.cell[0] = _no_rows()
            if self.options.strict:
                raise SpoolFull(self._full(error)) from error
            self._warn(what, f"{self._full(error)} {then}")
            return False
        return True

    def retry(self) -> None:
        """Write what a full disk refused, in its order, and say what had to be dropped."""
        spool = self.spool
        if spool is None or not self.backlog:
            return
        with self._lock, contextlib.suppress(OSError):
            self.backlog.write(spool)
            if time.monotonic() > self._retry_at + _RETRY_S:
                self.backlog.report(spool)

    def _full(self, why: object) -> str:
        return (
            f"no room for events in {self.root} ({why}): free disk space, or raise "
            f"spool_limit_bytes and look whether {self.backend.url} can be reached."
        )

    def _warn(self, what: str, message: str, level: int = logging.WARNING) -> None:
        if warned.due(f"{what} {self.root}"):
            logger.log(level, "%s", message)

    # -- safety ------------------------------------------------------------------------------

    def flush(self) -> None:
        """Everything that returned by now survives power loss."""
        spool = self.spool
        if spool is None:
            return
        self.retry()
        if self.backlog.held:
            raise SpoolFull(self._full(f"{len(self.backlog.held)} facts wait in memory"))
        spool.sync(spool.end())

    def ship(self, timeout_s: float) -> None:
        """Everything that returned by now survives the loss of this machine."""
        if self.daemon is not None and self.spool is not None:
            self._refuse_in_handler(self.spool)
            self.daemon.ship_now(timeout_s)

    def _refuse_in_handler(self, spool: Spool) -> None:
        """Whoever ships would wait for the call that a signal handler interrupted, for ever."""
        if spool.writing_here() or inside_here():
            raise SpoolError(
                "a signal handler came in the middle of a call that logs, so it cannot wait for "
                "the store. Ship after the handler has returned; flush() works here."
            )

    def tail(self) -> pa.Table | None:
        """What of this process the store has not acknowledged, or None."""
        return self.shipper.tail() if self.shipper is not None else None

    def close(self, timeout_s: float) -> None:
        """End the lane; what the store does not take in time stays for the next opener."""
        with self._lock:
            if self.closed:
                return
            self.retry()
            self.closed = True
            self.cell[0] = _no_rows()
            spool, daemon = self.spool, self.daemon
            lost = self.backlog.give_up(spool) if spool is not None else 0
        if spool is None or daemon is None:
            return
        if lost:
            logger.warning("%s", self._full(f"{lost} facts are lost"))
        with contextlib.suppress(OSError):
            self.backlog.report(spool, last=True)
        spool.finish()
        try:
            self._refuse_in_handler(spool)
            daemon.ship_now(timeout_s, final=True)
            daemon.join(timeout_s)
            spool.delete()
        except BaseException as error:
            self._leave(spool, daemon, error)
            if not isinstance(error, Exception):  # Ctrl-C: somebody will not wait
                raise
        finally:
            self.spool = self.shipper = self.daemon = None

    def _leave(self, spool: Spool, daemon: Daemon, error: BaseException) -> None:
        """Let go of a spool that holds what the store has not taken."""
        url, why = self.backend.url, ""
        if not isinstance(error, Exception):
            why = f" ({type(error).__name__})"
        elif warned.due(f"away {url}"):
            why = f" ({str(error).rstrip('.')})"
        logger.warning(
            "the log was closed before %s took all events%s. What is left lies in %s and is "
            "shipped by the next process that uses the log, or by `eventlog sync`.",
            url,
            why,
            spool.directory,
        )
        # It may still wait for the store, with our files in use and our lock held.
        daemon.stop(then=spool.close)


def _without_gil() -> bool:
    import sys

    return not getattr(sys, "_is_gil_enabled", lambda: True)()


_WRITERS: weakref.WeakSet[Writer] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for writer in list(_WRITERS):
        writer.forget_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def close_all() -> None:
    """Close every open writer of this process; called when the interpreter exits."""
    timeout_s = 30.0
    for writer in list(_WRITERS):
        try:
            writer.close(timeout_s)
        except KeyboardInterrupt:  # who will not wait for this store waits for no other
            timeout_s = 0.0
    remove_volatile_root()


def _close_with_child_process() -> None:
    """A child of `multiprocessing` leaves without running atexit: hook into its own ending."""
    import sys

    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, close_all, exitpriority=100)
