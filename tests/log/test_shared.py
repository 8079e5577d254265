"""One writer per process and log."""

from __future__ import annotations

import threading
from pathlib import Path

import eventlog
from tests.waiting import in_threads


def test_the_first_writes_of_many_threads_share_one_writer_and_one_close(tmp_path: Path) -> None:
    for n in range(10):
        url = tmp_path / str(n)
        log = eventlog.open(url)
        start = threading.Barrier(4)

        def write(log: eventlog.Log = log, start: threading.Barrier = start) -> None:
            start.wait()
            log.append("lamp.lit", "lamp:1")

        in_threads(*[write] * 4)
        log.close()
        assert eventlog.open(url).reader().snapshot().count() == 4


def test_a_log_stays_open_until_the_last_user_closes_it(tmp_path: Path) -> None:
    first, second = eventlog.open(tmp_path / "log"), eventlog.open(tmp_path / "log")
    first.append("lamp.lit", "lamp:1")
    second.append("lamp.lit", "lamp:1")
    first.close()
    second.append("lamp.lit", "lamp:1")
    second.close()
    events = eventlog.open(tmp_path / "log").events().collect()
    assert events["lane"].n_unique() == 1
    assert events.height == 3


def test_a_reader_in_the_same_process_sees_what_another_log_object_wrote(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "log", ship_s=(3600, 3600)) as writer:
        writer.append("lamp.lit", "lamp:1")
        assert eventlog.open(tmp_path / "log").events().collect().height == 1
