"""A log that can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlog.log.log import Log

if TYPE_CHECKING:
    import polars as pl


class Queries(Log):
    """A `Log` with views."""

    def views(self) -> list[str]:
        """The names of all views, for `view`."""
        from eventlog.query.materialize import registered

        return list(registered())

    def view(self, name: str) -> pl.LazyFrame:
        """A view of the log as it is now.

        Args:
            name: of those that `views` names, such as "runs", "params", "tags", "experiments".

        Raises:
            UsageError: there is no view of that name.
            NotALog: there is no log.

        Example:
            >>> import polars as pl
            >>> log.view("runs").filter(pl.col("status") == "FAILED").collect()
        """
        from eventlog.query.materialize import materialize, named

        return materialize(self, named(name)).lazy()
