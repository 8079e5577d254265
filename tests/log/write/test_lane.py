"""Writers: one lane a process, whatever the disk and the store do."""

from __future__ import annotations

import errno
import json
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from eventlog.errors import LogClosed, SpoolError, SpoolFull, Unavailable
from eventlog.log.create import ensure_log
from eventlog.log.read.reader import Reader
from eventlog.log.write import facts as ff
from eventlog.log.write import lane
from eventlog.log.write import points as pt
from eventlog.log.write.lane import Writer
from eventlog.log.write.options import Options
from eventlog.log.write.points import Points
from eventlog_backends.memory import MemoryBackend
from tests.log.spools import recovered, stored
from tests.waiting import in_threads, until


def a_writer(
    tmp_path: Path, *, after_ship: Callable[[], None] = lambda: None, **options: Any
) -> Writer:
    backend = MemoryBackend()
    ensure_log(backend)
    given: dict[str, Any] = {"spool": tmp_path / "spool", "ship_s": (3600, 3600)} | options
    return Writer(backend, Options(**given), prepare=lambda: 0, after_ship=after_ship)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = a_writer(tmp_path)
    yield writer
    writer.close(30)


def say(writer: Writer, word: str) -> None:
    writer.append(None, word, "run:1", None, None, None, None, True)


def full(*_: object) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_nothing_touches_the_disk_before_the_first_write(tmp_path: Path) -> None:
    writer = a_writer(tmp_path)
    assert not (tmp_path / "spool").exists()
    writer.close(30)
    assert not (tmp_path / "spool").exists()


def test_a_closed_writer_leaves_nothing_behind(writer: Writer, tmp_path: Path) -> None:
    say(writer, "noted")
    writer.close(30)
    assert list((tmp_path / "spool").iterdir()) == []
    assert stored(writer.backend) == ["noted"]
    with pytest.raises(LogClosed, match="open it again"):
        say(writer, "late")


def test_threads_that_write_first_at_once_share_one_lane(tmp_path: Path) -> None:
    writer = a_writer(tmp_path)
    start = threading.Barrier(8)

    def work(n: int) -> None:
        start.wait()
        say(writer, f"fact{n}")

    in_threads(*(partial(work, n) for n in range(8)))
    assert len(list((tmp_path / "spool").iterdir())) == 1
    writer.close(30)
    assert sorted(map(str, stored(writer.backend))) == [f"fact{n}" for n in range(8)]


def test_a_signal_handler_that_writes_first_shares_the_lane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = a_writer(tmp_path)
    make, handled = lane.new_lane_id, list[int]()

    def interrupted() -> str:
        if not handled:
            handled.append(1)
            say(writer, "handler")
        return make()

    monkeypatch.setattr(lane, "new_lane_id", interrupted)
    say(writer, "interrupted")
    assert len(list((tmp_path / "spool").iterdir())) == 1
    writer.close(30)
    assert stored(writer.backend) == ["handler", "interrupted"]


def test_a_root_that_cannot_be_written_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    writer = a_writer(tmp_path, spool=tmp_path / "file" / "spool")
    with pytest.raises(SpoolError, match="EVENTLOG_STATE"):
        say(writer, "noted")


def test_times_go_on_from_the_newest_in_the_log(tmp_path: Path) -> None:
    backend = MemoryBackend()
    ensure_log(backend)
    ahead = 2**55
    options = Options(spool=tmp_path / "spool", ship_s=(3600, 3600))
    writer = Writer(backend, options, prepare=lambda: ahead, after_ship=lambda: None)
    say(writer, "first")
    writer.ship(30)
    say(writer, "second")
    assert writer.spool is not None
    assert writer.spool.clock_us == ahead
    writer.close(30)


def test_facts_wait_in_memory_while_the_disk_is_full(
    writer: Writer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(writer, "before")
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(ff.FactFile, "append", full)
        for n in range(3):
            say(writer, f"meanwhile{n}")
        with pytest.raises(SpoolFull, match="free disk space"):
            writer.flush()
    assert len([r for r in caplog.records if "no room" in r.getMessage()]) == 1
    say(writer, "after")
    writer.flush()
    writer.ship(30)
    assert stored(writer.backend) == [
        "before", "meanwhile0", "meanwhile1", "meanwhile2", "after",
    ]  # fmt: skip


def test_facts_that_never_found_room_are_counted_at_the_end(
    writer: Writer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(writer, "before")
    append = ff.FactFile.append
    with caplog.at_level(logging.WARNING):
        monkeypatch.setattr(ff.FactFile, "append", full)
        say(writer, "lost")
        retry, tries = writer.retry, list[int]()

        def last_try() -> None:
            retry()
            if not tries:
                tries.append(1)
                monkeypatch.setattr(ff.FactFile, "append", append)

        monkeypatch.setattr(writer, "retry", last_try)
        writer.close(30)
    assert stored(writer.backend) == ["before", "lane.dropped"]
    assert "1 facts are lost" in caplog.text


def test_points_are_dropped_and_counted_while_the_disk_is_full(
    writer: Writer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eventlog.log.write.handles import point_handle

    point = point_handle(writer, "run:1", "loss")
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(Points, "grow", full)
        for n in range(10):
            point(1.0, n)
    calls = 10

    def lands() -> bool:
        nonlocal calls
        calls += 1
        point(1.0, 100)
        return writer.cell[0].capacity > 0

    until(lands)
    until(lambda: writer.backlog.points == 0)
    writer.ship(30)
    counted = [
        json.loads(row["data"])["points"]
        for table in Reader(writer.backend).snapshot().tables()
        for row in table.to_pylist()
        if row["type"] == "lane.dropped"
    ]
    assert stored(writer.backend).count(100) + sum(counted) == calls
    assert sum(counted) >= 10


def test_strict_writers_raise_where_others_drop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eventlog.log.write.handles import point_handle

    writer = a_writer(tmp_path, strict=True)
    point = point_handle(writer, "run:1", "loss")
    with monkeypatch.context() as patched:
        patched.setattr(Points, "grow", full)
        patched.setattr(ff.FactFile, "append", full)
        with pytest.raises(SpoolFull, match="no room"):
            point(1.0, 1)
        with pytest.raises(SpoolFull, match="no room"):
            say(writer, "noted")
    writer.close(30)


def test_a_spool_at_its_limit_takes_no_more_points(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from eventlog.log.write.handles import point_handle

    writer = a_writer(tmp_path, spool_limit_bytes=pt.ROW_BYTES * 5_000)
    point = point_handle(writer, "run:1", "loss")
    with caplog.at_level(logging.WARNING):
        for n in range(30_000):
            point(1.0, n)
    kept = 4_096 + 16_384
    assert writer.backlog.points == 30_000 - kept
    assert "spool_limit_bytes" in caplog.text
    say(writer, "still takes facts")
    writer.close(30)
    words = stored(writer.backend)
    assert words[:kept] == list(range(kept))
    assert words[kept:] == ["still takes facts", "lane.dropped"]


class Away(MemoryBackend):
    """A store that is away, or silent, until it is told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        ensure_log(self)
        self.away, self.gate = True, threading.Event()
        self.gate.set()

    def put_new(self, key: str, data: bytes) -> None:
        if key.startswith("wal/"):
            assert self.gate.wait(30)
            if self.away:
                raise Unavailable("the store is away")
        super().put_new(key, data)


@pytest.mark.parametrize("silent", [False, True])
def test_closing_while_the_store_is_away_leaves_the_rest_to_the_next(
    tmp_path: Path, silent: bool, caplog: pytest.LogCaptureFixture
) -> None:
    store = Away()
    options = Options(spool=tmp_path / "spool", ship_s=(3600, 3600))
    writer = Writer(store, options, prepare=lambda: 0, after_ship=lambda: None)
    say(writer, "noted")
    daemon = writer.daemon
    assert daemon is not None
    if silent:
        store.gate.clear()
    with caplog.at_level(logging.WARNING):
        writer.close(0.05)
    assert "eventlog sync" in caplog.text
    if silent:
        # It may still put what it holds: until then nobody else may touch the spool.
        assert recovered(store, tmp_path / "spool").recovered == []
        store.gate.set()
    daemon.join(30)
    assert not daemon.is_alive()
    store.away = False
    assert recovered(store, tmp_path / "spool").failed == {}
    assert stored(store) == ["noted"]


def test_two_may_close_at_once(writer: Writer) -> None:
    say(writer, "noted")
    in_threads(*[partial(writer.close, 30)] * 4)
    until(lambda: stored(writer.backend) == ["noted"])


def interrupted(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


def test_ctrl_c_while_closing_leaves_everything_to_the_next(
    writer: Writer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    say(writer, "noted")
    daemon = writer.daemon
    assert daemon is not None
    daemon.ship_now = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        writer.close(30)
    assert "by `eventlog sync`" in caplog.text
    daemon.join(30)
    assert recovered(writer.backend, tmp_path / "spool").failed == {}
    assert stored(writer.backend) == ["noted"]


def test_ctrl_c_at_the_exit_closes_the_other_writers_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    class Waiting(Writer):
        def close(self, timeout_s: float) -> None:
            waits.append(timeout_s)
            raise KeyboardInterrupt

    writers = [Waiting.__new__(Waiting) for _ in range(3)]
    monkeypatch.setattr(lane, "_WRITERS", writers)
    monkeypatch.setattr(lane, "remove_volatile_root", lambda: waits.append(-1.0))
    lane.close_all()
    assert waits == [30.0, 0.0, 0.0, -1.0]


def test_the_reason_of_an_outage_is_not_said_again_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = Options(spool=tmp_path / "spool", ship_s=(3600, 3600))
    writer = Writer(Away(), options, prepare=lambda: 0, after_ship=lambda: None)
    say(writer, "noted")
    with pytest.raises(Unavailable):
        writer.ship(0.1)
    until(lambda: "cannot be shipped" in caplog.text)
    writer.close(0.05)
    assert caplog.text.count("the store is away") == 1
    assert ".)" not in caplog.text
