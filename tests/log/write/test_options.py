"""Options that make no sense are refused where they are given, and the error says what is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog.errors import UsageError
from eventlog.log.write.options import Options


@pytest.mark.parametrize("limit", [-1, 1.5, 1e9, "10", None, True])
def test_a_limit_is_a_whole_number_of_bytes(limit: Any) -> None:
    with pytest.raises(UsageError, match="spool_limit_bytes must be a whole number of bytes"):
        Options(spool_limit_bytes=limit)


@pytest.mark.parametrize(
    "ship_s",
    [
        *(5, "12", (1,), (1, 2, 3), (0, 1), (-1, 1), (2, 1), ("1", "2"), (True, 2)),
        *((float("nan"), 1), (1, float("nan")), {1: 2}),
    ],
)
def test_a_pause_is_two_numbers_of_seconds_that_grow(ship_s: Any) -> None:
    with pytest.raises(UsageError, match=r"ship_s must be two numbers.*first, longest"):
        Options(ship_s=ship_s)


@pytest.mark.parametrize("spool", ["s3://bucket/spool", Path("s3://bucket/spool"), "file:///tmp"])
def test_a_spool_is_a_directory(spool: Any) -> None:
    with pytest.raises(UsageError, match="must be a directory of this machine"):
        Options(spool=spool)


def test_a_pause_may_be_given_as_a_list(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "log", ship_s=[0.5, 2]) as log:  # type: ignore[arg-type]
        log.append("noted", "thing:1")
    assert Options(ship_s=[0.5, 2]) == Options(ship_s=(0.5, 2))  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"ship_s": (1, 1)}, {"spool_limit_bytes": 0}, {"spool": "/x:/"}])
def test_what_makes_sense_is_taken(given: Any) -> None:
    Options(**given)
