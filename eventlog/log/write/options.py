"""How a writer behaves."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from eventlog.errors import UsageError
from eventlog.event import shown

SPOOL_LIMIT_BYTES = 10 << 30
_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # also what a Path makes of one


@dataclass(frozen=True)
class Options:
    """How a writer behaves; `UsageError` for what makes no sense.

    Attributes:
        strict: raise where the default warns and goes on (a full disk).
        spool_limit_bytes: how much unshipped data may wait on local disk.
        spool: where spools lie; None chooses (see identity.spool_root).
        ship_s: (first, longest) seconds between shipments; None takes the backend's.
        locked: take rows under a lock; None does so on builds without a GIL.
    """

    strict: bool = False
    spool_limit_bytes: int = SPOOL_LIMIT_BYTES
    spool: Path | None = None
    ship_s: tuple[float, float] | None = None
    locked: bool | None = None

    def __post_init__(self) -> None:
        limit = self.spool_limit_bytes
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
            raise UsageError(
                "spool_limit_bytes must be a whole number of bytes, 0 or more, such as 10 << 30; "
                f"not {shown(limit)}."
            )
        if self.spool is not None and _URL.match(os.fspath(self.spool)):
            raise UsageError(
                f"spool={os.fspath(self.spool)!r} must be a directory of this machine: events wait "
                "there for the store."
            )
        if self.ship_s is None:
            return
        if not _is_pause(self.ship_s):
            raise UsageError(
                "ship_s must be two numbers of seconds, (first, longest), such as (2, 15), more "
                f"than 0 and the second not below the first; not {shown(self.ship_s)}."
            )
        object.__setattr__(self, "ship_s", tuple(self.ship_s))  # options are a key: hashable


def _is_pause(ship_s: object) -> bool:
    if not isinstance(ship_s, tuple | list) or len(ship_s) != 2:
        return False
    first, longest = ship_s
    numbers = all(isinstance(n, int | float) and not isinstance(n, bool) for n in ship_s)
    return numbers and 0 < first <= longest
