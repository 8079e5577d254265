"""What a log refuses, and what each refusal says: the thing and the remedy."""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import eventlog
from eventlog.errors import (
    Damage,
    Denied,
    LogClosed,
    NewerFormat,
    NotALog,
    NotCreateOnly,
    UsageError,
    VersionConflict,
)
from eventlog.log import clock, keeper
from eventlog.log.log import Log
from eventlog.log.write.options import Options
from eventlog_backends.memory import MemoryBackend
from tests.log.rows import events, types


@pytest.mark.parametrize("what", ["type", "stream", "key"])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "must not be empty"),
        ("\ud800", "surrogate"),
        ("a" * (1024 * 1024 + 1), "limit is 1048576"),
        (b"bytes", "must be a string"),
        (7, "must be a string"),
    ],
)
def test_names_that_cannot_be_kept_are_refused(log: Log, what: str, name: Any, why: str) -> None:
    names: dict[str, Any] = {"type": "noted", "stream": "thing:1", "key": "k"} | {what: name}
    with pytest.raises(UsageError, match=f"{what} .*{why}") as caught:
        log.append(**names)
    assert isinstance(caught.value, ValueError)
    log.append("fine", "thing:1")
    assert types(log) == ["fine"]


def test_handles_refuse_the_same_names(log: Log) -> None:
    for name in ("", "\ud800", None):
        with pytest.raises(UsageError):
            log.points("run:1", name)  # type: ignore[arg-type]
        with pytest.raises(UsageError):
            log.points_many("run:1", ["a", name])  # type: ignore[list-item]
        with pytest.raises(UsageError):
            log.series(name, "loss", [1], [1.0])  # type: ignore[arg-type]


def nested(depth: int) -> object:
    found: object = 0
    for _ in range(depth):
        found = [found]
    return found


LOOP: list[object] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({1: 2}, "keys must be strings"),
        ({"a": math.nan}, "JSON cannot hold"),
        ([math.inf], "JSON cannot hold"),
        (b"bytes", "is a bytes"),
        ({"a": {1, 2}}, "is a set"),
        (np.float32(1), "is a float32"),
        (np.array([1]), "is a ndarray"),
        (object(), "is a object"),
        ("\ud800", "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        (nested(100_000), "too deeply"),
        (LOOP, "contains itself"),
        (10**5_000, "cannot be written as JSON"),
    ],
    ids=lambda v: v if isinstance(v, str) and v.isascii() else type(v).__name__,
)
def test_data_that_json_cannot_hold_is_refused(log: Log, data: object, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        log.append("noted", "thing:1", data=data)
    log.append("fine", "thing:1")
    assert types(log) == ["fine"]


@pytest.mark.parametrize("step", ["1", 1.5, 2**63, None.__class__, [1]])
def test_steps_that_are_no_whole_numbers_are_refused(log: Log, step: Any) -> None:
    with pytest.raises(UsageError, match="step must be a whole number"):
        log.append("noted", "thing:1", step=step)


@pytest.mark.parametrize("value", ["1", b"1", 10**400, [1]])
def test_values_that_are_no_numbers_are_refused(log: Log, value: Any) -> None:
    with pytest.raises(UsageError, match="must be a number"):
        log.append("noted", "thing:1", value=value)


def test_a_time_a_day_ahead_is_refused(log: Log) -> None:
    ahead = time.time_ns() // 1000 + 25 * 3600 * 10**6
    with pytest.raises(UsageError, match="24 hours ahead"):
        log.append("noted", "thing:1", time=ahead)


def test_an_expected_version_that_has_passed_is_a_conflict(log: Log) -> None:
    log.append("made", "model:resnet", expected_version=0)
    with pytest.raises(VersionConflict, match="is at version 1, not 0"):
        log.append("made", "model:resnet", expected_version=0)
    log.append("made", "model:resnet", expected_version=1)
    assert len(events(log)) == 2


# -- bad stores ----------------------------------------------------------------------------------


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    log = eventlog.open(tmp_path)
    with pytest.raises(NotALog, match=r"thesis\.tex.*name an empty or a new directory"):
        log.append("noted", "thing:1")
    with pytest.raises(NotALog):
        log.points("run:1", "loss")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(eventlog.EventlogError, match="file"):
        eventlog.open(tmp_path / "file").append("noted", "thing:1")


def test_reading_what_is_no_log_names_it(tmp_path: Path) -> None:
    with pytest.raises(NotALog, match=str(tmp_path)):
        eventlog.open(tmp_path / "nothing").events().collect()


def test_a_log_of_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "log") as log:
        log.append("noted", "thing:1")
    path = tmp_path / "log" / "format.json"
    path.write_bytes(msgspec.json.encode(json.loads(path.read_bytes()) | {"format": 99}))
    before = sorted(p for p in (tmp_path / "log").rglob("*") if "spool" not in p.parts)
    log = eventlog.open(tmp_path / "log")
    with pytest.raises(NewerFormat, match="pgrade"):
        log.append("noted", "thing:1")
    with pytest.raises(NewerFormat, match="pgrade"):
        log.events().collect()
    assert sorted(p for p in (tmp_path / "log").rglob("*") if "spool" not in p.parts) == before


class Overwriting(MemoryBackend):
    def put_new(self, key: str, data: bytes) -> None:
        self.delete([key])
        super().put_new(key, data)


class Refusing(MemoryBackend):
    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        raise Denied(f"no access to {key}: set AWS_ACCESS_KEY_ID")


def over(backend: MemoryBackend, tmp_path: Path) -> Log:
    return Log(backend, Options(spool=tmp_path / "spool", ship_s=(3600, 3600)))


def test_a_store_that_overwrites_is_refused_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = over(Overwriting(), tmp_path)
    with caplog.at_level(logging.CRITICAL, logger="eventlog"):
        log.append("noted", "thing:1")
        with pytest.raises(NotCreateOnly, match="If-None-Match"):
            log.flush(remote=True, timeout_s=0.3)
        log.close(timeout_s=0.1)
    assert list((tmp_path / "spool").iterdir()) != []


def test_wrong_credentials_are_said_at_once_and_only_where_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = over(Refusing(), tmp_path)
    with caplog.at_level(logging.WARNING, logger="eventlog"):
        log.append("noted", "thing:1")
        log.points("run:1", "loss")(1.0, 1)
        log.flush()
        with pytest.raises(Denied, match="AWS_ACCESS_KEY_ID"):
            log.flush(remote=True, timeout_s=3600)
        log.close(timeout_s=0.1)
    assert "AWS_ACCESS_KEY_ID" in caplog.text


def test_a_clock_far_ahead_in_the_log_is_named_and_not_followed(
    log: Log, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log.append("noted", "thing:1")
    log.flush(remote=True)
    log.compact()
    clock._witnessed_us.clear()  # as in another process
    monkeypatch.setattr(keeper, "now_us", lambda: 0)
    with caplog.at_level(logging.WARNING, logger="eventlog"):
        assert log.prepare() == 0
    assert "a clock was wrong" in caplog.text


def test_a_flipped_bit_in_a_segment_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    for n in range(2):
        with eventlog.open(tmp_path / "log", ship_s=(3600, 3600)) as log:
            log.append(f"fact{n}", "thing:1")
    victim = sorted((tmp_path / "log" / "wal").glob("*/000000000000.arrow"))[0]
    raw = bytearray(victim.read_bytes())
    raw[40] ^= 1
    victim.write_bytes(raw)
    with eventlog.open(tmp_path / "log") as log:
        with pytest.raises(Damage, match=f"{victim.parent.name}.*damage='skip'"):
            log.events().collect()
        assert log.events(damage="skip").collect()["type"].cast(str).to_list() == ["fact1"]


def test_a_forged_lane_is_named(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "log", ship_s=(3600, 3600)) as log:
        log.append("true", "thing:1")
    wal = tmp_path / "log" / "wal"
    [lane] = wal.iterdir()
    shutil.copytree(lane, wal / "1700000000000-forged-0000000000")
    with eventlog.open(tmp_path / "log") as log, pytest.raises(Damage, match="forged"):
        log.events().collect()


@pytest.mark.parametrize("type_", ["claim.announced", "writer.died", "lane.dropped", "claim.x"])
def test_the_types_of_the_log_itself_cannot_be_appended(log: Log, type_: str) -> None:
    with pytest.raises(UsageError, match="log's own"):
        log.append(type_, "thing:1")


@pytest.mark.parametrize("version", ["1", 1.5, [1]])
def test_an_expected_version_that_is_no_number_is_refused(log: Log, version: Any) -> None:
    with pytest.raises(UsageError, match="expected_version"):
        log.append("noted", "thing:1", expected_version=version)


@pytest.mark.parametrize("given", ["{}", 3, ("a", 1)])
def test_what_is_no_position_is_refused(log: Log, given: Any) -> None:
    log.append("noted", "thing:1")
    for call in (
        lambda: log.events(after=given),
        lambda: log.events(upto=given),
        lambda: log.tail(given),
    ):
        with pytest.raises(UsageError, match="position"):
            call()


def test_what_is_no_way_with_damage_is_refused(log: Log) -> None:
    log.append("noted", "thing:1")
    calls: list[Any] = [log.events, log.position, log.tail]
    for call in calls:
        with pytest.raises(UsageError, match="'raise' or 'skip'"):
            call(damage="bogus")


@pytest.mark.parametrize(
    "call",
    [
        lambda log: log.append("noted", "thing:1"),
        lambda log: log.events(),
        lambda log: log.position(),
        lambda log: log.tail(),
        lambda log: log.flush(),
        lambda log: log.sync(),
        lambda log: log.compact(),
        lambda log: log.verify(),
        lambda log: log.__enter__(),
    ],
)
def test_a_closed_log_is_refused_for_everything(log: Log, call: Any) -> None:
    log.append("noted", "thing:1")
    log.close()
    with pytest.raises(LogClosed, match=r"eventlog\.open"):
        call(log)


def test_a_spool_must_be_a_directory_of_this_machine() -> None:
    with pytest.raises(UsageError, match="directory"):
        eventlog.open("memory://here", spool="s3://bucket/spool")
