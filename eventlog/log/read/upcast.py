"""Old payloads in the form that is registered now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from eventlog.event import VERSION_KEY
from eventlog.log.read.frames import Upcast, replace_data

if TYPE_CHECKING:
    from eventlog.event import EventTypes


def upcast_of(types: EventTypes) -> Upcast | None:
    """What brings a frame's payloads to the registered versions; None where all are first ones.

    A payload that does not go through stays as it was written: a view that expects more of it must
    cope, and nobody else is stopped by it.
    """
    newest = {name: type_.version for name in types.names() if (type_ := types.newest(name))}
    stale = {name: version for name, version in newest.items() if version > 1}
    if not stale:
        return None

    def current(row: dict[str, Any]) -> str | None:
        text: str | None = row["data"]
        try:
            return types.encode(row["type"], types.decode(row["type"], text))
        except Exception:  # whatever a plugin's upcaster raises
            return text

    def upcast(frame: pl.DataFrame) -> pl.DataFrame:
        kinds, data = frame["type"].cast(pl.String), frame["data"]
        old = pl.repeat(False, len(frame), eager=True)
        for name, version in stale.items():
            head = f'{{"{VERSION_KEY}":{version}'
            old |= (kinds == name) & ~(data.str.starts_with(f"{head},") | (data == f"{head}}}"))
        return replace_data(frame, old.fill_null(False), current)

    return upcast
