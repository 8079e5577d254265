"""What a full disk refuses: facts wait here, in memory, and what is dropped is counted.

The training goes on meanwhile. Once there is room the facts are written in their order, and a
``lane.dropped`` says how many points and facts the log lacks.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from eventlog.log.write import warned
from eventlog.log.write.spool import NOT_HELD

if TYPE_CHECKING:
    from eventlog.log.write.spool import Spool

logger = logging.getLogger("eventlog")

BACKLOG_LIMIT = 10_000  # facts; what is beyond them is dropped


class Backlog:
    """The facts of one lane that wait for room, and what was dropped.

    Attributes:
        held: (fields, newest, row) of each fact that waits; it happened before ``row`` was taken.
        points, facts: how many were dropped that no ``lane.dropped`` tells of yet.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.RLock()  # a signal handler may log in between
        self.held: list[tuple[tuple[object, ...], bool, int]] = []
        self.points = self.facts = 0
        self._unsaid = (0, 0)

    def __bool__(self) -> bool:
        return bool(self.held or self.points or self.facts or any(self._unsaid))

    def hold(self, spool: Spool, fields: tuple[object, ...], newest: bool) -> bool:
        """Keep a fact; points that come after it are not shipped before it. False: dropped."""
        with self._lock:
            if len(self.held) >= BACKLOG_LIMIT:
                self.facts += 1
                return False
            if fields[0] is None:
                fields = (time.time_ns() // 1000, *fields[1:])
            row = spool.points.taken()
            spool.held_row = min(spool.held_row, row)
            self.held.append((fields, newest, row))
            return True

    def drop(self, points: int) -> None:
        """Do without so many points."""
        with self._lock:
            self.points += points

    def write(self, spool: Spool) -> None:
        """The facts that wait, in their order. `OSError` where there is still no room."""
        with self._lock:
            while self.held:
                fields, newest, row = self.held[0]
                spool.append(*fields, newest=newest, row=row)  # type: ignore[arg-type]
                self.held.pop(0)
                spool.held_row = self.held[0][2] if self.held else NOT_HELD

    def give_up(self, spool: Spool) -> int:
        """Drop the facts that wait; how many those were."""
        with self._lock:
            lost = len(self.held)
            self.held.clear()
            self.facts += lost
            spool.held_row = NOT_HELD
            return lost

    def report(self, spool: Spool, *, last: bool = False) -> None:
        """Say in the log what was dropped, and warn of it. `OSError` where there is no room.

        Args:
            last: warn even where the last such warning was less than a minute ago.
        """
        with self._lock:
            points, facts = self.points, self.facts
            if points or facts:
                data = f'{{"points":{points},"facts":{facts}}}'
                stream = f"lane:{spool.lane}"
                spool.append(None, "lane.dropped", stream, None, None, None, data)
                self.points -= points
                self.facts -= facts
                self._unsaid = (self._unsaid[0] + points, self._unsaid[1] + facts)
            if any(self._unsaid) and (warned.due(f"dropped in {self._root}") or last):
                (points, facts), self._unsaid = self._unsaid, (0, 0)
                logger.warning(
                    "%d points and %d facts were dropped while there was no room in %s. They are "
                    "gone; the log says how many, in events of type lane.dropped.",
                    points,
                    facts,
                    self._root,
                )
