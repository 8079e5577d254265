"""MLflow, tracking into SQLite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks.children.subject import Run, Subject


def _mlflow(root: str) -> Any:
    mlflow = import_module("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{root}/mlflow.db")
    return mlflow


class MLflow(Subject):
    """Its fluent functions on one active run; every call is a transaction."""

    modules = ("mlflow",)

    def start(
        self,
        root: str,
        name: str,
        params: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        mlflow = _mlflow(root)
        mlflow.start_run(run_name=name)
        if params:
            mlflow.log_params(dict(params))
        if tags:
            mlflow.set_tags(dict(tags))
        return Run(
            scalar=lambda value, step: mlflow.log_metric("loss", value, step),
            row=lambda row, step: mlflow.log_metrics(dict(row), step),
            close=mlflow.end_run,
        )

    def steps(self, root: str, name: str) -> Sequence[int]:
        mlflow = _mlflow(root)
        (run,) = mlflow.search_runs(
            experiment_ids=["0"],
            filter_string=f"tags.mlflow.runName = '{name}'",
            output_format="list",
        )
        history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
        return [metric.step for metric in history]

    def prepare(self, root: str) -> None:
        """Make the database's tables: processes that start together would race for it."""
        self.start(root, "prepare").close()

    def stored_bytes(self, root: str) -> int:
        return Path(root, "mlflow.db").stat().st_size


if __name__ == "__main__":
    MLflow().main()
