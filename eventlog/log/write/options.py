"""How a writer behaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eventlog.errors import UsageError
from eventlog.event import shown

SPOOL_LIMIT_BYTES = 10 << 30


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
            raise UsageError(f"spool_limit_bytes must be a number of bytes, not {shown(limit)}.")
        if self.ship_s is not None and not _is_pause(self.ship_s):
            raise UsageError(
                "ship_s must be two numbers of seconds, (first, longest), as (2, 15); not "
                f"{shown(self.ship_s)}."
            )


def _is_pause(ship_s: object) -> bool:
    if not isinstance(ship_s, tuple | list) or len(ship_s) != 2:
        return False
    first, longest = ship_s
    numbers = all(isinstance(n, int | float) and not isinstance(n, bool) for n in ship_s)
    return numbers and 0 < first <= longest
