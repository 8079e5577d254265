"""Spools for tests: alive, dead, and what lies in the store afterwards."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from eventlog.backend import Backend
from eventlog.event import POINT_TYPE
from eventlog.log.create import ensure_log
from eventlog.log.keep import recover
from eventlog.log.read.reader import Reader
from eventlog.log.segment import SpoolMark
from eventlog.log.write import facts as ff
from eventlog.log.write import identity, lock, spool
from eventlog.log.write.inside import writing
from eventlog.log.write.lock import take_lock
from eventlog.log.write.names import Names
from eventlog.log.write.points import Rows
from eventlog.log.write.ship import Shipper
from eventlog.log.write.spool import Spool
from eventlog.log.write.tables import build

WORDS = [0, 1, "fact0", 2, 3, "fact1", 4, 5, "fact2"]
NO_ROWS = Rows(lambda: 0, lambda n: 0, None, 0, memoryview(b""), memoryview(b""))  # type: ignore[arg-type]


class Hand:
    """A spool with a hand that writes to it step by step, as the handles do in one go.

    Every event has a name of its own: facts in ``type``, points in ``step``.
    """

    def __init__(self, root: Path, lane: str = "lane", *, locked: bool = False) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.cell = [NO_ROWS]
        self.spool = Spool.create(root, lane, Names(), self.cell, locked=locked)
        self.stream = self.spool.name(ff.STREAM, "run:1")
        self.key = self.spool.name(ff.KEY, "loss")

    def fact(self, name: str, time_us: int | None = None) -> None:
        self.spool.append(time_us, name, "run:1", None, None, None, None)

    def take(self) -> tuple[Rows, int]:
        """A row that is taken and not filled."""
        while True:
            rows = self.cell[0]
            row = rows.take()
            if row < rows.capacity:
                return rows, row
            self.spool.grow(rows)

    def fill(self, taken: tuple[Rows, int], step: int) -> None:
        rows, row = taken
        struct.pack_into("@qqdII", rows.map, row << 5, 5, step, step / 2, self.stream, self.key)

    def point(self, *steps: int) -> None:
        for step in steps:
            self.fill(self.take(), step)

    def words(self, since: SpoolMark | None = None, until: SpoolMark | None = None) -> list[object]:
        """What lies between two marks, in order."""
        end = until or self.spool.end()
        return words(build(self.spool, since or SpoolMark(), end, "lane", 0).table)

    def die(self) -> Path:
        """Let go of everything, as the kernel does for a process that is killed."""
        self.spool.close()
        return self.spool.directory


class InFlight:
    """A thread that has taken a row and stands still before it fills it."""

    def __init__(self, hand: Hand, step: int) -> None:
        self._took, self._go = threading.Event(), threading.Event()

        def write_slowly() -> None:
            taken = hand.take()
            self._took.set()
            assert self._go.wait(30)
            if step >= 0:
                hand.fill(taken, step)

        writing(write_slowly)
        self._thread = threading.Thread(target=write_slowly)
        self._thread.start()
        assert self._took.wait(30)

    def land(self) -> None:
        self._go.set()
        self._thread.join(30)


def words(table: pa.Table) -> list[object]:
    """Facts by type, points by step."""
    return [
        row["step"] if row["type"] == POINT_TYPE else row["type"]
        for row in table.select(["type", "step"]).to_pylist()
    ]


def stored(backend: Backend, *, died: bool = False) -> list[object]:
    """The words of everything that a reader finds, by lane and seq."""
    tables = list(Reader(backend).snapshot().tables())
    if not tables:
        return []
    rows = pa.concat_tables(tables).to_pylist()
    rows.sort(key=lambda row: (row["lane"], row["seq"]))
    return [
        row["step"] if row["type"] == POINT_TYPE else row["type"]
        for row in rows
        if died or row["type"] != recover.DIED
    ]


def recovered(backend: Backend, root: Path, **options: Any) -> recover.SyncReport:
    """What a look at the spools below ``root`` reports."""
    ensure_log(backend)
    return recover.recover_all(Reader(backend), root, **options)


def reopened(directory: Path) -> Spool:
    """A dead writer's spool, in our hands."""
    held = take_lock(directory)
    assert held is not None
    return Spool.open_dead(directory, held)


def shipper_of(hand: Hand, backend: Backend) -> Shipper:
    ensure_log(backend)
    return Shipper(hand.spool, backend)


def leave(root: Path, store: Backend, shipped: int = 1, lane: str = "lane") -> Path:
    """A dead writer's spool: three rounds of two points and a fact, ``shipped`` of them shipped."""
    hand = Hand(root, lane)
    shipper = shipper_of(hand, store)
    for n in range(3):
        hand.point(2 * n, 2 * n + 1)
        hand.fact(f"fact{n}")
        if n < shipped:
            shipper.ship()
    hand.spool.sync()
    return hand.die()


def as_machine(monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    for module in (identity, lock, recover):
        monkeypatch.setattr(module, "machine_id", lambda: machine)


def as_boot(monkeypatch: pytest.MonkeyPatch, boot: str) -> None:
    for module in (identity, lock, spool):
        monkeypatch.setattr(module, "boot_id", lambda: boot)


class Died(BaseException):
    """Kills whoever takes the step."""


def steps(monkeypatch: pytest.MonkeyPatch, call: Callable[[str], None]) -> None:
    """Call ``call(name)`` before every step that a crash might fall on."""
    for module in ("eventlog.log.write.spool", "eventlog.log.write.ship"):
        monkeypatch.setattr(f"{module}.step", call)


def dying_at(number: int) -> Callable[[str], None]:
    """A step function that dies at the ``number``-th step."""
    count = iter(range(number + 1))

    def step(name: str) -> None:
        if next(count, None) == number:
            raise Died(name)

    return step
