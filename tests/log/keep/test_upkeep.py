"""The upkeep that short processes do for each other."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog.log.keep import upkeep
from eventlog.log.keep.upkeep import Upkeep, is_backlog
from eventlog.log.read.reader import Reader
from tests.interleaving.world import RawSpool, World, ship


def _sweep(url: Path, count: int) -> None:
    for n in range(count):
        with eventlog.open(url) as log:
            log.append("run.created", f"run:{n}")


def _lanes(world: World, count: int) -> None:
    for n in range(count):
        ship(world.store, RawSpool(f"lane{n:04}", world.truth, [f"e{n}"]), final=True)


def test_a_sweep_of_short_writers_is_compacted_by_one_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LOOK_SHARE", 1)
    _sweep(tmp_path / "log", 40)
    log = eventlog.open(tmp_path / "log")
    snapshot = log.reader().snapshot()
    assert snapshot.manifest.version == 1
    assert len(list(log.backend.list("wal/"))) < 64
    assert snapshot.count() == 40


def test_most_short_writers_do_not_look_what_there_is_to_compact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Reader] = []
    monkeypatch.setattr(upkeep, "is_backlog", looked.append)
    monkeypatch.setattr(upkeep.secrets, "randbelow", lambda share: share - 1)
    _sweep(tmp_path / "log", 5)
    assert looked == []
    monkeypatch.setattr(upkeep.secrets, "randbelow", lambda share: 0)
    _sweep(tmp_path / "log", 5)
    assert len(looked) == 5


def test_closing_waits_for_the_upkeep_that_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, done = threading.Event(), threading.Event()

    def work(self: Upkeep, first: bool, look: bool) -> None:
        let_go.wait(30)
        done.set()

    join = threading.Thread.join

    def watched(self: threading.Thread, timeout: float | None = None) -> None:
        if self.name == "eventlog-upkeep":
            let_go.set()
        join(self, timeout)

    monkeypatch.setattr(Upkeep, "_work", work)
    monkeypatch.setattr(threading.Thread, "join", watched)
    with eventlog.open(tmp_path / "log") as log:
        log.append("lamp.lit", "lamp:1")
    assert done.is_set()


def test_upkeep_is_done_where_no_thread_can_be_started_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[bool, bool]] = []

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(Upkeep, "_work", lambda self, first, look: done.append((first, look)))
    tended = Upkeep(eventlog.open(tmp_path / "log"))
    with monkeypatch.context() as ending:
        ending.setattr(threading.Thread, "start", refuse)
        tended()
    tended.finish(1.0)
    assert [first for first, _ in done] == [True]


def test_a_writer_looks_again_after_many_shipments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []

    def work(self: Upkeep, first: bool, look: bool) -> None:
        looks.append(look and not first)

    monkeypatch.setattr(Upkeep, "_work", work)
    tended = Upkeep(eventlog.open(tmp_path / "log"))
    for _ in range(2 * upkeep.COMPACT_EVERY):
        tended()
        tended.finish(10.0)
    assert looks == [False, True, True]


def test_a_backlog_is_seen_in_listings_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _lanes(world, 31)
    reader = Reader(world.store)
    assert not is_backlog(reader)
    ship(world.store, RawSpool("more", world.truth, ["m0", "m1", "m2"]), final=True)
    read: list[Any] = []
    monkeypatch.setattr(world.store, "get_many", lambda ranges: read.append(ranges))
    assert is_backlog(reader)
    assert read == []


def test_what_is_compacted_or_being_compacted_is_no_backlog(world: World) -> None:
    _lanes(world, 40)
    world.store.put_new("compacting/000000000001", b"somebody")
    assert not is_backlog(Reader(world.store))
    world.store.pass_time(601)
    assert is_backlog(Reader(world.store))
    world.keep(world.store, times=1)
    assert not is_backlog(Reader(world.store))


def test_few_large_segments_are_a_backlog(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _lanes(world, 1)
    assert not is_backlog(Reader(world.store))
    monkeypatch.setattr(upkeep, "MAYBE_BYTES", 100)
    assert is_backlog(Reader(world.store))
