"""From the events of a log to the frame of a view."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from eventlog.errors import UsageError
from eventlog.event import COLUMNS
from eventlog.log import claim
from eventlog.view import View

if TYPE_CHECKING:
    import polars as pl

    from eventlog.log.log import Log

WORDS = ("lane", "type", "stream", "key")  # categories in the log, plain text for views


@functools.cache
def registered() -> dict[str, View]:
    """The views that all plugins register, by name; of two with one name the first."""
    from eventlog.plugin import contributions, report_broken

    found: dict[str, View] = {}
    for plugin, views in contributions("register_views"):
        for view in views:
            if not isinstance(view, View):
                report_broken(plugin, "register_views", f"{view!r} is no eventlog.View")
            elif found.setdefault(view.name, view) is not view:
                report_broken(plugin, "register_views", f"there is a view {view.name!r} already")
    return dict(sorted(found.items()))


def named(name: str) -> View:
    """The view of that name; `UsageError` names those that there are."""
    view = registered().get(name)
    if view is None:
        known = ", ".join(registered()) or "none"
        raise UsageError(f"there is no view {name!r}; there are: {known}.")
    return view


def materialize(log: Log, view: View) -> pl.DataFrame:
    """What a view shows of a log now, this process's own unshipped events included."""
    import polars as pl

    wanted = sorted({*view.types, claim.ANNOUNCED})
    found = log.events().filter(pl.col("type").is_in(wanted)).collect()
    return view.frame(view.fold(unwrapped(found.with_columns(pl.col(WORDS).cast(pl.String)))))


def unwrapped(events: pl.DataFrame) -> pl.DataFrame:
    """The events with each claim in place of what announced it, once.

    Two claims of one number there are only where two logs were merged that had claimed the same
    thing apart: then the one with the smaller nonce counts, in every order.
    """
    import polars as pl

    announced = pl.col("type") == claim.ANNOUNCED
    others, carriers = events.filter(~announced), events.filter(announced)
    if carriers.is_empty():
        return others
    claims = [
        claim.from_json(f"event {seq} of lane {lane}", data or "")
        for lane, seq, data in carriers.select("lane", "seq", "data").iter_rows()
    ]
    claims.sort(key=lambda found: found.nonce, reverse=True)
    chosen = {(found.chain.lane, found.n): found.event for found in claims}
    types = dict(events.schema) | {"time": pl.Int64()}
    rows = pl.DataFrame([tuple(event) for event in chosen.values()], types, orient="row")
    carried = rows.with_columns(pl.col("time").cast(events.schema["time"]))
    return pl.concat([others.select(COLUMNS), carried.select(COLUMNS)])
