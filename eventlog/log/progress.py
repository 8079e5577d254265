"""How long work tells how far it has come, to whoever wants to show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]  # what is being done, done, of how many


def silent(_what: str, _done: int, _total: int) -> None:
    """Tell nobody."""
