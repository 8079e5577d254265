"""One writer per process and log, however many `Log` objects."""

from __future__ import annotations

import atexit
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from eventlog.backend import Backend
from eventlog.log.keep.upkeep import Upkeep
from eventlog.log.keeper import Keeper, observers_of
from eventlog.log.write.lane import Writer, close_all
from eventlog.log.write.options import Options

if TYPE_CHECKING:
    from eventlog.log.log import Log


class _TendingWriter(Writer):
    """A writer that does its share of the upkeep."""

    def __init__(self, upkeep: Upkeep, backend: Backend, options: Options, **hooks: Any) -> None:
        super().__init__(backend, options, after_ship=upkeep, **hooks)
        self._upkeep = upkeep

    def close(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        super().close(timeout_s)
        self._upkeep.finish(max(0.0, deadline - time.monotonic()))


class Shared:
    """One writer per process and log, and how many `Log` objects use it."""

    def __init__(self, key: tuple[object, ...], writer: Writer) -> None:
        self.key, self.writer, self.users = key, writer, 0


_shared: dict[tuple[object, ...], Shared] = {}
_shared_lock = threading.RLock()


def share(log: Log, options: Options) -> Shared:
    """The writer that ``log`` uses from now on; see `release`."""
    key = (log.url, options)
    with _shared_lock:
        if log._shared is not None:  # another thread of the same log was first
            return log._shared
        shared = _shared.get(key)
        if shared is None or shared.writer.closed:
            keeper = Keeper(log.backend, options)
            writer = _TendingWriter(
                Upkeep(keeper),
                log.backend,
                options,
                prepare=keeper.prepare,
                landed=observers_of(keeper),
            )
            shared = _shared[key] = Shared(key, writer)
        shared.users += 1
        log._shared = shared
        return shared


def release(log: Log, timeout_s: float) -> None:
    """``log`` uses its writer no longer; the last one closes it."""
    with _shared_lock:
        shared, log._shared = log._shared, None
        if shared is None:
            return
        shared.users -= 1
        if shared.users:
            return
        _shared.pop(shared.key, None)
    shared.writer.close(timeout_s)


def writers_of(url: str) -> list[Writer]:
    """This process's open writers to a log, whatever their options."""
    with _shared_lock:
        return [shared.writer for key, shared in _shared.items() if key[0] == url]


def _after_fork_in_child() -> None:
    global _shared_lock
    _shared_lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(close_all)
