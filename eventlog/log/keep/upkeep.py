"""What a writer does for the log besides writing: dead neighbours' spools, then compaction.

A sweep is thousands of processes that ship once, as they close. Were each to look what there is to
compact, the sweep would cost the square of its size; were none to wait until its work is done,
nothing would ever be compacted. So one in `LOOK_SHARE` looks, and waits.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from typing import TYPE_CHECKING

from eventlog.log import manifest as mf
from eventlog.log import segment as sg

if TYPE_CHECKING:
    from eventlog.log.keeper import Keeper
    from eventlog.log.read.reader import Reader

logger = logging.getLogger("eventlog")

COMPACT_EVERY = 256  # segments that a writer ships before it looks whether to compact
LOOK_SHARE = 32  # one in so many writers looks at its first shipment, too
MOST_SEGMENTS = 512  # that such a one compacts: a second or two
CLOSE_WAIT_S = 10.0
MAYBE_BYTES = 1 << 20  # of segments, few as they are, that may hold rows enough to compact


class Upkeep:
    """The upkeep by one writer of ``log``.

    Called on the daemon's thread after each shipment; the work is done on a thread of its own.
    """

    def __init__(self, log: Keeper) -> None:
        self._log, self._shipped, self._pid = log, 0, os.getpid()
        self._thread: threading.Thread | None = None

    def __call__(self) -> None:
        if self._pid != os.getpid():  # a forked child is a writer of its own
            self._shipped, self._pid = 0, os.getpid()
        self._shipped += 1
        first = self._shipped == 1
        if not first and self._shipped % COMPACT_EVERY:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        look = not first or secrets.randbelow(LOOK_SHARE) == 0
        thread = threading.Thread(
            target=self._work, args=(first, look), name="eventlog-upkeep", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending, and waits for the daemon's thread
            self._work(first, look)
        else:
            self._thread = thread

    def finish(self, timeout_s: float) -> None:
        """Wait for what is under way: a thread that its process leaves behind has done nothing."""
        if self._thread is not None:
            self._thread.join(min(timeout_s, CLOSE_WAIT_S))

    def _work(self, first: bool, look: bool) -> None:
        try:
            self._log.sync()
            if look:
                self._compact(first)
        except Exception as error:
            logger.warning("upkeep of %s failed and is tried again later: %s", self._log.url, error)

    def _compact(self, first: bool) -> None:
        from eventlog.log.keep.compact import should_compact

        reader = self._log.reader()
        if is_backlog(reader) and should_compact(reader.snapshot(damage="skip"), closing=first):
            self._log.compact(most_segments=MOST_SEGMENTS if first else None)
            self._log.collect()


def is_backlog(reader: Reader) -> bool:
    """Whether there may be enough to compact and nobody is at it, as far as listings tell."""
    from eventlog.log.keep.compact import WORTH_SEGMENTS, is_under_way

    backend = reader.backend
    newest = mf.load(backend, reader.format.log_id)
    count = size_bytes = 0
    for entry in backend.list("wal/"):
        place = sg.parse_key(entry.key)
        mark = newest.lanes.get(place.lane) if place else None
        if place is None or (mark and (mark.ended or place.slot < mark.slot)):
            continue
        count, size_bytes = count + 1, size_bytes + entry.size_bytes
        if count >= WORTH_SEGMENTS or size_bytes >= MAYBE_BYTES:
            return not is_under_way(backend, newest.version + 1)
    return False
