"""What a log gives back, as plain rows."""

from __future__ import annotations

from typing import Any

from eventlog.log.log import Log


def events(log: Log) -> list[dict[str, Any]]:
    """Every event, by lane and seq."""
    return log.events().collect().sort("lane", "seq").to_dicts()


def types(log: Log) -> list[str]:
    """The types of the events, by lane and seq."""
    return [row["type"] for row in events(log)]
