"""One seeded history of a log: who moves, what fails and who dies is drawn from one number.

Writers, a compactor, a collector, a sealer and a tailing reader run as actors on a `Stage`; the
simulator lets one of them move at a time, moves the store's clock, and kills. At the end it lets
the store calm down, recovers what died, and checks what is promised: nothing lost, nothing twice
(D2), each writer's order (D3), folds that do not depend on the way (D4), damage named (D5).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import secrets
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from eventlog.errors import Damage, Unavailable
from eventlog.log.keep.collect import collect
from eventlog.log.keep.compact import compact
from eventlog.log.keep.seal import seal
from eventlog.log.manifest import Position
from eventlog.log.read.reader import LaneState, Reader
from eventlog.testing.interleave import Stage
from tests.interleaving.world import RawSpool, Truth, World, adopt, names_in, ship
from tests.simulation.faults import FaultyStore

HOUR_S = 3600.0
WRITERS = ("writer-0", "writer-1", "writer-2")
KEEPERS = ("compactor-0", "compactor-1", "collector", "sealer", "tail")


class Simulator:
    """A world, its actors, and the chance that drives them."""

    def __init__(self, seed: int, stage: Stage) -> None:
        self.chance = random.Random(seed)
        self.store = FaultyStore(seed, late_put_s=HOUR_S)
        self.world = World(self.store, Truth())
        self.stage, self.backend = stage, stage.wrap(self.store)
        self.dead: list[RawSpool] = []
        self.held: dict[str, RawSpool] = {}
        self.lanes = self.said = self.deaths = 0
        self.tail = Reader(self.backend)
        self.tailed: Counter[str] = Counter()
        self.position: Position | None = None

    # -- acts ------------------------------------------------------------------------------------

    def act_of(self, name: str) -> Callable[[], None]:
        """What the actor does next; drawn now, so that the chance is used in one order."""
        if name in WRITERS:
            return self._writing(name)
        keeper = name.partition("-")[0]
        now = None if self.chance.random() < 0.5 else self.store.now
        if keeper == "compactor":
            rows = self.chance.choice([3, 10, 1000])
            days = self.chance.choice([0.02, 7.0])
            if self.chance.random() < 0.5:  # as if it took the marks of others for old
                now = self.store.now + dt.timedelta(hours=1)
            return lambda: self._compact(rows, days, now)
        if keeper == "collector":
            grace_s = self.chance.choice([0.0, 600.0, 2 * HOUR_S])
            return lambda: self._suffer(
                lambda: collect(Reader(self.backend), grace_s=grace_s, now=now)
            )
        if keeper == "sealer":
            lanes = [s.lane for s in self.world.spools.values()]
            lane = self.chance.choice(lanes) if lanes and self.chance.random() < 0.3 else None
            return lambda: self._suffer(lambda: self._seal(lane))
        return lambda: self._suffer(self._tail)

    def _suffer(self, act: Callable[[], object]) -> None:
        with contextlib.suppress(Unavailable):  # as a process would: it tries later
            act()

    def _compact(self, rows: int, days: float, now: object) -> None:
        self._suffer(
            lambda: compact(
                Reader(self.backend),
                target_rows=rows,
                seal_silent_days=days,
                now=now,  # type: ignore[arg-type]
            )
        )

    def _seal(self, lane: str | None) -> None:
        if lane is not None:
            lanes = Reader(self.backend).snapshot().lanes
            state = lanes.get(lane, LaneState(None, 0, 0, 0, ""))
            if lane in lanes or self.world.spools[lane.partition("~")[0]].slot == 0:
                seal(self.backend, lane, state, writer="sealer")

    def _tail(self) -> None:
        acked = set(self.world.truth.acked)
        snapshot = self.tail.snapshot()
        new = names_in(snapshot, self.position)
        self.position = snapshot.position
        self.tailed += new
        twice = [name for name, count in self.tailed.items() if count > 1]
        assert not twice, f"the tailing reader saw twice: {twice}"
        assert acked <= set(self.tailed), f"it misses {acked - set(self.tailed)}"

    def _writing(self, name: str) -> Callable[[], None]:
        if name not in self.held and self.dead and self.chance.random() < 0.5:
            spool = self.held[name] = self.dead.pop(self.chance.randrange(len(self.dead)))
            if self.chance.random() < 0.4:
                return lambda: self._suffer(lambda: self._adopt(name, spool))
        elif name not in self.held:
            self.held[name] = self.world.spool(f"{self.lanes:04}-{name}")
            self.lanes += 1
        spool = self.held[name]
        closing = spool.outbox is not None and spool.outbox[0].final
        for _ in range(0 if closing else self.chance.randrange(4)):
            spool.append(f"{self.said:06}")
            self.said += 1
        # Its own clock is anything.
        spool.time_us = self.chance.randrange(1, 10**9)
        rows, final = self.chance.choice([1, 2, 5]), self.chance.random() < 0.3
        return lambda: self._suffer(lambda: self._ship(name, spool, rows, final))

    def _ship(self, name: str, spool: RawSpool, rows: int, final: bool) -> None:
        ship(self.backend, spool, rows=rows, final=final)
        if spool.closed:
            del self.held[name]

    def _adopt(self, name: str, spool: RawSpool) -> None:
        adopt(self.backend, spool)
        if spool.closed:
            del self.held[name]

    # -- history ---------------------------------------------------------------------------------

    def run(self, steps: int) -> None:
        """Let a history of so many steps happen, and then everything come to rest."""
        names = [*WRITERS, *KEEPERS]
        going: set[str] = set()
        for _ in range(steps):
            # Some sleep for long: each is more or less likely to move, for a while.
            if self.chance.random() < 0.05 or not going:
                awake = self.chance.sample(names, self.chance.randint(1, len(names)))
            name = self.chance.choice(awake)
            if name in WRITERS and self.chance.random() < 0.6:
                continue  # the keepers' acts have more steps
            if name not in going:
                self.stage.add(name, self.act_of(name))
                going.add(name)
            self._move(name, going)
            self._pass_time()
        for name in sorted(going):
            self.stage.finish(name)
        self._rest()

    def _move(self, name: str, going: set[str]) -> None:
        if self.chance.random() < 0.002:
            self.stage.kill(name)
            going.discard(name)
            self.deaths += 1
            spool = self.held.pop(name, None)
            if spool is not None and not spool.closed:
                self.dead.append(spool)
        elif self.stage.step(name) is None:
            going.discard(name)
            error = self.stage.error(name)
            if error is not None:
                raise error

    def _pass_time(self) -> None:
        draw = self.chance.random()
        self.store.pass_time(
            self.chance.uniform(0, 3 * HOUR_S) if draw < 0.005 else self.chance.uniform(0, 5)
        )

    # -- rest ------------------------------------------------------------------------------------

    def _rest(self) -> None:
        self.store.calm = True
        for spool in self.world.spools.values():
            ship(self.store, spool, final=True)
        self.store.land_delayed(all_of_them=True)
        assert self.world.truth.acked == self.world.truth.offered, "something was not shipped"
        self._tail()
        self.world.check()
        assert set(self.tailed) == self.world.truth.offered
        self._check_order()
        self._check_damage()

    def _check_order(self) -> None:
        """D3: what one writer said first has the smaller seq."""
        said: dict[str, list[tuple[int, str]]] = {}
        for table in Reader(self.store).snapshot().tables():
            columns = (table[name].to_pylist() for name in ("lane", "seq", "key"))
            for lane, seq, name in zip(*columns, strict=True):
                said.setdefault(lane, []).append((seq, name))
        for lane, events in said.items():
            events.sort()
            assert [seq for seq, _ in events] == list(range(len(events))), f"{lane} is not dense"
            assert [name for _, name in events] == sorted(name for _, name in events), lane

    def _check_damage(self) -> None:
        """D5: a flipped bit is named, or was of no importance; it is never read as data."""
        whole = names_in(Reader(self.store).snapshot())
        keys = [
            k for k in sorted(self.store.objects) if k.startswith(("wal/", "data/", "manifest/"))
        ]
        key = self.chance.choice(keys)
        raw, modified = self.store.objects[key]
        if raw:
            bad = bytearray(raw)
            bad[self.chance.randrange(len(bad))] ^= 1 << self.chance.randrange(8)
            self.store.objects[key] = (bytes(bad), modified)
            named = ""
            try:
                found = names_in(Reader(self.store).snapshot())
            except Damage as damage:
                named, found = damage.key, whole
            assert found == whole, f"{key} was read as data"
            assert not named or named.rpartition(".")[0] == key.rpartition(".")[0]
            self.store.objects[key] = (raw, modified)


@contextmanager
def no_other_chance(seed: int) -> Iterator[None]:
    """Names that are drawn by chance are drawn from the seed as well; nothing waits."""
    chance = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=chance.getrandbits(128)))
        patch.setattr(secrets, "token_hex", lambda n=16: f"{chance.getrandbits(8 * n):0{2 * n}x}")
        patch.setattr("eventlog.log.put.FIRST_WAIT_S", 0.0)
        yield


def simulate(seed: int, steps: int = 3000) -> list[tuple[str, str]]:
    """One history; who moved to where. Raises where a promise was broken."""
    with no_other_chance(seed), Stage() as stage:
        Simulator(seed, stage).run(steps)
        return list(stage.trace)
