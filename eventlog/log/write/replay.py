"""What counts of the spool that a writer left which is gone.

Killed, it left all that the page cache held; then a bad frame is damage, and what is whole behind
it counts. After a power cut a bad frame is where the disk was left behind: what follows may be
anything, and only what the last durable mark covers is sure.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from eventlog.log.segment import SpoolMark
from eventlog.log.write import facts as ff
from eventlog.log.write.points import last_written

if TYPE_CHECKING:
    from eventlog.log.write.spool import Spool


def replay(spool: Spool, *, same_boot: bool) -> None:
    """Read the facts; settle which rows count."""
    marked = known = 0
    for file in spool.facts.files:
        if same_boot:
            spool.damage += file.mend(damaged_copy(spool, file.path.name))
        framed, end = ff.parse(file.read())
        spool.lost_bytes += 0 if same_boot else file.size - end
        file.size = end
        for record, _ in framed:
            if record[0] == ff.NAME:
                spool.names.add(record[1], record[2], record[3])
            elif record[0] == ff.DURABLE:
                marked = max(marked, record[1])
            else:
                spool.clock_us = max(spool.clock_us, record[1])
                known = max(known, record[8])
    rows = last_written(spool.points.files)
    if same_boot:
        spool.lost_rows = spool.points.lost(max(marked, known))
    else:
        # A row beyond the last mark may be anything. What looks written there is counted, so that
        # the loss has a name.
        spool.lost_rows = spool.points.lost(marked) + max(0, rows - marked)
        rows = min(rows, marked)
    spool.points.void_from(rows)
    # A torn frame may end the last file: what recovery adds goes into a new one. It repeats the
    # names, as it may outlive the files before it if this recovery dies half-way.
    spool.facts.begin(spool.names.records())
    spool.durable = SpoolMark(spool.facts.last.number, 0, rows)


def damaged_copy(spool: Spool, name: str) -> Path:
    """Where a copy of a damaged file is kept: beside the spools, and taken for none of them."""
    return spool.directory.parent / ".damaged" / f"{spool.lane}-{name}"
