"""The log's face: what is kept, what is refused, and what each refusal says."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog.errors import Damage, LogClosed
from eventlog.log import clock
from eventlog.log.log import Log
from tests.fork.scripts import ROOT, environment
from tests.log.rows import events, types
from tests.waiting import in_threads

# -- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [{}, [], "", "text", 0, -1, 10**30, 1.5, True, False, [None], {"a": {"b": [1, "é", "\0"]}},
     "\u2028\U0001f600", {"": 1}, 5e-324, -0.0, 2**63, "@blob {}"],
    ids=repr,
)  # fmt: skip
def test_data_comes_back_equal(log: Log, data: Any) -> None:
    log.append("noted", "thing:1", data=data)
    [row] = events(log)
    assert json.loads(row["data"]) == data


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 1_000_000])
@pytest.mark.parametrize("letter", ["x", "é", "\0"])
def test_data_of_any_length_comes_back_equal(log: Log, size: int, letter: str) -> None:
    text = letter * size
    log.append("noted", "thing:1", data=text)
    assert json.loads(events(log)[0]["data"]) == text
    log.flush(remote=True)
    assert json.loads(events(log)[0]["data"]) == text


@pytest.mark.parametrize("text", ["a\0b", "\0", " ", "é\u2028", "a" * 1024 * 1024, "x:y/../z"])
def test_names_are_kept_exactly(log: Log, text: str) -> None:
    log.append(text, text, key=text)
    log.points(text, text)(1.0, 1)
    log.flush(remote=True)
    for row in events(log):
        assert row["stream"] == row["key"] == text


def test_the_order_of_one_writer_is_kept(log: Log) -> None:
    point = log.points("run:1", "loss")
    for n in range(100):
        point(1.0, n)
        log.append(f"fact{n}", "run:1")
    expected = [word for n in range(100) for word in ("metric.logged", f"fact{n}")]
    assert types(log) == expected


def test_times_never_decrease_within_a_process(log: Log) -> None:
    log.append("now", "thing:1")
    log.append("long ago", "thing:1", time=5)
    times = [row["time"] for row in events(log)]
    assert times[0] <= times[1]


def test_a_clock_that_jumps_back_an_hour_keeps_the_order(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append("first", "thing:1")
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 3_600 * 10**9)
    log.append("second", "thing:1")
    rows = events(log)
    assert rows[0]["time"] == rows[1]["time"]
    assert [row["type"] for row in rows] == ["first", "second"]


def test_a_process_reads_what_it_wrote_before_it_ships(log: Log) -> None:
    log.append("noted", "thing:1")
    assert types(log) == ["noted"]
    log.flush(remote=True)
    log.append("again", "thing:1")
    assert types(log) == ["noted", "again"]


def test_a_closed_log_says_how_to_go_on(log: Log) -> None:
    log.append("noted", "thing:1")
    log.close()
    with pytest.raises(LogClosed, match="open it again"):
        log.append("late", "thing:1")


def test_closing_twice_is_closing_once(log: Log) -> None:
    log.append("noted", "thing:1")
    log.close()
    log.close()
    assert types(eventlog.open(log.url)) == ["noted"]


def test_logs_of_one_url_share_their_writer(tmp_path: Path) -> None:
    one, two = (eventlog.open(tmp_path / "log", ship_s=(3600, 3600)) for _ in range(2))
    one.append("one", "thing:1")
    two.append("two", "thing:1")
    one.close()
    two.append("three", "thing:1")
    assert types(two) == ["one", "two", "three"]
    assert len({row["lane"] for row in events(two)}) == 1
    two.close()


def test_two_that_open_a_fresh_log_at_once_make_one(tmp_path: Path) -> None:
    start = threading.Barrier(8)
    failed: list[BaseException] = []

    def work(n: int) -> None:
        log = eventlog.open(tmp_path / "log", spool_limit_bytes=10**9 + n, ship_s=(3600, 3600))
        try:
            start.wait()
            log.append(f"fact{n}", "thing:1")
            log.close()
        except BaseException as error:
            failed.append(error)

    in_threads(*(partial(work, n) for n in range(8)))
    assert failed == []
    with eventlog.open(tmp_path / "log") as log:
        assert sorted(types(log)) == [f"fact{n}" for n in range(8)]


def test_opening_touches_nothing(tmp_path: Path) -> None:
    eventlog.open(tmp_path / "log").close()
    assert not (tmp_path / "log").exists()


# -- what logging loads --------------------------------------------------------------------------

LOADS = """
import sys, eventlog
log = eventlog.open(sys.argv[1], ship_s=(3600, 3600))
log.append("noted", "thing:1", data={"a": 1})
log.append("noted", "thing:1", data="x" * 100_000)
log.points("run:1", "loss")(1.0, 1)
log.points_many("run:1", ["a", "b"])([1.0, 2.0], 1)
log.series("run:1", "loss", [1, 2], [1.0, 2.0])
for n in range(10_000):
    log.points("run:1", "loss")(1.0, n)
log.flush()
print(*sorted({"pyarrow", "polars", "torch", "ray"} & set(sys.modules)), sep=",")
import os
os._exit(0)
"""


def loaded(script: str, url: str) -> str:
    """What a process that runs the script says it has loaded."""
    done = subprocess.run(
        [sys.executable, "-c", script, url], cwd=ROOT, env=environment(), capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


@pytest.mark.parametrize("place", ["path", "memory"])
def test_logging_loads_neither_pyarrow_nor_polars(tmp_path: Path, place: str) -> None:
    assert loaded(LOADS, str(tmp_path / "log") if place == "path" else "memory://here") == ""


SHIPS = """
import sys, eventlog
with eventlog.open(sys.argv[1]) as log:
    log.append("noted", "thing:1", data={"a": 1})
    log.points_many("run:1", ["a", "b"])([1.0, 2.0], 1)
print(*sorted({"pyarrow.compute", "pyarrow.parquet", "numpy.ma", "polars"} & set(sys.modules)))
"""


def test_a_short_process_that_ships_loads_only_what_it_needs_for_that(tmp_path: Path) -> None:
    eventlog.open(tmp_path / "log").prepare()  # an older log has something to look after
    assert loaded(SHIPS, str(tmp_path / "log")) == ""


# -- whose time comes after whose ------------------------------------------------------------------


def set_clock(monkeypatch: pytest.MonkeyPatch, ahead_s: float) -> None:
    now_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + int(ahead_s * 1e9))


def test_a_slow_clock_does_not_put_an_answer_before_its_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with eventlog.open(tmp_path / "log") as log:
        log.append("asked", "thing:1")
    with monkeypatch.context() as patch:
        set_clock(patch, -3600)
        clock._witnessed_us.clear()
        with eventlog.open(tmp_path / "log", ship_s=(3600, 3600)) as log:
            log.append("begun", "thing:1")
            assert len(events(log)) == 2
            log.append("answered", "thing:1")
            rows = log.events().collect().sort("time")["type"].to_list()
    assert rows.index("asked") < rows.index("answered")


def test_a_process_that_only_read_so_far_writes_after_what_it_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with eventlog.open(tmp_path / "log") as log:
        log.append("asked", "thing:1")
    clock._witnessed_us.clear()
    with eventlog.open(tmp_path / "log") as log, monkeypatch.context() as patch:
        set_clock(patch, -3600)
        assert types(log) == ["asked"]
        log.append("answered", "thing:1")
        times = {row["type"]: row["time"] for row in events(log)}
    assert times["asked"] <= times["answered"]


def test_a_fact_of_a_clock_that_is_far_ahead_is_not_followed(log: Log) -> None:
    clock.witness(log.url, clock.now_us() + clock.AHEAD_LIMIT_US + 1_000_000)
    assert clock.witnessed_us(log.url) == 0


# -- following -------------------------------------------------------------------------------------


def test_a_tail_goes_on_where_another_was_left(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "log") as log:
        log.append("first", "thing:1")
        log.flush(remote=True)
        batches = log.tail()
        assert next(batches)["type"].to_list() == ["first"]
        log.append("second", "thing:1")
        log.flush(remote=True)
        assert next(log.tail(batches.position))["type"].to_list() == ["second"]


def test_a_tail_that_skips_damage_goes_on_behind_it(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "log", ship_s=(3600, 3600)) as log:
        for name in ("first", "second", "third"):
            log.append(name, "thing:1")
            log.flush(remote=True)
        second = sorted((tmp_path / "log" / "wal").glob("*/*"))[1]
        second.chmod(0o600)
        second.write_bytes(second.read_bytes()[:-1])
        with pytest.raises(Damage):
            next(eventlog.open(tmp_path / "log").tail())
        frame = next(eventlog.open(tmp_path / "log").tail(damage="skip"))
        assert frame["type"].to_list() == ["first", "third"]


def test_events_name_a_segment_that_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with eventlog.open(tmp_path / "log", ship_s=(3600, 3600)) as log:
        for name in ("first", "second", "third"):
            log.append(name, "thing:1")
            log.flush(remote=True)
        sorted((tmp_path / "log" / "wal").glob("*/*"))[1].unlink()
        assert eventlog.open(tmp_path / "log").events().collect()["type"].to_list() == ["first"]
    assert "is gone, though slot 2 is there" in caplog.text
