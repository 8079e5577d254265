"""trackio, logging to a local directory: the one that ``TRACKIO_DIR`` names when it is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

from tests.benchmarks.children.subject import Run, Subject

PROJECT = "benchmark"


class Trackio(Subject):
    """Its run's params are its config, tags too; its reader is what its dashboard calls."""

    modules = ("trackio", "trackio.sqlite_storage")

    def start(
        self,
        root: str,
        name: str,
        params: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        quiet = {"auto_log_gpu": False, "auto_log_cpu": False, "embed": False}
        config = {**(params or {}), **(tags or {})}
        run = import_module("trackio").init(PROJECT, name=name, config=config, **quiet)
        return Run(
            scalar=lambda value, step: run.log({"loss": value}, step=step),
            row=lambda row, step: run.log(dict(row), step=step),
            close=run.finish,
        )

    def steps(self, root: str, name: str) -> Sequence[int]:
        storage = import_module("trackio.sqlite_storage").SQLiteStorage
        return [row["step"] for row in storage.get_metric_values(PROJECT, name, "loss")]


if __name__ == "__main__":
    Trackio().main()
