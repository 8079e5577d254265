"""A log looked after: what is done for it besides writing events and asking for them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from eventlog.backend import Backend
from eventlog.errors import LogClosed
from eventlog.log import create
from eventlog.log.clock import AHEAD_LIMIT_US, now_us, witness, witnessed_us
from eventlog.log.keep import SEAL_SILENT_DAYS, TARGET_ROWS
from eventlog.log.progress import Progress, silent
from eventlog.log.segment import decode
from eventlog.log.write.lane import Writer
from eventlog.log.write.options import Options
from eventlog.plugin import call_observers, is_observed

if TYPE_CHECKING:
    from eventlog.log.keep import collect, compact, verify
    from eventlog.log.keep.recover import SyncReport
    from eventlog.log.read.reader import Reader

logger = logging.getLogger("eventlog")


class Keeper:
    """Reads a log and keeps it in order; writes no events of its own.

    Attributes:
        backend: the store.
        url: how it was named, without secrets.
    """

    def __init__(self, backend: Backend, options: Options | None = None) -> None:
        self.backend = backend
        self.url = backend.url
        self._options = options or Options()
        self._closed = False
        self._reader: Reader | None = None

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _refuse_closed(self) -> None:
        if self._closed:
            raise LogClosed("the log is closed: open it again with eventlog.open().")

    def _own(self) -> Writer | None:
        """The writer whose spool is nobody else's to ship."""
        return None

    def _witness(self, newest_us: int) -> None:
        """A snapshot holds a fact of that time, microseconds since 1970."""
        witness(self.url, newest_us)

    def reader(self) -> Reader:
        """The read side: snapshots, positions, Arrow tables. `NotALog` where there is no log."""
        self._refuse_closed()
        from eventlog.log.cache import cache_for
        from eventlog.log.manifest import read_format
        from eventlog.log.read.reader import Reader

        if self._reader is None:
            log_id = read_format(self.backend).log_id
            cache = cache_for(self.backend, log_id)
            self._reader = Reader(self.backend, cache, self._witness)
        return self._reader

    def prepare(self) -> int:
        """Make the log if there is none; returns the newest time in it, microseconds."""
        from eventlog.log import manifest

        found = create.ensure_log(self.backend)
        newest_us = manifest.load(self.backend, found.log_id).newest_us
        if newest_us > now_us() + AHEAD_LIMIT_US:
            logger.warning(
                "%s holds events of more than a day in the future: a clock was wrong. This "
                "process goes by its own.",
                self.url,
            )
            newest_us = 0
        return max(newest_us, witnessed_us(self.url))

    def sync(self, *, adopt: bool = False) -> SyncReport:
        """Ship what dead writers on this machine left behind.

        Args:
            adopt: take over what another machine's writer left in this directory too, such as
                after a copy or a mount. It must be dead: its later events would be refused.

        Returns:
            Which lanes were shipped, and which were left and why.
        """
        self._refuse_closed()
        from eventlog.log.keep.recover import SyncReport, lanes_in, recover_all

        root, writer = self._spool_root(), self._own()
        own = writer.spool.lane if writer is not None and writer.spool is not None else None
        if all(path.name == own for path in lanes_in(root)):
            return SyncReport()
        create.ensure_log(self.backend)
        landed = observers_of(self)
        return recover_all(self.reader(), root, adopt=adopt, skip=own, landed=landed)

    def waiting(self) -> list[str]:
        """The lanes with a spool on this machine, whose events may not all be in the store."""
        from eventlog.log.keep.recover import lanes_in

        return [directory.name for directory in lanes_in(self._spool_root())]

    def _spool_root(self) -> Path:
        from eventlog.log.write.identity import spool_root

        writer = self._own()
        root = writer.root if writer is not None else self._options.spool
        return root or spool_root(self.backend)

    def compact(
        self,
        *,
        engine: str = "local",
        target_rows: int = TARGET_ROWS,
        seal_silent_days: float = SEAL_SILENT_DAYS,
        most_segments: int | None = None,
    ) -> compact.Report:
        """Merge small segments into sorted Parquet, and small files into larger ones.

        Safe beside writers, readers and other compactors, and to be killed at any point.

        Args:
            engine: where the work is done; "local" is this process.
            target_rows: the rows of a final file.
            seal_silent_days: end a lane that wrote nothing for so long, by the store's clock.
            most_segments: leave what is beyond so many to a later compaction; None takes them all.

        Example:
            >>> log.compact().events
            1000
        """
        from eventlog.log.keep.compact import compact

        return compact(
            self.reader(),
            engine=engine,
            target_rows=target_rows,
            seal_silent_days=seal_silent_days,
            most_segments=most_segments,
        )

    def collect(self, *, grace_s: float = 3600.0, dry_run: bool = False) -> collect.Report:
        """Delete what no reader can need any more: segments and files that compaction replaced.

        Args:
            grace_s: how long replaced data files are kept for readers that began with them.
            dry_run: only report.
        """
        from eventlog.log.keep.collect import collect

        return collect(self.reader(), grace_s=grace_s, dry_run=dry_run)

    def verify(self, *, progress: Progress = silent) -> verify.Report:
        """Read every object of the log and check it; the report names all that is damaged."""
        from eventlog.log.keep.verify import verify

        return verify(self.reader(), progress=progress)


def observers_of(log: Keeper) -> Callable[[str, Path], None]:
    """Tells plugins of each segment that has landed, where any of them wants to know."""

    def landed(key: str, path: Path) -> None:
        if is_observed("events_shipped"):
            _, events = decode(key, path.read_bytes())
            call_observers("events_shipped", log=log, events=events)

    return landed
