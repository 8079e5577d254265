"""A store in memory that misbehaves as networks do, by a seeded chance.

What the protocol assumes of a store, and what it does not:

- `put_new` creates or refuses, atomically, however badly its answer travels. An answer may be lost
  (the put took effect, the caller hears `Unavailable`); a retry inside the client may turn its own
  success into `Exists`; a put that was given up may still land later, up to ``late_put_s``.
- Listings of ``wal/``, ``manifest/``, ``data/`` and ``claims/`` show every object that was created
  before they began (S3, GCS, Azure and POSIX do so). The protocol *needs* that: it finds the newest
  manifest by listing. Only the advisory parts may be stale: ``compacting/``.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eventlog.backend import Entry
from eventlog.errors import Exists, Unavailable
from tests.simulation.store import SimStore


@dataclass
class Odds:
    """How likely each fault is, per verb."""

    refused: float = 0.002  # nothing happened, and the caller hears Unavailable
    lost_answer: float = 0.02  # it happened, and the caller hears Unavailable
    own_exists: float = 0.02  # it happened, and the caller hears Exists
    delayed: float = 0.01  # the caller hears Unavailable, and it happens later
    stale_list: float = 0.3  # of advisory listings


class FaultyStore(SimStore):
    """`SimStore` with faults. ``calm`` switches them off."""

    def __init__(self, seed: int, *, late_put_s: float, odds: Odds | None = None) -> None:
        self._chance = random.Random(seed)
        self._odds = odds or Odds()
        self._delayed: list[tuple[dt.datetime, str, bytes]] = []
        self.calm = True
        self.faults = 0
        super().__init__(late_put_s)
        self.calm = False

    def pass_time(self, seconds: float) -> None:
        super().pass_time(seconds)
        self.land_delayed()

    def land_delayed(self, *, all_of_them: bool = False) -> None:
        """Let late puts take effect whose time has come."""
        due = [put for put in self._delayed if all_of_them or put[0] <= self.now]
        self._delayed = [put for put in self._delayed if put not in due]
        for _, key, data in due:
            if key not in self.objects:
                self.objects[key] = (data, self.now)

    def _happens(self, odds: float) -> bool:
        happens = not self.calm and self._chance.random() < odds
        self.faults += happens
        return happens

    def put_new(self, key: str, data: bytes) -> None:
        if self._happens(self._odds.refused):
            raise Unavailable("503, nothing happened")
        if self._happens(self._odds.delayed):
            wait_s = self._chance.uniform(0, self.late_put_s)
            self._delayed.append((self.now + dt.timedelta(seconds=wait_s), key, bytes(data)))
            raise Unavailable("no answer in time")
        super().put_new(key, data)
        if self._happens(self._odds.lost_answer):
            raise Unavailable("the answer was lost")
        if self._happens(self._odds.own_exists):
            raise Exists("a retry met its own success")

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if self._happens(self._odds.refused):
            raise Unavailable("503")
        return super().get(key, start, end)

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        if self._happens(self._odds.refused):
            raise Unavailable("503")
        entries = super().list(prefix, start_after)
        if prefix.startswith("compacting/") and self._happens(self._odds.stale_list):
            return iter(())
        return entries

    def delete(self, keys: Sequence[str]) -> None:
        """Deletes a part, sometimes, and says that it failed."""
        if self._happens(self._odds.refused):
            super().delete([key for key in keys if self._chance.random() < 0.5])
            raise Unavailable("503 in the middle of a batch")
        super().delete(keys)
