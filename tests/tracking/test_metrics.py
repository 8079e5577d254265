"""Metrics: what counts as a number, which step a point gets, and what is refused whole."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from eventlog.errors import UsageError
from eventlog.tracking.tracker import Tracking
from tests.tracking.conftest import Story


def points(log: Tracking, run: Any) -> list[tuple[str, int, float]]:
    return Story(log, f"run:{run.id}").points()


class Tensor:
    """As torch's with one element: ``float()`` takes it, ``==`` gives another tensor."""

    def __float__(self) -> float:
        return 0.5

    def __eq__(self, other: object) -> Any:
        return Tensor()

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        np.float32(0.5),
        np.float64(0.5),
        np.array(0.5),
        Tensor(),
        Decimal("0.5"),
        Fraction(1, 2),
    ],
    ids=lambda v: type(v).__name__,
)
@pytest.mark.parametrize("many", [False, True])
def test_whatever_float_takes_is_a_number(log: Tracking, value: Any, many: bool) -> None:
    run = log.run("mnist")
    run.log({"a": value, "b": 1}, step=3) if many else run.log_metric("a", value, 3)
    assert points(log, run)[0] == ("a", 3, 0.5)


@pytest.mark.parametrize("value", [True, False, 7, -0.0, 5e-324, math.inf, -math.inf])
def test_numbers_are_kept(log: Tracking, value: float) -> None:
    run = log.run("mnist")
    run.log({"a": value})
    [(_, _, found)] = points(log, run)
    assert math.copysign(1, found) == math.copysign(1, value)
    assert found == value


def test_nan_is_kept(log: Tracking) -> None:
    run = log.run("mnist")
    run.log({"a": math.nan})
    assert math.isnan(points(log, run)[0][2])


@pytest.mark.parametrize("value", ["0.5", b"1", [1, 2], np.zeros(2), object(), 1j])
def test_what_is_no_number_is_refused_with_all_that_came_with_it(log: Tracking, value: Any) -> None:
    run = log.run("mnist")
    for _ in range(2):  # the second time the metrics are known
        with pytest.raises(UsageError, match="number"):
            run.log({"good": 1.0, "bad": value}, step=1)
    with pytest.raises(UsageError, match="number"):
        run.log_metric("bad", value)
    run.log({"good": 2.0, "bad": 3.0}, step=2)
    assert points(log, run) == [("good", 2, 2.0), ("bad", 2, 3.0)]


@pytest.mark.parametrize("key", [7, None, b"x", ""])
def test_a_name_that_is_no_string_is_refused(log: Tracking, key: Any) -> None:
    run = log.run("mnist")
    with pytest.raises(UsageError):
        run.log({key: 1.0})
    assert points(log, run) == []


def test_none_is_left_out(log: Tracking) -> None:
    run = log.run("mnist")
    for step in range(3):
        run.log({"train": 1.0, "val": None if step % 2 else 2.0}, step=step)
    run.log_metric("val", None)
    run.log({"val": None})
    run.log({})
    assert points(log, run) == [
        ("train", 0, 1.0), ("val", 0, 2.0), ("train", 1, 1.0), ("train", 2, 1.0), ("val", 2, 2.0),
    ]  # fmt: skip


def test_nested_metrics_are_flattened(log: Tracking) -> None:
    run = log.run("mnist")
    for step in range(2):
        run.log({"train": {"loss": 1.0, "acc": {"top1": 2}}, "lr": 3}, step=step)
    expected = [("train/loss", 1.0), ("train/acc/top1", 2.0), ("lr", 3.0)]
    assert points(log, run) == [(k, step, v) for step in range(2) for k, v in expected]


# -- steps ----------------------------------------------------------------------------------------


def test_a_step_left_out_counts_on_for_each_key(log: Tracking) -> None:
    run = log.run("mnist")
    run.log({"a": 1.0})
    run.log({"a": 1.0, "b": 1.0})
    run.log_metric("b", 1.0)
    run.log_metric("a", 1.0, step=10)
    run.log({"a": 1.0, "b": 1.0})
    run.log({"a": 1.0, "b": 1.0}, step=100)
    run.log_metric("a", 1.0)
    run.log({"b": 1.0})
    assert [(key, step) for key, step, _ in points(log, run)] == [
        ("a", 0), ("a", 1), ("b", 0), ("b", 1), ("a", 10), ("a", 11), ("b", 2),
        ("a", 100), ("b", 100), ("a", 101), ("b", 101),
    ]  # fmt: skip


def test_steps_come_in_any_order(log: Tracking) -> None:
    run = log.run("mnist")
    steps = [5, -3, 2**62, 0, 5, -(2**63)]
    for step in steps:
        run.log({"a": 1.0}, step=step)
    assert [step for _, step, _ in points(log, run)] == steps


@pytest.mark.parametrize("step", [3.0, np.int64(3), np.float64(3), Decimal(3)])
def test_a_whole_number_of_any_kind_is_a_step(log: Tracking, step: Any) -> None:
    run = log.run("mnist")
    run.log({"a": 1.0}, step=step)
    run.log_metric("b", 1.0, step=step)
    run.log({"a": 1.0})
    run.log_metric("b", 1.0)
    assert [s for _, s, _ in points(log, run)] == [3, 3, 4, 4]


@pytest.mark.parametrize("step", [1.5, "1", math.nan, 2**63, [1]])
def test_what_is_no_step_is_refused(log: Tracking, step: Any) -> None:
    run = log.run("mnist")
    for _ in range(2):
        with pytest.raises(UsageError, match="step"):
            run.log({"a": 1.0}, step=step)
        with pytest.raises(UsageError, match="step"):
            run.log_metric("a", 1.0, step=step)
    assert points(log, run) == []


def test_series_are_logged_whole_and_counted(log: Tracking) -> None:
    run = log.run("mnist")
    run.log_series("a", range(3), np.array([1, 2, 3]), [10.0, 11.0, 12.5])
    run.log_metric("a", 4.0)
    assert points(log, run) == [("a", 0, 1.0), ("a", 1, 2.0), ("a", 2, 3.0), ("a", 3, 4.0)]


# -- times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "time",
    [
        1_700_000_000.25,
        dt.datetime(2023, 11, 14, 22, 13, 20, 250_000),
        dt.datetime(2023, 11, 14, 23, 13, 20, 250_000, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    ],
)
def test_times_are_utc(log: Tracking, time: Any) -> None:
    run = log.run("mnist")
    run.log({"a": 1.0}, time=time)
    run.log_metric("a", 1.0, time=time)
    run.log_series("a", [5], [1.0], [time])
    rows = [r for r in Story(log, f"run:{run.id}").rows if r["type"] == "metric.logged"]
    assert {row["time"].timestamp() for row in rows} == {1_700_000_000.25}


@pytest.mark.parametrize("time", ["now", True, dt.date(2023, 1, 1)])
def test_what_is_no_time_is_refused(log: Tracking, time: Any) -> None:
    run = log.run("mnist")
    with pytest.raises(UsageError, match="time must be a datetime or seconds"):
        run.log({"a": 1.0}, time=time)
