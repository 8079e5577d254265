"""What tests of writing share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.log.spools import Hand


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    """A live spool, and the hand that writes to it."""
    hand = Hand(tmp_path / "spool")
    yield hand
    hand.spool.close()
