"""Deterministic interleavings: actors on threads of their own, of which only one moves at a time.

An actor stops before and after every verb of a `Stage.wrap`ped backend, and wherever else
`Stage.point` is called. The test decides who moves to the next stop. Nothing sleeps, nothing is
left to chance: a schedule is a list of names, and the same schedule gives the same run.

Example:
    >>> with Stage() as stage:
    ...     stage.add("writer", lambda: write(stage.wrap(backend)))
    ...     stage.add("collector", lambda: collect(stage.wrap(backend)))
    ...     stage.play(["writer", "writer", "collector"])  # then both run to their ends

`stalls` enumerates: one actor stops at its k-th stop, for every k, while another runs whole.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Generic, NamedTuple, TypeVar

from eventlog.backend import Backend, Entry, Range

LIMIT_S = 60.0

World = TypeVar("World")


class Killed(BaseException):
    """Raised in an actor that was killed, at its stop and at every later one."""


class Stuck(AssertionError):
    """An actor neither stopped nor ended: it waits for one that does not move."""


class _Actor:
    """One thread of a stage, and the two semaphores that hand the baton over and back."""

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self.name, self._work = name, work
        self.result: object = None
        self.error: BaseException | None = None
        self.ended = self.killed = False
        self.label = "begin"
        self.stops = 0
        self.go, self.back = threading.Semaphore(0), threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _run(self) -> None:
        self.go.acquire()
        try:
            if not self.killed:
                self.result = self._work()
        except Killed:
            pass
        except BaseException as error:  # handed to whoever finishes the actor
            self.error = error
        self.ended = True
        self.back.release()

    def stop(self, label: str) -> None:
        """Called on the actor's thread: give the baton back, and wait for it."""
        if self.killed:
            raise Killed
        self.label = label
        self.stops += 1
        self.back.release()
        self.go.acquire()
        if self.killed:
            raise Killed


class Stage:
    """Actors, and who of them moves. Use it in a ``with``: at its end the unfinished are killed."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.trace: list[tuple[str, str]] = []
        self._limit_s = limit_s
        self._actors: dict[str, _Actor] = {}
        self._by_thread: dict[int, _Actor] = {}

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name, actor in self._actors.items():
            if not actor.ended and not isinstance(error, Stuck):
                self.kill(name)

    def add(self, name: str, work: Callable[[], object]) -> None:
        """A new actor, which has not begun. A name may be used again when its actor has ended."""
        if name in self._actors and not self._actors[name].ended:
            raise ValueError(f"the actor {name!r} has not ended yet")
        actor = self._actors[name] = _Actor(name, work)
        actor.thread.start()
        assert actor.thread.ident is not None
        self._by_thread[actor.thread.ident] = actor

    def wrap(self, backend: Backend) -> Backend:
        """The backend with a stop before and after every verb. Threads of no actor do not stop."""
        return _Stopping(backend, self.point)

    def point(self, label: str) -> None:
        """A stop. Put it in place of a hook such as `eventlog.log.write.spool.step`."""
        actor = self._by_thread.get(threading.get_ident())
        if actor is not None:
            actor.stop(label)

    def ended(self, name: str) -> bool:
        """Whether the actor has no further stop."""
        return self._actors[name].ended

    def stops(self, name: str) -> int:
        """At how many stops the actor has been."""
        return self._actors[name].stops

    def step(self, name: str) -> str | None:
        """Let the actor run to its next stop: that stop's label, or None where it ended."""
        actor = self._actors[name]
        if actor.ended:
            return None
        actor.go.release()
        if not actor.back.acquire(timeout=self._limit_s):
            raise Stuck(f"{name!r} has not come back since {actor.label!r}; so far: {self.trace}")
        if self.ended(name):
            self._forget(actor)
            return None
        self.trace.append((name, actor.label))
        return actor.label

    def finish(self, name: str) -> object:
        """Run the actor to its end: what it returned. Raises what it raised."""
        while self.step(name) is not None:
            pass
        actor = self._actors[name]
        if actor.error is not None:
            raise actor.error
        return actor.result

    def error(self, name: str) -> BaseException | None:
        """What the actor raised, if it did."""
        return self._actors[name].error

    def run_until(self, name: str, label: str) -> str:
        """Run the actor to the next stop whose label begins with ``label``."""
        while (at := self.step(name)) is not None:
            if at.startswith(label):
                return at
        raise AssertionError(f"{name!r} ended without a stop {label!r}: {self.trace}")

    def kill(self, name: str) -> None:
        """End the actor where it stands. No verb that it still calls reaches the backend."""
        actor = self._actors[name]
        actor.killed = True
        while not actor.ended:
            actor.go.release()
            if not actor.back.acquire(timeout=self._limit_s):
                raise Stuck(f"{name!r} cannot be killed at {actor.label!r}")
        self._forget(actor)

    def _forget(self, actor: _Actor) -> None:
        actor.thread.join()
        # The system gives the number to another thread, which must not be taken for this one.
        self._by_thread = {n: a for n, a in self._by_thread.items() if a is not actor}

    def play(self, schedule: Iterable[str]) -> None:
        """One step of each name in turn, then all actors to their ends, in the order of `add`."""
        for name in schedule:
            self.step(name)
        for name in list(self._actors):
            self.finish(name)


class Stall(NamedTuple, Generic[World]):
    """One interleaving that was played to its end.

    Attributes:
        stop: how many stops the first actor had passed when the second ran; label: the last.
        world: what the case made.
    """

    stop: int
    label: str
    world: World


def stalls(
    make: Callable[[Stage], World],
    first: str,
    second: Sequence[str],
    *,
    kill: bool = False,
    at: Callable[[str], bool] = lambda label: True,
    errors: tuple[type[BaseException], ...] = (),
) -> Iterator[Stall[World]]:
    """Every interleaving in which ``first`` stalls once, while those in ``second`` run whole.

    Args:
        make: builds the world anew and adds its actors to the stage.
        kill: kill the first one at its stop instead of letting it go on afterwards.
        at: at which stops to stall, by their label; the others are passed.
        errors: what an actor may end with.
    """
    stop = 0
    while True:
        with Stage() as stage:
            world = make(stage)
            label = "begin"
            while stage.stops(first) < stop and (reached := stage.step(first)) is not None:
                label = reached
            while stop and not at(label) and (reached := stage.step(first)) is not None:
                label = reached
            if stage.ended(first):
                return
            stop = stage.stops(first)
            for name in second:
                _finish(stage, name, errors)
            if kill:
                stage.kill(first)
            else:
                _finish(stage, first, errors)
        yield Stall(stop, label, world)
        stop += 1


def _finish(stage: Stage, name: str, errors: tuple[type[BaseException], ...]) -> None:
    with contextlib.suppress(*errors):
        stage.finish(name)


class _Stopping(Backend):
    """A backend with a stop before and after every verb."""

    def __init__(self, inner: Backend, point: Callable[[str], None]) -> None:
        self._inner, self._point = inner, point
        self.url, self.local_root = inner.url, inner.local_root
        self.late_put_s, self.poll_s, self.ship_s = inner.late_put_s, inner.poll_s, inner.ship_s

    def put_new(self, key: str, data: bytes) -> None:
        self._point(f"before put_new {key}")
        self._inner.put_new(key, data)
        self._point(f"after put_new {key}")

    def put_new_file(self, key: str, path: Path) -> None:
        self._point(f"before put_new {key}")
        self._inner.put_new_file(key, path)
        self._point(f"after put_new {key}")

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self._point(f"before get {key}")
        data = self._inner.get(key, start, end)
        self._point(f"after get {key}")
        return data

    def get_many(self, ranges: Iterable[Range]) -> list[bytes]:
        wanted = list(ranges)
        self._point(f"before get_many of {len(wanted)}")
        data = self._inner.get_many(wanted)
        self._point(f"after get_many of {len(wanted)}")
        return data

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        self._point(f"before list {prefix}")
        entries = list(self._inner.list(prefix, start_after))
        self._point(f"after list {prefix}")
        return iter(entries)

    def delete(self, keys: Sequence[str]) -> None:
        self._point(f"before delete {','.join(keys)}")
        self._inner.delete(keys)
        self._point(f"after delete {','.join(keys)}")

    def put_blob(self, key: str, source: BinaryIO) -> None:
        self._point(f"before put_blob {key}")
        self._inner.put_blob(key, source)
        self._point(f"after put_blob {key}")

    def open_blob(self, key: str) -> BinaryIO:
        self._point(f"before open_blob {key}")
        return self._inner.open_blob(key)
