"""What tests of a whole log share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog.log.log import Log


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A log in a directory, which ships only when it is told to."""
    with eventlog.open(tmp_path / "log", ship_s=(3600, 3600)) as log:
        yield log
