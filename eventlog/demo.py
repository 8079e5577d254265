"""``eventlog demo``: train a small network a few times, log it, and look at what the log holds."""

from __future__ import annotations

import itertools
import secrets
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from eventlog.event import POINT_TYPE
from eventlog.face import DEFAULT_URL, Log, open_log
from eventlog.log.progress import Progress, silent

if TYPE_CHECKING:
    import polars as pl
    from numpy.random import Generator
    from numpy.typing import NDArray

RATES = (0.03, 0.3, 1.0)
WIDTHS = (4, 32)
EPOCHS = 30
CLASSES = 3
BATCH = 50
ACCURACY = "test/accuracy"
LOSS = "train/loss"


class Score(NamedTuple):
    """How a network does after an epoch."""

    epoch: int
    loss: float
    accuracy: float


class Spirals(NamedTuple):
    """Points in the plane on three spiral arms: ``x`` is (n, 2) float64, ``y`` (n,) int64."""

    x: NDArray[Any]
    y: NDArray[Any]


@dataclass
class Report:
    """What the demo left in the log.

    Attributes:
        url: where the log lies.
        size_bytes: of all its objects.
        types: how many events of each type it holds.
        leaderboard: this demo's runs, best first.
        missing: what should be in the log and is not; empty if all is well.
        option: what a command needs to look at the log: " --log URL", or "".
    """

    url: str
    size_bytes: int
    types: dict[str, int]
    leaderboard: list[dict[str, Any]]
    missing: list[str] = field(default_factory=list)
    option: str = ""


def run_demo(url: str | None = None, *, progress: Progress = silent) -> Report:
    """Train, log, and read back; `Report.missing` says what got lost (nothing should).

    Args:
        url: of the log; None takes ``$EVENTLOG_URL``, else ``./.eventlog``.
    """
    settings = list(itertools.product(RATES, WIDTHS))
    with open_log(url) as log:
        expected: dict[str, list[float]] = {}
        for done, (rate, width) in enumerate(settings):
            stream = f"run:{secrets.token_hex(6)}"
            expected[stream] = _one_run(log, stream, rate, width)
            progress("training", done + 1, len(settings))
        log.flush(remote=True)
        report = _look(log, expected)
    default = report.url in (DEFAULT_URL, "") or url is None
    report.option = "" if default else f" --log {shlex.quote(report.url)}"
    return report


def _one_run(log: Log, stream: str, rate: float, width: int) -> list[float]:
    """Train one network and log it as it learns; the accuracies that were logged."""
    log.append(
        "run.created", stream, data={"experiment": "demo", "name": f"rate {rate}, width {width}"}
    )
    log.append("param.set", stream, key="rate", data=rate)
    log.append("param.set", stream, key="width", data=width)
    loss, accuracy = log.points(stream, LOSS), log.points(stream, ACCURACY)
    accuracies = []
    for score in train(rate, width):
        loss(score.loss, score.epoch)
        accuracy(score.accuracy, score.epoch)
        accuracies.append(score.accuracy)
    log.append("run.ended", stream, data={"status": "FINISHED"})
    return accuracies


def train(rate: float, width: int, seed: int = 0) -> Iterator[Score]:
    """Fit a network with one hidden layer to three spiral arms by stochastic gradient descent.

    Args:
        rate: the learning rate.
        width: of the hidden layer.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    fit, test = _spirals(rng, 1500), _spirals(rng, 600)
    first = rng.normal(0, 1, (2, width)), np.zeros(width)
    second = rng.normal(0, width**-0.5, (width, CLASSES)), np.zeros(CLASSES)
    for epoch in range(EPOCHS):
        losses = []
        for rows in rng.permutation(len(fit.y)).reshape(-1, BATCH):
            x, y = fit.x[rows], fit.y[rows]
            hidden = np.tanh(x @ first[0] + first[1])
            chance = _softmax(hidden @ second[0] + second[1])
            losses.append(-np.log(chance[np.arange(BATCH), y] + 1e-12).mean())
            slope = (chance - np.eye(CLASSES)[y]) / BATCH
            back = (slope @ second[0].T) * (1 - hidden**2)
            for layer, inputs, change in ((second, hidden, slope), (first, x, back)):
                layer[0][...] -= rate * inputs.T @ change
                layer[1][...] -= rate * change.sum(0)
        hidden = np.tanh(test.x @ first[0] + first[1])
        guesses = (hidden @ second[0] + second[1]).argmax(1)
        yield Score(epoch, float(np.mean(losses)), float((guesses == test.y).mean()))


def _spirals(rng: Generator, n: int) -> Spirals:
    import numpy as np

    y = rng.integers(0, CLASSES, n)
    radius = rng.uniform(0.1, 1, n)
    angle = 4 * radius + y * 2 * np.pi / CLASSES + rng.normal(0, 0.25, n)
    return Spirals(3 * radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), y)


def _softmax(scores: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    powers: NDArray[Any] = np.exp(scores - scores.max(1, keepdims=True))
    chances: NDArray[Any] = powers / powers.sum(1, keepdims=True)
    return chances


def _look(log: Log, expected: dict[str, list[float]]) -> Report:
    """Read the log back with polars, and compare with what was logged."""
    import polars as pl

    events = log.events().select("type", "stream", "key", "step", "value", "data")
    types = events.group_by("type").len().sort("len", descending=True).collect()
    streams = pl.Series(list(expected), dtype=pl.String)
    ours = events.with_columns(pl.col("type", "stream", "key").cast(pl.String)).filter(
        pl.col("stream").is_in(streams.implode())
    )
    found = ours.collect()
    return Report(
        url=log.url,
        size_bytes=sum(entry.size_bytes for entry in log.backend.list()),
        types={str(name): number for name, number in types.iter_rows()},
        leaderboard=_leaderboard(found).to_dicts(),
        missing=list(_missing(found, expected)),
    )


def _leaderboard(events: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    last = (
        events.filter(pl.col("type") == POINT_TYPE, pl.col("key") == ACCURACY)
        .sort("step")
        .group_by("stream")
        .agg(pl.col("value").last().alias("accuracy"))
    )
    params = events.filter(pl.col("type") == "param.set").pivot(
        "key", index="stream", values="data"
    )
    numbers = [pl.col("rate").cast(pl.Float64), pl.col("width").cast(pl.Int64)]
    board = last.join(params.with_columns(numbers), on="stream").sort(
        "accuracy", "stream", descending=[True, False]
    )
    return board.select("stream", "rate", "width", "accuracy").with_row_index("rank", 1)


def _missing(events: pl.DataFrame, expected: dict[str, list[float]]) -> Iterator[str]:
    import polars as pl

    for stream, accuracies in expected.items():
        mine = events.filter(pl.col("stream") == stream)
        points = mine.filter(pl.col("key") == ACCURACY).sort("step")["value"].to_list()
        if points != accuracies:
            yield f"{stream}: {len(accuracies)} accuracies were logged, {len(points)} came back"
        facts = sorted(mine.filter(pl.col("type") != POINT_TYPE)["type"].to_list())
        if facts != ["param.set", "param.set", "run.created", "run.ended"]:
            yield f"{stream}: its facts came back as {facts}"
