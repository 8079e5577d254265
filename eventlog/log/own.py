"""A process reads what it wrote: its own events that the store has not acknowledged."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from eventlog.backend import Backend
from eventlog.log import blob, create
from eventlog.log.shared import writers_of

if TYPE_CHECKING:
    import pyarrow as pa

    from eventlog.log.read.reader import Reader
    from eventlog.log.read.snapshot import OnDamage, Snapshot


def create_for_tail(backend: Backend) -> None:
    """Make the log if all there is of it yet is in our spools."""
    if any(writer.spool is not None for writer in writers_of(backend.url)):
        create.ensure_log(backend)


def tail_and_snapshot(reader: Reader, damage: OnDamage) -> tuple[pa.Table | None, Snapshot]:
    """First our own tail, then the store.

    What is shipped in between is seen there, and dropped from the tail by its identity; the other
    way round it would be in neither. Where somebody sealed our lane in between, the tail has new
    identities: take it again.
    """
    while True:
        tail = _tail(reader.backend.url)
        snapshot = reader.snapshot(damage)
        if tail is None or not _outdated(tail, snapshot):
            return tail, snapshot


def _tail(url: str) -> pa.Table | None:
    """What this process has not shipped, of all its writers to the log."""
    import pyarrow as pa

    tails = [tail for writer in writers_of(url) if (tail := writer.tail()) is not None]
    tails = [tail for tail in tails if len(tail)]
    return pa.concat_tables(tails).unify_dictionaries() if tails else None


def _outdated(tail: pa.Table, snapshot: Snapshot) -> bool:
    """Whether the tail has events beyond the end of a lane that somebody sealed."""
    import pyarrow.compute as pc

    ends = {lane: state.next_seq for lane, state in snapshot.lanes.items() if state.ended}
    for lane in set(pc.unique(tail["lane"]).to_pylist()) & set(ends):
        if pc.max(tail.filter(pc.equal(tail["lane"], lane))["seq"]).as_py() >= ends[lane]:
            return True
    return False


def resolve(backend: Backend, mark: str) -> str:
    """The payload behind a mark, from our own spool while the store does not have it."""
    for writer in writers_of(backend.url):
        if writer.spool is not None:
            with contextlib.suppress(FileNotFoundError):
                return writer.spool.blob(blob.parse_mark(mark).key).read_text("utf-8")
    return blob.resolve(backend, mark)
