"""A full disk: facts wait in memory, what is dropped is counted, and people are told which."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from eventlog.log.write import backlog, lane, warned
from eventlog.log.write import facts as ff
from eventlog.log.write.handles import point_handle
from eventlog.log.write.lane import Writer
from eventlog.log.write.points import Points
from tests.log.lanes import contents
from tests.log.spools import stored
from tests.log.write.test_lane import a_writer, say
from tests.waiting import in_threads


@pytest.fixture
def writer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Writer]:
    """A writer with a lane, whose warnings are caught and whose daemon leaves retries to us."""
    caplog.set_level(logging.WARNING, logger="eventlog")
    writer = a_writer(tmp_path)
    say(writer, "before")
    daemon = writer.daemon
    assert daemon is not None
    daemon._every_tick = lambda: None
    yield writer
    writer.close(30)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


class Disk:
    """The disk under the spool: full or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._sound: list[tuple[type, str]] = [(ff.FactFile, "append"), (Points, "grow")]
        self._verbs = [getattr(*at) for at in self._sound]
        monkeypatch.setattr(lane, "_RETRY_S", 0.0)

    def fills_up(self) -> None:
        def full(*_: object) -> Any:
            raise OSError(errno.ENOSPC, "No space left on device")

        for at in self._sound:
            self._patch.setattr(*at, full)

    def has_room(self) -> None:
        for at, verb in zip(self._sound, self._verbs, strict=True):
            self._patch.setattr(*at, verb)


def said(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    return [r.getMessage() for r in caplog.records if word in r.getMessage()]


def test_who_logs_on_a_full_disk_is_told_that_facts_may_be_lost(
    writer: Writer, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.fills_up()
    for n in range(5):
        say(writer, f"fact{n}")
    [warning] = said(caplog, "no room")
    assert "facts wait in memory: they are lost if this process is killed" in warning
    assert "points are dropped and counted" in warning
    assert "free disk space" in warning
    disk.has_room()


def test_a_spool_at_its_limit_is_said_to_keep_facts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = a_writer(tmp_path, spool_limit_bytes=0)
    point_handle(writer, "run:1", "loss")(1.0, 1)
    [warning] = said(caplog, "no room")
    assert "facts are still kept" in warning
    assert "wait in memory" not in warning
    writer.close(30)


def test_facts_that_begin_to_be_dropped_are_said_loudly(
    writer: Writer, disk: Disk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "BACKLOG_LIMIT", 3)
    disk.fills_up()
    for n in range(3):
        say(writer, f"fact{n}")
    assert said(caplog, "New facts are dropped now") == []
    for n in range(3, 9):
        say(writer, f"fact{n}")
    [record] = [r for r in caplog.records if "New facts are dropped now" in r.getMessage()]
    assert record.levelno == logging.ERROR
    assert "3 facts wait in memory" in record.getMessage()
    disk.has_room()
    writer.retry()
    writer.ship(30)
    assert stored(writer.backend) == ["before", "fact0", "fact1", "fact2", "lane.dropped"]
    [note] = [row[8] for row in contents(writer.backend) if row[3] == "lane.dropped"]
    assert json.loads(str(note)) == {"points": 0, "facts": 6}


def test_what_was_dropped_is_said_with_its_numbers(
    writer: Writer, disk: Disk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "BACKLOG_LIMIT", 1)
    point = point_handle(writer, "run:1", "loss")
    disk.fills_up()
    for n in range(7):
        point(1.0, n)
    for n in range(4):
        say(writer, f"fact{n}")
    disk.has_room()
    writer.retry()
    [warning] = said(caplog, "were dropped")
    assert warning.startswith("7 points and 3 facts were dropped")


def test_what_is_dropped_again_and_again_is_said_once_a_minute_and_added_up(
    writer: Writer, disk: Disk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = point_handle(writer, "run:1", "loss")
    for n in range(4):
        disk.fills_up()
        writer.cell[0] = lane._no_rows()
        point(1.0, n)
        disk.has_room()
        writer.retry()
    assert [w.split(" and ")[0] for w in said(caplog, "were dropped")] == ["1 points"]
    monkeypatch.setattr(warned, "WARN_EVERY_S", 0.0)  # a minute later
    writer.retry()
    assert [w.split(" and ")[0] for w in said(caplog, "were dropped")] == ["1 points", "3 points"]
    writer.retry()
    assert len(said(caplog, "were dropped")) == 2


def test_every_fact_is_kept_or_counted_whoever_logs(
    writer: Writer, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "BACKLOG_LIMIT", 50)
    disk.fills_up()

    def work() -> None:
        for n in range(500):
            say(writer, f"fact{n}")

    in_threads(*[partial(work)] * 8)
    assert len(writer.backlog.held) == 50
    assert writer.backlog.facts == 8 * 500 - 50
    disk.has_room()
