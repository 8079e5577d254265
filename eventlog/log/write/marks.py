"""Places in a spool: up to where it can be shipped, and in which order.

Within one lane a fact comes after all rows that were taken before it was written. Each fact tells
how many those were; where a row is still in flight, the facts behind it have to wait for it. A mark
made here never falls between a fact and a row that comes before it; so however a spool is cut into
segments, and whatever a process reads of it before it ships, the order is one and the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from eventlog.errors import Damage
from eventlog.log.segment import SpoolMark
from eventlog.log.write import facts as ff
from eventlog.log.write.spool import Spool

FLIGHT_LIMIT_S = 1.0


def ready(spool: Spool, since: SpoolMark) -> SpoolMark:
    """Up to where events can be shipped from ``since`` on: what lies below is safe and settled.

    No row below it is in flight, and no fact below it was written after a row beyond it.
    """
    with spool.sync_lock:
        here = spool.end()
        row = min(spool.points.advance(), here.row, spool.held_row)
        spool.sync()
        return _in_order(spool, since, here, row)


def settled(spool: Spool, since: SpoolMark) -> SpoolMark:
    """Everything written by now, for a process that reads its own events.

    Waits for rows in flight, so that who logs and then reads sees all that it logged.
    """
    with spool.sync_lock:
        here, deadline = spool.end(), time.monotonic() + FLIGHT_LIMIT_S
        while spool.points.advance() < here.row and time.monotonic() < deadline:
            time.sleep(0.0005)
        return _in_order(spool, since, here, min(spool.points.prefix, here.row, spool.held_row))


def _in_order(spool: Spool, since: SpoolMark, here: SpoolMark, row: int) -> SpoolMark:
    """``here``, or less: rows below ``row`` only, and no fact that comes after any other row."""
    if row >= here.row:
        return here
    reached = (since.fact_file, since.fact_byte)
    for number, record, end in records(spool, since, here):
        if record[0] == ff.EVENT and record[8] > row:
            break
        reached = (number, end)
    return SpoolMark(*reached, row)


def records(
    spool: Spool, since: SpoolMark, until: SpoolMark
) -> Iterator[tuple[int, list[Any], int]]:
    """(file number, record, byte after it) of all records between two marks."""
    for file in list(spool.facts.files):
        if not since.fact_file <= file.number <= until.fact_file:
            continue
        start = since.fact_byte if file.number == since.fact_file else 0
        end = until.fact_byte if file.number == until.fact_file else file.size
        # A copy of a spool may be older than its own outbox: then there is less than `since`.
        for record, at in _framed(file, min(start, end), end):
            yield file.number, record, at


def _framed(file: ff.FactFile, start: int, end: int) -> list[ff.Framed]:
    """The records in the bytes ``start:end`` of a file of facts, and the bytes after them."""
    framed, length = ff.parse(file.read(start, end))
    if start + length == end:
        return [ff.Framed(record, start + at) for record, at in framed]
    # What the disk damaged may begin before ``start``, among what was shipped.
    framed, length = ff.parse(file.read(0, end))
    if length != end:
        what = f"the frame at byte {length} is not what was written"
        raise Damage(str(file.path), what)
    return [frame for frame in framed if frame.end > start]
