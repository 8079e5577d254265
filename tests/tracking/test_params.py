"""Params and tags keep their types, whatever they came as."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from eventlog.errors import UsageError
from eventlog.tracking.tracker import Tracking
from tests.tracking.conftest import Story


class Optimiser(enum.Enum):
    ADAM = "adam"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Config:
    lr: float
    layers: list[int]


class Settings(msgspec.Struct):
    depth: int


def params(log: Tracking, run: Any) -> list[tuple[str, Any]]:
    return Story(log, f"run:{run.id}").said("param.set")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (1e-3, 1e-3), (3, 3), (True, True), (None, None), ("adam", "adam"), ("", ""),
        (2**70, 2**70), ([1, [2.5, None]], [1, [2.5, None]]), ((1, 2), [1, 2]),
        ({}, {}), ([{"a": 1}], [{"a": 1}]),
        (np.float32(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), True),
        (np.array([1, 2]), [1, 2]), (np.array(2.5), 2.5),
        (Decimal("0.1"), "0.1"), (Path("a/b"), "a/b"),
        (dt.date(2026, 1, 2), "2026-01-02"), (dt.timedelta(minutes=1), 60.0),
        (Optimiser.ADAM, "adam"), (Level.HIGH, 3), ({2, 1}, [1, 2]),
        (math.sqrt, "math.sqrt"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_param_is_kept_as_what_it_is(log: Tracking, given: Any, kept: Any) -> None:
    run = log.run("mnist", params={"p": given})
    [(key, value)] = params(log, run)
    assert (key, value, type(value)) == ("p", kept, type(kept))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_floats_that_json_lacks_are_kept(log: Tracking, number: float) -> None:
    run = log.run("mnist", params={"p": number}, tags={"t": number})
    [row] = [r for r in Story(log, f"run:{run.id}").rows if r["type"] == "param.set"]
    assert row["data"] is None
    assert row["value"] == number or (math.isnan(row["value"]) and math.isnan(number))


def test_nested_params_are_one_fact_each(log: Tracking) -> None:
    run = log.run("mnist")
    run.log_params({"opt": {"name": "adam", "betas": {"one": 0.9}}, "config": Config(0.1, [1])})
    run.log_param("settings", Settings(3))
    assert params(log, run) == [
        ("opt.name", "adam"), ("opt.betas.one", 0.9), ("config.lr", 0.1), ("config.layers", [1]),
        ("settings.depth", 3),
    ]  # fmt: skip


def test_a_param_logged_again_is_kept_beside_the_first(log: Tracking) -> None:
    run = log.run("mnist")
    run.log_param("lr", 0.1)
    run.log_param("lr", 0.2)
    assert params(log, run) == [("lr", 0.1), ("lr", 0.2)]


@pytest.mark.parametrize("bad", [{7: 1}, {"a": object()}, {"a": {"b": object()}}, {"\ud800": 1}])
def test_params_that_cannot_be_kept_are_refused_whole(log: Tracking, bad: Any) -> None:
    run = log.run("mnist")
    with pytest.raises(UsageError):
        run.log_params({"good": 1, **bad})
    assert params(log, run) == [] or bad == {"\ud800": 1}


def test_what_breaks_when_it_is_looked_at_is_refused(log: Tracking) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

        def item(self) -> object:
            raise RuntimeError

    run = log.run("mnist")
    with pytest.raises(UsageError, match="no form in JSON"):
        run.log_param("p", Broken())


def test_tags_are_set_and_removed(log: Tracking) -> None:
    run = log.run("mnist", tags={"team": "vision", "n": 3})
    run.set_tag("team", "speech")
    run.set_tags({"n": None})
    story = Story(log, f"run:{run.id}")
    assert story.said("tag.set") == [("team", "vision"), ("n", 3), ("team", "speech")]
    assert [key for key, _ in story.said("tag.removed")] == ["n"]


def test_printed_text_is_kept(log: Tracking) -> None:
    run = log.run("mnist")
    run.log_output("epoch 1\n")
    run.log_output("x" * 100_000, stream="stderr")
    assert Story(log, f"run:{run.id}").said("output.written") == [
        ("stdout", "epoch 1\n"), ("stderr", "x" * 100_000),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="stdout"):
        run.log_output("x", stream="nowhere")
