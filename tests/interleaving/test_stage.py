"""The stage itself: who moves is decided by the schedule, and by nothing else."""

from __future__ import annotations

from functools import partial

import pytest

from eventlog.backend import Backend
from eventlog.testing.interleave import Stage, Stuck, stalls
from tests.simulation.store import SimStore


def _puts(backend: Backend, *keys: str) -> None:
    for key in keys:
        backend.put_new(key, b"")


def test_an_actor_stops_before_and_after_every_verb() -> None:
    store = SimStore()
    with Stage() as stage:
        stage.add("a", lambda: _puts(stage.wrap(store), "x"))
        assert stage.step("a") == "before put_new x"
        assert "x" not in store.objects
        assert stage.step("a") == "after put_new x"
        assert "x" in store.objects
        assert stage.step("a") is None


def test_a_schedule_decides_the_order() -> None:
    for schedule in ("aaaabbbb", "abababab", "bbaabbaa"):
        store = SimStore()
        with Stage() as stage:
            backend = stage.wrap(store)
            stage.add("a", partial(_puts, backend, "a1", "a2"))
            stage.add("b", partial(_puts, backend, "b1", "b2"))
            stage.play(schedule)
            assert "".join(name for name, _ in stage.trace) == schedule


def test_a_killed_actor_reaches_the_store_no_more() -> None:
    store = SimStore()

    def tidy() -> None:
        backend = stage.wrap(store)
        try:
            backend.put_new("x", b"")
        finally:
            backend.put_new("tidied", b"")

    with Stage() as stage:
        stage.add("a", tidy)
        stage.step("a")
        stage.kill("a")
    assert set(store.objects) == {"format.json"}


def test_what_an_actor_raises_reaches_the_test() -> None:
    with Stage() as stage:
        stage.add("a", lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            stage.finish("a")


def test_an_actor_that_waits_for_one_that_stands_is_named() -> None:
    import threading

    gate = threading.Event()
    stage = Stage(limit_s=0.01)
    stage.add("a", gate.wait)
    with pytest.raises(Stuck, match="'a' has not come back"):
        stage.step("a")
    gate.set()


def test_stalls_enumerates_every_stop_once() -> None:
    def make(stage: Stage) -> SimStore:
        store = SimStore()
        stage.add("a", lambda: _puts(stage.wrap(store), "a1", "a2"))
        stage.add("b", lambda: _puts(stage.wrap(store), "b1"))
        return store

    found = list(stalls(make, "a", ["b"]))
    assert [stall.label for stall in found] == [
        "begin",
        "before put_new a1",
        "after put_new a1",
        "before put_new a2",
        "after put_new a2",
    ]
    assert all({"a1", "a2", "b1"} < set(stall.world.objects) for stall in found)
    killed = list(stalls(make, "a", ["b"], kill=True))
    assert ["a2" in stall.world.objects for stall in killed] == [False] * 4 + [True]
