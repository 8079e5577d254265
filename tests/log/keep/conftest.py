"""What tests of keeping a log share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from eventlog_backends.memory import MemoryBackend
from tests.interleaving.world import Truth, World
from tests.log.lanes import a_log
from tests.simulation.store import SimStore


@pytest.fixture
def world() -> World:
    """An empty log whose clock the test moves, and what its writers know."""
    return World(SimStore(), Truth())


@pytest.fixture
def store() -> MemoryBackend:
    """An empty log in memory."""
    return a_log(MemoryBackend())


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No log records, of the many recoveries that are meant to go wrong."""
    with caplog.at_level(logging.CRITICAL + 1, logger="eventlog"):
        yield
