"""Handles: a number goes in as it is or is refused at the call, and the next one goes in."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eventlog.backend import open_backend
from eventlog.errors import LogClosed, UsageError
from eventlog.log.log import Log
from eventlog.log.write import handles
from eventlog.log.write.handles import FIRST_TIME_US
from eventlog.log.write.options import Options
from tests.log.rows import events
from tests.waiting import in_threads


class Broken:
    """A number whose conversion, and even whose repr, fails."""

    def __float__(self) -> float:
        raise RuntimeError("device lost")

    def __index__(self) -> int:
        raise RuntimeError("device lost")

    def __repr__(self) -> str:
        raise RuntimeError("device lost")


NO_NUMBERS: list[Any] = [
    "1.5", b"1.5", bytearray(b"1"), None, {}, {1: 2}, [], [1.0], object(), Broken(), 1j, 10**400,
    np.array([1.0, 2.0]), np.array("x"), Decimal("sNaN"), np.datetime64("2020"), print,
]  # fmt: skip
NUMBERS: list[tuple[Any, float]] = [
    (1, 1.0), (True, 1.0), (-0.0, -0.0), (math.inf, math.inf), (-math.inf, -math.inf),
    (Decimal("0.5"), 0.5), (Fraction(1, 4), 0.25), (np.float32(0.5), 0.5), (np.float64(2), 2.0),
    (np.int8(-3), -3.0), (np.bool_(True), 1.0), (np.array(7), 7.0), (10**300, 1e300),
]  # fmt: skip
NO_STEPS: list[Any] = [
    "3", None, 1.5, math.nan, math.inf, 2**63, -(2**63) - 1, 1j, [1], {}, Broken(), object(),
    np.float64(0.5), np.array([1, 2]), Decimal("1.5"), b"1",
]  # fmt: skip
STEPS: list[tuple[Any, int]] = [
    (2**63 - 1, 2**63 - 1), (-(2**63), -(2**63)), (True, 1), (3.0, 3), (np.int64(5), 5),
    (np.uint8(5), 5), (np.float32(4), 4), (Decimal(6), 6), (np.array(7), 7), (-0.0, 0),
]  # fmt: skip


def logged(log: Log) -> list[tuple[str, int, float]]:
    return [(str(r["key"]), r["step"], r["value"]) for r in events(log)]


def same(a: float, b: float) -> bool:
    return math.copysign(1, a) == math.copysign(1, b) and a == b


def test_points_arrive_as_they_were_logged(log: Log) -> None:
    point = log.points("run:1", "loss")
    point(0.5, 1)
    point(0.25, 2, 1_000)
    rows = log.events().collect().sort("seq").to_dicts()
    assert [(r["type"], r["stream"]) for r in rows] == [("metric.logged", "run:1")] * 2
    assert logged(log) == [("loss", 1, 0.5), ("loss", 2, 0.25)]
    assert rows[1]["time"].timestamp() == 0.001


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda v: type(v).__name__)
def test_what_is_no_number_is_refused_and_logging_goes_on(
    log: Log, many: bool, value: object
) -> None:
    point = log.points("run:1", "loss")
    points = log.points_many("run:1", ["loss"])
    point(0.0, 0)
    with pytest.raises(UsageError, match="number"):
        points([value], 1) if many else point(value, 1)
    point(2.0, 2)
    assert logged(log) == [("loss", 0, 0.0), ("loss", 2, 2.0)]


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("value", NUMBERS, ids=lambda v: repr(v))
def test_every_number_is_kept(log: Log, many: bool, value: tuple[Any, float]) -> None:
    given, kept = value
    if many:
        log.points_many("run:1", ["loss"])([given], 1)
    else:
        log.points("run:1", "loss")(given, 1)
    [(_, _, found)] = logged(log)
    assert same(found, kept)


def test_nan_is_kept(log: Log) -> None:
    log.points("run:1", "loss")(math.nan, 1)
    log.points_many("run:1", ["loss"])([math.nan], 2)
    log.series("run:1", "loss", [3], [math.nan])
    assert all(math.isnan(value) for _, _, value in logged(log))
    assert log.events().collect()["value"].null_count() == 0


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("step", NO_STEPS, ids=lambda v: type(v).__name__)
def test_what_is_no_step_is_refused_and_logging_goes_on(log: Log, many: bool, step: object) -> None:
    point = log.points("run:1", "loss")
    points = log.points_many("run:1", ["loss"])
    point(0.0, 0)
    with pytest.raises(UsageError, match="step must be a whole number"):
        points([1.0], step) if many else point(1.0, step)
    point(2.0, 2)
    assert logged(log) == [("loss", 0, 0.0), ("loss", 2, 2.0)]


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("step", STEPS, ids=lambda v: repr(v))
def test_every_whole_step_is_kept(log: Log, many: bool, step: tuple[Any, int]) -> None:
    given, kept = step
    if many:
        log.points_many("run:1", ["loss"])([1.0], given)
    else:
        log.points("run:1", "loss")(1.0, given)
    assert logged(log) == [("loss", kept, 1.0)]


@pytest.mark.parametrize("time_us", ["now", 1.5, 2**63, Broken(), [1]], ids=lambda v: str(type(v)))
def test_what_is_no_time_is_refused(log: Log, time_us: Any) -> None:
    point = log.points("run:1", "loss")
    with pytest.raises(UsageError, match="time_us"):
        point(1.0, 1, time_us)
    with pytest.raises(UsageError, match="time_us"):
        log.points_many("run:1", ["loss"])([1.0], 1, time_us)
    point(2.0, 2)
    assert logged(log) == [("loss", 2, 2.0)]


@pytest.mark.parametrize(
    ("time_us", "why"),
    [
        (FIRST_TIME_US - 1, "before the year 1678"),
        (-(2**63), "before the year 1678"),
        (2**63 - 1, "24 hours ahead"),
        (1_795_000_000_000_000_000, "24 hours ahead"),  # nanoseconds
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(log: Log, time_us: int, why: str) -> None:
    point = log.points("run:1", "loss")
    with pytest.raises(UsageError, match=why):
        point(1.0, 1, time_us)
    with pytest.raises(UsageError, match=why):
        log.points_many("run:1", ["loss"])([1.0], 1, time_us)
    with pytest.raises(UsageError, match=why):
        log.series("run:1", "loss", [0, 1], [1.0, 2.0], [0, time_us])
    point(2.0, 2)
    assert logged(log) == [("loss", 2, 2.0)]


@pytest.mark.parametrize("time_us", [FIRST_TIME_US, -1, 0, 1, 1_795_000_000_000_000])
def test_times_are_kept_to_the_microsecond(log: Log, time_us: int) -> None:
    log.points("run:1", "loss")(1.0, 1, time_us)
    log.points_many("run:1", ["loss"])([1.0], 2, time_us)
    log.series("run:1", "loss", [3], [1.0], [time_us])
    assert log.events().collect()["time"].dt.timestamp("us").to_list() == [time_us] * 3


@pytest.mark.parametrize("keys", ["ab", b"ab"])
def test_a_string_is_no_list_of_keys(log: Log, keys: Any) -> None:
    with pytest.raises(UsageError, match="list of names"):
        log.points_many("run:1", keys)


@pytest.mark.parametrize(
    "values",
    ["ab", b"12345678", {"a": 1.0, "b": 2.0}, {1.0, 2.0}, None, 3.0, [1.0], [1.0] * 3, [1.0, "2"],
     [1.0, None], [1.0, Broken()], [[1.0], [2.0]], (x for x in [1.0, "2", 1.0, 2.0])],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_values_that_are_not_one_number_each_are_refused(log: Log, values: Any) -> None:
    points = log.points_many("run:1", ["a", "b"])
    with pytest.raises(UsageError):
        points(values, 1)
    points([1.0, 2.0], 2)
    assert logged(log) == [("a", 2, 1.0), ("b", 2, 2.0)]


@pytest.mark.parametrize(
    "values", [[1, 2], (1.0, 2), np.array([1, 2]), np.array([1, 2], np.float32), [True, 2]]
)
def test_values_of_any_kind_of_list_are_kept(log: Log, values: Any) -> None:
    log.points_many("run:1", ["a", "b"])(values, 1)
    assert logged(log) == [("a", 1, 1.0), ("b", 1, 2.0)]


def test_no_metrics_are_no_points(log: Log) -> None:
    points = log.points_many("run:1", [])
    points([], 1)
    with pytest.raises(UsageError):
        points([1.0], 1)
    assert logged(log) == []


def test_very_many_metrics_come_together_too(log: Log) -> None:
    keys = [f"m{n}" for n in range(2_500)]
    points = log.points_many("run:1", keys)
    for step in range(4):
        points(list(map(float, range(2_500))), step)
    with pytest.raises(UsageError):
        points([1.0] * 2_499 + ["x"], 9)
    assert logged(log) == [(f"m{n}", step, float(n)) for step in range(4) for n in range(2_500)]


def test_points_go_over_from_file_to_file(log: Log) -> None:
    point, points = log.points("run:1", "one"), log.points_many("run:1", ["a", "b", "c"])
    for step in range(6_000):
        point(1.0, step)
        points([1.0, 2.0, 3.0], step)
    expected = [
        (key, step, value)
        for step in range(6_000)
        for key, value in (("one", 1.0), ("a", 1.0), ("b", 2.0), ("c", 3.0))
    ]
    assert logged(log) == expected


# -- arrays --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "values"),
    [
        (range(3), [1, 2, 3]),
        (np.arange(3, dtype=np.uint64), np.array([1, 2, 3], np.float16)),
        ([0.0, 1.0, 2.0], (1, 2.0, Decimal(3))),
        (np.array([0, 1, 2], object), np.array([True, 2, 3], object)),
    ],
)
def test_series_are_kept(log: Log, steps: Any, values: Any) -> None:
    log.series("run:1", "loss", steps, values, [10, 20, 30])
    assert logged(log) == [("loss", 0, 1.0), ("loss", 1, 2.0), ("loss", 2, 3.0)]
    times = log.events().collect().sort("seq")["time"].dt.timestamp("us").to_list()
    assert times == [10, 20, 30]


@pytest.mark.parametrize(
    ("steps", "values", "times"),
    [
        (["1"], [1.0], None),
        ([1], ["1.0"], None),
        ([1], [None], None),
        ([1], [1j], None),
        ([1], np.array(["2020"], "M8[D]"), None),
        ([1.5], [1.0], None),
        ([math.nan], [1.0], None),
        ([2**63], [1.0], None),
        (np.array([2**63], np.uint64), [1.0], None),
        ([1], [1.0], [1.5]),
        ([1], [1.0], ["now"]),
        ([1], [1.0], [math.nan]),
        ([1, 2], [1.0], None),
        ([1], [1.0], [1, 2]),
        ([[1]], [[1.0]], None),
        (1, 1.0, None),
        ([[1], [1, 2]], [1.0, 2.0], None),
        ([1], [Broken()], None),
    ],
)
def test_series_that_cannot_be_kept_exactly_are_refused(
    log: Log, steps: Any, values: Any, times: Any
) -> None:
    with pytest.raises(UsageError):
        log.series("run:1", "loss", steps, values, times)
    log.series("run:1", "loss", [7], [7.0])
    assert logged(log) == [("loss", 7, 7.0)]


def test_an_empty_series_is_nothing(log: Log) -> None:
    log.series("run:1", "loss", [], [])
    assert logged(log) == []


def test_a_series_is_longer_than_any_file(log: Log) -> None:
    log.series("run:1", "loss", np.arange(120_000), np.arange(120_000) / 2)
    assert logged(log) == [("loss", n, n / 2) for n in range(120_000)]


# -- threads and the end -------------------------------------------------------------------------


EACH = 20_000


def singly(log: Log, run: str) -> None:
    point = log.points(run, "loss")
    for n in range(EACH):
        point(float(n), n)


def together(log: Log, run: str) -> None:
    points = log.points_many(run, [f"k{n}" for n in range(10)])
    for n in range(0, EACH, 10):
        points([float(n + k) for k in range(10)], n)


def in_arrays(log: Log, run: str) -> None:
    for n in range(0, EACH, 1_000):
        log.series(run, "loss", range(n, n + 1_000), np.arange(n, n + 1_000.0))


@pytest.mark.parametrize("locked", [False, True])
def test_threads_of_all_kinds_lose_nothing_and_keep_their_order(
    tmp_path: Path, locked: bool
) -> None:
    options = Options(locked=locked, ship_s=(0.01, 0.01))
    log = Log(open_backend(tmp_path / "log"), options)
    work = [singly, together, in_arrays, singly, together, in_arrays, singly, singly]
    in_threads(*(partial(each, log, f"run:{n}") for n, each in enumerate(work)))
    frame = log.events().collect().sort("lane", "seq")
    log.close()
    assert len(frame) == EACH * len(work)
    for n in range(len(work)):
        own = frame.filter(frame["stream"].cast(str) == f"run:{n}")["value"].to_list()
        assert own == list(map(float, range(EACH)))


def test_a_closed_log_refuses_points(log: Log) -> None:
    point, points = log.points("run:1", "loss"), log.points_many("run:1", ["a"])
    point(1.0, 1)
    log.close()
    for _ in range(3):
        with pytest.raises(LogClosed, match="open it again"):
            point(2.0, 2)
        with pytest.raises(LogClosed):
            points([2.0], 2)


def test_numbers_are_shown_shortly() -> None:
    with pytest.raises(UsageError) as caught:
        handles.as_float("x" * 1_000_000)
    assert len(str(caught.value)) < 200
