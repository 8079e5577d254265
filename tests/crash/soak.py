"""The soak: writers, compactors and followers are killed at random moments and started again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import eventlog
from eventlog.errors import EventlogError
from tests.crash import tailer
from tests.crash.truth import STREAMS, Found, Truth, compare

if TYPE_CHECKING:
    import polars as pl

ROOT = Path(__file__).resolve().parents[2]
LONGEST_LIFE_S = 1.2
SETTLE_S = 120.0
START_S = 60.0
BY_ITSELF = {"writer.died", "lane.dropped"}  # what the log says of its own


@dataclass
class Wanted:
    """How much a soak has to do.

    Attributes:
        kills, keeper_kills: at least so many of writers and of compactors.
        seconds: and at least so long.
        writers: processes that write at a time.
    """

    kills: int
    keeper_kills: int
    seconds: float = 0.0
    writers: int = 3


@dataclass
class Verdict:
    """What a soak showed; `str` prints it."""

    url: str
    seed: int
    kills: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    found: Found = field(default_factory=Found)
    others: dict[str, int] = field(default_factory=dict)
    followed: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def in_log(self) -> int:
        """All events: those of the calls, and what the log said by itself."""
        return self.found.events + sum(self.others.values())

    def __str__(self) -> str:
        kills = ", ".join(f"{number} of a {role}" for role, number in sorted(self.kills.items()))
        lines = [
            f"{self.url}: {self.seconds:.0f} s, seed {self.seed}",
            f"kill -9: {kills}",
            f"{self.found.calls} calls returned",
            f"{self.in_log} events are in the log: {self.found.events} of these calls"
            + "".join(f", {number} {type_}" for type_, number in sorted(self.others.items())),
            f"{self.followed} events were followed",
            *(f"PROBLEM {problem}" for problem in self.problems[:50]),
            f"verdict: {'FAILED' if self.problems else 'nothing lost, nothing doubled, in order'}",
        ]
        return "\n".join(lines)


@dataclass
class _Actor:
    """One process and when it dies."""

    role: str
    process: subprocess.Popen[bytes]
    works: Callable[[], bool]
    errors: Path
    born: float = field(default_factory=time.monotonic)
    dies: float | None = None

    def due(self, life: Callable[[], float]) -> bool:
        """Whether its time has come; it is drawn once the process works."""
        now = time.monotonic()
        if self.dies is None and (self.works() or now - self.born > START_S):
            self.dies = now + life()
        return self.dies is not None and now >= self.dies

    def kill(self) -> int | None:
        """Kill it; its exit status where it had ended by itself."""
        ended = self.process.poll()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        return ended


class Soak:
    """One run. ``place`` lies outside the log: there the writers keep their truth."""

    def __init__(self, url: str, place: Path, wanted: Wanted, seed: int) -> None:
        self.url, self.place, self.wanted = url, place, wanted
        self.truth = place / "truth"
        self.truth.mkdir(parents=True)
        self.state = place / "followed.json"
        self.random = random.Random(seed)
        self.verdict = Verdict(url, seed)
        self._number = 0

    def run(self) -> Verdict:
        """Kill until it is enough; then compare."""
        began = time.monotonic()
        actors = [self._start("writer") for _ in range(self.wanted.writers)]
        actors += [self._start("compactor"), self._start("follower")]
        try:
            while not self._enough(began):
                for at, actor in enumerate(actors):
                    if actor.due(self._life) or actor.process.poll() is not None:
                        self._reap(actor)
                        actors[at] = self._start(actor.role)
                time.sleep(0.005)
            for actor in actors[:-1]:
                self._reap(actor)
            self._settle(actors[-1])
        except EventlogError as error:
            self.verdict.problems.append(f"the log cannot be read: {error!r}")
        finally:
            for actor in actors:
                actor.kill()
        self.verdict.seconds = time.monotonic() - began
        return self.verdict

    def _enough(self, began: float) -> bool:
        kills = self.verdict.kills
        return (
            kills.get("writer", 0) >= self.wanted.kills
            and kills.get("compactor", 0) >= self.wanted.keeper_kills
            and time.monotonic() - began >= self.wanted.seconds
        )

    def _life(self) -> float:
        """Some die at once, most soon."""
        return self.random.choice([0.0, 0.1, 0.3, 1.0]) * self.random.random() * LONGEST_LIFE_S

    def _start(self, role: str) -> _Actor:
        self._number += 1
        name = f"{role}-{self._number}"
        sign = self.place / name
        if role == "writer":
            arguments = ["tests.crash.writer", self.url, os.fspath(self.truth), name]
            path = self.truth / f"{name}.truth"
            early = self.random.random() < 0.15  # while it makes its lane, or before

            def works() -> bool:
                return early or (path.exists() and _total(path) > 0)
        elif role == "compactor":
            arguments, works = ["tests.crash.keeper", self.url, os.fspath(sign)], sign.exists
        else:
            arguments, works = ["tests.crash.tailer", self.url, os.fspath(self.state)], self._slow
        errors = self.place / f"{name}.err"
        with open(errors, "wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments], stderr=out, cwd=ROOT, env=environment()
            )
        return _Actor(role, process, works, errors)

    def _slow(self) -> bool:
        """A follower is killed now and then only: it has to come on."""
        return self.random.random() < 0.002

    def _reap(self, actor: _Actor) -> None:
        ended = actor.kill()
        if ended is None:
            self.verdict.kills[actor.role] = self.verdict.kills.get(actor.role, 0) + 1
        else:
            self.verdict.problems.append(f"a {actor.role} ended by itself with {ended}")
        said = actor.errors.read_text(errors="replace")
        if ended is not None or "Traceback" in said:
            self.verdict.problems.append(f"a {actor.role} said: {said[-1500:]}")

    def _settle(self, follower: _Actor) -> None:
        """Recover what is left, wait for the follower, and compare everything."""
        verdict = self.verdict
        with eventlog.open(self.url) as log:
            report = log.sync()
            verdict.problems += [f"not recovered: {lane}: {e}" for lane, e in report.failed.items()]
            verdict.problems += [f"taken for alive: {lane}" for lane in report.alive]
            events = log.events().collect()
            verdict.found = compare(events, self.truth)
            verdict.problems += verdict.found.problems
            verdict.others = others_in(events)
            verdict.problems += [f"nobody wrote a {t}" for t in verdict.others.keys() - BY_ITSELF]
            verdict.problems += [f"verify: {damage}" for damage in log.verify().damage]
        self._await_follower(follower, len(events))
        state = tailer.load(self.state)
        verdict.followed = sum(state.seen.values())
        verdict.problems += [f"follower: {problem}" for problem in state.problems]
        verdict.problems += differences(lanes_of(events), state.seen)

    def _await_follower(self, follower: _Actor, events: int) -> None:
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end and follower.process.poll() is None:
            if sum(tailer.load(self.state).seen.values()) >= events:
                return
            time.sleep(0.05)


def others_in(events: pl.DataFrame) -> dict[str, int]:
    """How many events of each type are no writer's call."""
    import polars as pl

    others = events.filter(~pl.col("stream").cast(pl.String).str.starts_with(STREAMS))
    return dict(others["type"].cast(pl.String).value_counts().iter_rows())


def lanes_of(events: pl.DataFrame) -> dict[str, int]:
    """How many events each lane has."""
    import polars as pl

    return dict(events["lane"].cast(pl.String).value_counts().iter_rows())


def differences(there: dict[str, int], seen: dict[str, int]) -> list[str]:
    """The lanes of which a follower saw more or less than there is."""
    return [
        f"the follower saw {seen.get(lane, 0)} of {there.get(lane, 0)} events of {lane}"
        for lane in sorted(there.keys() | seen.keys())
        if seen.get(lane, 0) != there.get(lane, 0)
    ]


def _total(path: Path) -> int:
    try:
        return Truth(path).total()
    except ValueError:  # made, but not yet given its size
        return 0


def environment(extra: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
    """A child's environment: it finds the packages of this checkout."""
    paths = [ROOT, *(ROOT / name for name in ("backends", "views", "plugins"))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.fspath, paths)), **dict(extra)}
