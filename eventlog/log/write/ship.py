"""Shipping: from a spool to the store, each event once, whatever dies in between.

A `Shipper` is the state of one spool's way into the store; it has no thread of its own. The
writer's daemon drives it, and recovery drives it for a writer that is gone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from eventlog.backend import Backend
from eventlog.errors import Damage, Exists, ForkedLane, Missing
from eventlog.log import segment as sg
from eventlog.log.blob import check
from eventlog.log.segment import Header, SpoolMark
from eventlog.log.write.spool import Spool, step

if TYPE_CHECKING:
    import pyarrow as pa

SEGMENT_ROWS = 262_144
_TRIES = 8
logger = logging.getLogger("eventlog")


class Shipper:
    """How far one spool has come into the store.

    Attributes:
        lane, slot, seq: what the next segment will be.
        since: up to where the spool is encoded; ``header`` is the newest encoded segment.
        pending: the outbox file that the store has not acknowledged, if any.
        landed: called with the key and the file of each segment that is in the store now.
    """

    def __init__(self, spool: Spool, backend: Backend) -> None:
        self.spool, self.backend = spool, backend
        self.lane, self.slot, self.seq = spool.lane, 0, 0
        self.since = SpoolMark()
        self.header: Header | None = None
        self.pending: Path | None = None
        self.newest_us = 0
        self.certain = True
        self.landed: Callable[[str, Path], None] | None = None
        self._encoding = threading.Lock()
        self._putting = threading.Lock()

    @classmethod
    def resume(cls, spool: Spool, backend: Backend) -> Shipper:
        """Go on where a writer that is gone stopped: its newest segment is put (again) first.

        A damaged one is passed over, and `certain` is False: only the store knows how far the lane
        has come, and only a non-owner (see `fence`) asks it.
        """
        shipper = cls(spool, backend)
        for path in spool.posted():
            try:
                shipper._take(path, sg.split_at(path))
                break
            except Damage as damage:
                logger.error("%s", damage)
                shipper.certain = False
        return shipper

    def _take(self, path: Path, header: Header) -> None:
        self.pending, self.header = path, header
        self.lane, self.slot, self.seq = header.lane, header.slot + 1, header.end_seq
        self.since, self.newest_us = header.until, header.newest_us

    @property
    def ended(self) -> bool:
        """Whether the lane's last segment is encoded."""
        return self.header is not None and self.header.final

    def ship(self, *, final: bool = False) -> bool:
        """Put everything that is in the spool now; ``final`` ends the lane with it.

        Returns whether all of it is in the store: False where a thread is in the middle of logging
        a point, which the rest has to wait for. Raises what the store raises; calling again
        goes on where it stopped.
        """
        until = self.spool.end()
        while True:
            with self._putting:
                if self.pending is None and not self._encode(final=final):
                    return self._reached(until) and not final
                self._put()
                if self.ended or (self._reached(until) and not final):
                    return True

    def _reached(self, until: SpoolMark) -> bool:
        return self.since >= until and self.since.row >= until.row

    def _encode(self, *, final: bool) -> bool:
        """Encode the next segment into the outbox; False where there is nothing to ship."""
        from eventlog.log.write import marks, tables

        with self._encoding:
            step("ship.encode")
            ready, whole = marks.ready(self.spool, self.since), False
            while not whole:
                until, whole = tables.clip(self.spool, self.since, ready, SEGMENT_ROWS)
                built = tables.build(self.spool, self.since, until, self.lane, self.seq)
                last = final and whole and self._may_end(until, len(built.table))
                if len(built.table) or last:
                    break
                self.since = until  # nothing but holes and names: go on behind them
            else:
                return False
            header = Header(
                lane=self.lane,
                slot=self.slot,
                first_seq=self.seq,
                count=len(built.table),
                newest_us=max(self.newest_us, built.newest_us),
                final=last,
                since=self.since,
                until=until,
                holes=built.holes,
                blobs=built.blobs,
                writer=f"{self.spool.writer.host}:{self.spool.writer.pid}",
            )
            self._post(header, built.table)
            return True

    def _may_end(self, until: SpoolMark, count: int) -> bool:
        """Whether a segment of ``count`` events up to ``until`` can be the lane's last.

        Slot 0 is never last with events in it. Who dies between its landing and the answer has it
        put again by recovery; if the lane has retired by then, that would be a new lane
        with the same events. Of later slots a reader finds nothing where slot 0 is gone.
        """
        end = self.spool.end()
        return until >= end and until.row >= end.row and (self.slot > 0 or not count)

    def _post(self, header: Header, table: pa.Table) -> None:
        header, raw = sg.encode(header, table)
        self._take(self.spool.post(_outbox_name(header), raw), header)

    def _put(self) -> None:
        """Put the pending segment, and settle it whatever the store answers."""
        assert self.pending is not None
        assert self.header is not None
        for _ in range(_TRIES):
            step("ship.put")
            self._put_blobs(self.header.blobs)
            key = sg.segment_key(self.header.lane, self.header.slot)
            try:
                self.backend.put_new_file(key, self.pending)
            except Exists:
                there = self._read(key)
                if there is None:
                    continue
                if there.kind == "seal":
                    if self.fence(there):
                        continue
                    return
                if not there.same_put(self.header):
                    raise self._forked(key) from None
            return self._acknowledged(self.header, self.pending)
        raise self._forked(sg.segment_key(self.header.lane, self.header.slot))

    def _acknowledged(self, header: Header, path: Path) -> None:
        """The store has the pending segment."""
        step("ship.landed")
        if self.landed is not None:
            self.landed(sg.segment_key(header.lane, header.slot), path)
        self.spool.forget(path, self.since)
        for blob in header.blobs:
            self.spool.blob(blob).unlink(missing_ok=True)
        self.pending = None

    def _read(self, key: str) -> Header | None:
        """What lies where we wanted to put; None if it has been compacted away meanwhile."""
        try:
            return sg.split(key, self.backend.get(key))[0]
        except Missing:
            return None

    def _put_blobs(self, keys: tuple[str, ...]) -> None:
        """Payloads come before the events that name them; one that is gone here is there."""
        for key in keys:
            try:
                with open(self.spool.blob(key), "rb") as source:
                    self.backend.put_blob(key, source)
            except Exists:
                check(self.backend, key)  # ours goes only if theirs is whole
            except FileNotFoundError:
                continue

    def fence(self, ending: Header) -> bool:
        """Somebody ended our lane at ``ending.end_seq``: go on in the lane of the next name.

        What the store had not taken by then is encoded anew under the new name, in the same order.
        Returns whether there was anything.
        """
        with self._encoding:
            header, pending = self.header, self.pending
            if header is not None and header.lane != self.lane:
                header = None  # of the lane before this one
            base, _, number = self.lane.partition("~")
            lane = f"{base}~{int(number or 0) + 1}"
            known_seq = header.end_seq if header is not None else 0
            if ending.end_seq > known_seq:
                self._catch_up(ending)
            elif ending.end_seq < known_seq and (
                header is None or pending is None or ending.end_seq != header.first_seq
            ):
                raise self._forked(sg.segment_key(ending.lane, ending.slot))
            self.lane, self.slot, self.seq, self.pending = lane, 0, 0, None
            if header is None or pending is None or ending.end_seq >= known_seq:
                return False
            key = sg.segment_key(header.lane, header.slot)
            _, table = sg.decode(key, pending.read_bytes())
            fields = {"lane": lane, "slot": 0, "first_seq": 0, "final": False}
            self._post(msgspec.structs.replace(header, **fields), _relabel(table, lane))
            return True

    def _catch_up(self, ending: Header) -> None:
        """The store has more of this spool than its outbox knows: the last segment tells how much.

        So it is where a live spool was copied, or where the newest file of the outbox is damaged.
        """
        key = sg.segment_key(ending.lane, ending.slot - 1)
        last = self._read(key)
        if last is None or last.end_seq != ending.end_seq:
            raise ForkedLane(
                key,
                f"the store holds more of lane {ending.lane} than {self.spool.directory} knows to "
                "have shipped, and compaction has taken what tells how much",
                "The directory was copied from a live log, or damaged. What the store lacks is in "
                "its facts and points files; the log it was copied from has all of it.",
            )
        self.since, self.newest_us = last.until, last.newest_us
        self.spool.go_behind(self.since)

    def _forked(self, key: str) -> ForkedLane:
        return ForkedLane(
            key,
            "another writer wrote different events under this writer's name",
            f"Was the directory {self.spool.directory} copied while in use? Keep both: "
            f"`eventlog sync --adopt` on the copy's machine writes its events under a new name.",
        )

    def tail(self) -> pa.Table:
        """What the store has not acknowledged, with the seq that each event will have."""
        import pyarrow as pa

        from eventlog.log.write import marks, tables

        with self._encoding:
            parts, pending = [], self.pending  # which may be acknowledged meanwhile
            if pending is not None and self.header is not None:
                key = sg.segment_key(self.header.lane, self.header.slot)
                parts.append(sg.decode(key, pending.read_bytes())[1])
            here = marks.settled(self.spool, self.since)
            parts.append(tables.build(self.spool, self.since, here, self.lane, self.seq).table)
        return pa.concat_tables(parts).unify_dictionaries()


def _outbox_name(header: Header) -> str:
    incarnation = int(header.lane.partition("~")[2] or 0)
    return f"{incarnation:06d}-{header.slot:012d}"


def _relabel(table: pa.Table, lane: str) -> pa.Table:
    """The same events as seq 0, 1, 2 … of another lane."""
    import numpy as np
    import pyarrow as pa

    lanes = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(len(table), np.int32)), pa.array([lane], pa.string())
    )
    table = table.set_column(0, table.schema.field("lane"), lanes)
    return table.set_column(
        1, table.schema.field("seq"), pa.array(np.arange(len(table), dtype=np.int64))
    )
