"""What tests of tracking share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog.tracking.tracker import Tracking


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Tracking]:
    """A log in a directory, which ships only when it is told to."""
    with eventlog.open(tmp_path / "log", ship_s=(3600, 3600)) as log:
        yield log


class Story:
    """What a log tells of one stream."""

    def __init__(self, log: Tracking, stream: str) -> None:
        rows = log.events().collect().sort("lane", "seq").to_dicts()
        self.rows = [row for row in rows if row["stream"] == stream]

    def types(self) -> list[str]:
        return [row["type"] for row in self.rows]

    def points(self) -> list[tuple[str, int, float]]:
        return [
            (row["key"], row["step"], row["value"])
            for row in self.rows
            if row["type"] == "metric.logged"
        ]

    def said(self, type_: str) -> list[Any]:
        """Key and payload of each event of a type."""
        return [
            (row["key"], row["value"] if row["data"] is None else json.loads(row["data"]))
            for row in self.rows
            if row["type"] == type_
        ]
