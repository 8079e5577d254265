"""Every pair of actors, every stall: one stops at its k-th stop while the other runs whole.

Afterwards each acknowledged event is read exactly once, a fold from any earlier position plus the
rest is the whole, and nothing is damaged, now and after more housekeeping.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from eventlog.backend import Backend
from eventlog.errors import Damage
from eventlog.log.keep.collect import collect
from eventlog.log.keep.compact import compact
from eventlog.log.keep.seal import seal
from eventlog.log.read.reader import Reader
from eventlog.testing.interleave import Stage, stalls
from tests.interleaving.world import World, adopt, furnished, ship


def _write(world: World, backend: Backend) -> None:
    spool = world.spool("born")
    for n in range(2):
        spool.append(f"w{n}")
        ship(backend, spool)
    spool.append("w9")
    ship(backend, spool, final=True)


def _ship(world: World, backend: Backend) -> None:
    world.spools["open"].append("p8", "p9")
    ship(backend, world.spools["open"], rows=1)


def _recover(world: World, backend: Backend) -> None:
    ship(backend, world.spools["dead"], final=True)


def _adopt(world: World, backend: Backend) -> None:
    adopt(backend, world.spools["gone"])


def _compact(world: World, backend: Backend) -> None:
    compact(Reader(backend), seal_silent_days=1000, now=world.late())


def _collect(world: World, backend: Backend) -> None:
    collect(Reader(backend), grace_s=0, now=world.late())


def _seal(world: World, backend: Backend) -> None:
    states = Reader(backend).snapshot().lanes
    for lane in ("open", "dead"):
        if lane in states:
            seal(backend, lane, states[lane], writer="sealer")


def _read(world: World, backend: Backend) -> None:
    reader = Reader(backend)
    world.look(reader)
    world.look(reader)


def _live(world: World, backend: Backend) -> None:
    """A lane is born, closed, compacted and retired; and another only compacted."""
    ship(backend, world.spool("life", "l0", "l1", "l2"), final=True)
    world.keep(backend, times=3)
    ship(backend, world.spool("child", "c0", "c1"), final=True)
    _compact(world, backend)


_TWICE = ("compactor", "collector", "sealer", "reader")  # of which there may be several
ACTORS: dict[str, Callable[[World, Backend], None]] = {
    "writer": _write,
    "shipper": _ship,
    "recoverer": _recover,
    "adopter": _adopt,
    "compactor": _compact,
    "collector": _collect,
    "sealer": _seal,
    "reader": _read,
    "housekeeper": lambda world, backend: world.keep(backend, times=3),
    "whole life": _live,
}
SINGLE = list(ACTORS)[:8]  # the last two are several in turn
PAIRS = [(a, b) for a, b in itertools.product(SINGLE, ACTORS) if a != b or a in _TWICE]


def _world(first: str, second: str) -> Callable[[Stage], World]:
    def make(stage: Stage) -> World:
        world = furnished()
        backend = stage.wrap(world.store)
        stage.add("first", lambda: ACTORS[first](world, backend))
        stage.add("second", lambda: ACTORS[second](world, backend))
        return world

    return make


def _differs(label: str) -> bool:
    """Behind a verb the others see what they see before the next one: once is enough."""
    return label.startswith("before")


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_stall_anywhere_changes_nothing_that_is_read(first: str, second: str) -> None:
    count = 0
    for stall in stalls(_world(first, second), "first", ["second"], at=_differs):
        try:
            stall.world.check()
        except (AssertionError, Damage) as error:
            pytest.fail(f"{first} stalled at stop {stall.stop}, {stall.label!r}: {error}")
        count += 1
    assert count > 2


def _finish_what_died(world: World) -> None:
    """What the next process does: recover the spools as their owner, and keep house."""
    for spool in world.spools.values():
        ship(world.store, spool, final=True)
    world.check()
    assert world.truth.acked == world.truth.offered


@pytest.mark.parametrize("first", SINGLE)
def test_a_death_anywhere_loses_and_doubles_nothing(first: str) -> None:
    for second in ("housekeeper", "reader"):
        for stall in stalls(_world(first, second), "first", ["second"], kill=True):
            try:
                stall.world.check()
                _finish_what_died(stall.world)
            except (AssertionError, Damage) as error:
                pytest.fail(f"{first} died at stop {stall.stop}, {stall.label!r}: {error}")
