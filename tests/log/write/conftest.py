"""What tests of writing share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.log.write import warned
from tests.log.spools import Hand


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning was given in the last minute."""
    monkeypatch.setattr(warned, "_last", {})


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    """A live spool, and the hand that writes to it."""
    hand = Hand(tmp_path / "spool")
    yield hand
    hand.spool.close()
