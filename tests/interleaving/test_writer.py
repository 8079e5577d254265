"""The real spool, shipper and recovery among the other actors, stalled and killed everywhere.

Stops lie before and after every verb of the store and at every step of the spool.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from eventlog.backend import Backend
from eventlog.log.keep import recover
from eventlog.log.keep.seal import seal
from eventlog.log.read.reader import Reader
from eventlog.log.write.ship import Shipper
from eventlog.testing.interleave import Stage, stalls
from tests.interleaving.world import Truth, World, names_in
from tests.log.spools import Hand, steps, stored
from tests.simulation.store import SimStore


class NoTurns(dict[Path, object]):
    """Nobody waits for anybody."""

    def setdefault(self, root: Path, lock: object) -> object:  # type: ignore[override]
        return lock


@pytest.fixture(autouse=True)
def every_actor_is_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recoveries of one process take turns; here each actor stands for a process of its own."""
    monkeypatch.setattr(recover, "_turns", NoTurns())


@dataclass
class Place:
    """A store with a spool root beside it, and what the writer said in so many words."""

    root: Path
    world: World = field(default_factory=lambda: World(SimStore(), Truth()))
    said: list[object] = field(default_factory=list)
    hand: Hand | None = None
    fds: list[int] = field(default_factory=list)

    def say(self, *words: object) -> None:
        assert self.hand is not None
        for word in words:
            self.hand.point(word) if isinstance(word, int) else self.hand.fact(str(word))
            self.said.append(word)

    def check(self) -> None:
        """What returned is in the store once and in order, now and after housekeeping."""
        for _ in range(2):
            assert stored(self.world.store) == self.said
            self.world.keep(self.world.store, times=3)

    def let_go(self) -> None:
        """What the kernel does for a process that was killed."""
        if self.hand is not None and hasattr(self.hand, "spool"):
            self.hand.spool.close()
        for fd in self.fds:
            os.close(fd)


def _write(place: Place, backend: Backend) -> None:
    """A process's life: it speaks, ships, speaks, ends its lane and deletes its spool."""
    place.hand = Hand.__new__(Hand)  # known to the place before it stops for the first time
    place.hand.__init__(place.root)  # type: ignore[misc]
    shipper = Shipper(place.hand.spool, backend)
    place.say("a", 1, 2)
    shipper.ship()
    place.say("b", 3)
    shipper.ship(final=True)
    place.hand.spool.delete()


def _write_and_die(place: Place) -> None:
    """A process that died with one segment landed and not acknowledged, and more in its spool."""
    place.hand = Hand(place.root)
    shipper = Shipper(place.hand.spool, place.world.store)
    place.say("a", 1)
    shipper.ship()
    place.say("b", 2)
    shipper._encode(final=False)
    place.say("c", 3)
    place.hand.die()


def _lose_ownership(place: Place) -> None:
    """A child of the dead writer still holds its lock: whoever recovers is no owner."""
    lock = place.root / "lane" / "lock"
    writer = json.loads(lock.read_bytes())
    lock.write_text(json.dumps(writer | {"pid": 2**22 - 1, "started": "0"}))
    place.fds.append(fd := os.open(lock, os.O_RDWR))
    fcntl.flock(fd, fcntl.LOCK_EX)


def _recover(place: Place, backend: Backend) -> None:
    report = recover.recover_all(Reader(backend), place.root)
    assert not report.failed, report.failed


def _seal_all(place: Place, backend: Backend) -> None:
    for lane, state in Reader(backend).snapshot().lanes.items():
        seal(backend, lane, state, writer="sealer")


def _keep(place: Place, backend: Backend) -> None:
    place.world.keep(backend, times=3)


def _read(place: Place, backend: Backend) -> None:
    names_in(Reader(backend).snapshot())


Act = Callable[[Place, Backend], None]
OTHERS: dict[str, Act] = {
    "recoverer": _recover,
    "sealer": _seal_all,
    "housekeeper": _keep,
    "reader": _read,
}
Prepare = Callable[[Place], None]


@pytest.fixture
def cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[list[Prepare], Act, Act], Callable[[Stage], Place]]]:
    """Makes what `stalls` wants: a fresh place, prepared, with two actors."""
    places: list[Place] = []

    def case(prepare: list[Prepare], first: Act, second: Act) -> Callable[[Stage], Place]:
        def make(stage: Stage) -> Place:
            place = Place(tmp_path / f"{len(places)}")
            places.append(place)
            for act in prepare:
                act(place)
            steps(monkeypatch, stage.point)
            backend = stage.wrap(place.world.store)
            stage.add("first", partial(first, place, backend))
            stage.add("second", partial(second, place, backend))
            return place

        return make

    yield case
    for place in places:
        place.let_go()


Cases = Callable[[list[Prepare], Act, Act], Callable[[Stage], Place]]
DEAD: dict[str, list[Prepare]] = {
    "owner": [_write_and_die],
    "non-owner": [_write_and_die, _lose_ownership],
}


def _differs(label: str) -> bool:
    """Behind a verb the others see what they see before the next one: once is enough."""
    return not label.startswith("after")


@pytest.mark.parametrize("other", list(OTHERS))
def test_a_writer_may_stall_anywhere(other: str, cases: Cases) -> None:
    for stall in stalls(cases([], _write, OTHERS[other]), "first", ["second"], at=_differs):
        assert stall.world.said == ["a", 1, 2, "b", 3]
        stall.world.check()


@pytest.mark.parametrize("other", list(OTHERS))
def test_a_writer_may_die_anywhere(other: str, cases: Cases) -> None:
    for stall in stalls(cases([], _write, OTHERS[other]), "first", ["second"], kill=True):
        place = stall.world
        place.let_go()
        _recover(place, place.world.store)
        assert recover.lanes_in(place.root) == []
        place.check()


@pytest.mark.parametrize("who", list(DEAD))
@pytest.mark.parametrize("other", list(OTHERS))
def test_a_recoverer_may_stall_anywhere(other: str, who: str, cases: Cases) -> None:
    for stall in stalls(
        cases(DEAD[who], _recover, OTHERS[other]), "first", ["second"], at=_differs
    ):
        stall.world.check()


@pytest.mark.parametrize("who", list(DEAD))
@pytest.mark.parametrize("other", list(OTHERS))
def test_a_recoverer_may_die_anywhere(other: str, who: str, cases: Cases) -> None:
    case = cases(DEAD[who], _recover, OTHERS[other])
    for stall in stalls(case, "first", ["second"], kill=True):
        place = stall.world
        _recover(place, place.world.store)
        assert recover.lanes_in(place.root) == []
        place.check()


@pytest.mark.parametrize("name_first", [False, True])
def test_birth_race_of_a_spool(
    name_first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recovery looks around while a spool is being made: it must not take it for a dead one.

    The naive order, a directory under its name first and its lock after, loses it.
    """
    root = tmp_path / "spool"
    found: list[recover.SyncReport] = []
    store = SimStore()
    flock, rename = fcntl.flock, os.rename

    def look(*_: object) -> None:
        found.append(recover.recover_all(Reader(store), root))

    def flock_slowly(fd: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX:
            monkeypatch.setattr(fcntl, "flock", flock)
            if name_first:
                rename(root / ".tmp-lane", root / "lane")
            look()
            if name_first:
                rename(root / "lane", root / ".tmp-lane")
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock_slowly)
    root.mkdir()
    hand = Hand(root)
    look()
    took = [lane for report in found for lane in (*report.recovered, *report.failed)]
    assert took == (["lane"] if name_first else [])
    assert found[-1].alive == ["lane"]
    hand.spool.close()
