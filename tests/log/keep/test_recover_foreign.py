"""Spools of other machines: left alone until they are adopted, and copies double nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eventlog_backends.memory import MemoryBackend
from tests.log import lanes
from tests.log.spools import (
    WORDS,
    Hand,
    as_machine,
    leave,
    recovered,
    shipper_of,
    stored,
)

pytestmark = pytest.mark.usefixtures("quiet")


def test_another_machine_s_spool_is_named_and_not_touched(
    tmp_path: Path, store: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = leave(tmp_path, store)
    before = sorted((p, p.stat().st_mtime_ns) for p in directory.rglob("*"))
    as_machine(monkeypatch, "another machine")
    assert recovered(store, tmp_path).foreign == ["lane"]
    assert sorted((p, p.stat().st_mtime_ns) for p in directory.rglob("*")) == before


@pytest.mark.parametrize("shipped", range(4))
def test_an_adopted_spool_is_shipped_into_the_next_lane(
    tmp_path: Path, store: MemoryBackend, shipped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, store, shipped)
    as_machine(monkeypatch, "another machine")
    assert recovered(store, tmp_path, adopt=True).recovered == ["lane"]
    assert stored(store) == WORDS


@pytest.mark.parametrize("behind", range(4))
def test_a_copy_that_is_older_than_the_store_doubles_nothing(
    tmp_path: Path, store: MemoryBackend, behind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spool was copied, its writer went on and shipped; then the copy is adopted."""
    hand = Hand(tmp_path / "a")
    shipper = shipper_of(hand, store)
    for n in range(4):
        hand.point(2 * n, 2 * n + 1)
        hand.fact(f"fact{n}")
        if n == behind:
            hand.spool.sync()
            shutil.copytree(hand.spool.directory, tmp_path / "b" / "lane")
        shipper.ship()
    as_machine(monkeypatch, "another machine")
    assert recovered(store, tmp_path / "b", adopt=True).failed == {}
    monkeypatch.undo()
    found = stored(store)
    assert found == [word for n in range(4) for word in (2 * n, 2 * n + 1, f"fact{n}")]
    hand.spool.close()


def test_a_copy_whose_writer_closed_its_lane_has_nothing_to_add(
    tmp_path: Path, store: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Hand(tmp_path / "a")
    shipper = shipper_of(hand, store)
    hand.point(1)
    shipper.ship()
    hand.point(2)
    hand.spool.sync()
    shutil.copytree(hand.spool.directory, tmp_path / "b" / "lane")
    hand.spool.finish()
    assert shipper.ship(final=True)
    as_machine(monkeypatch, "another machine")
    assert recovered(store, tmp_path / "b", adopt=True).recovered == ["lane"]
    assert stored(store) == [1, 2]
    hand.spool.close()


def test_a_copy_whose_lane_has_retired_has_nothing_to_add(
    tmp_path: Path, store: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Hand(tmp_path / "a")
    shipper = shipper_of(hand, store)
    for n in (1, 2):  # of a single segment the copy cannot know whether it ever landed
        hand.point(n)
        shipper.ship()
    shutil.copytree(hand.spool.directory, tmp_path / "b" / "lane")
    hand.spool.finish()
    assert shipper.ship(final=True)
    lanes.retire(store)
    as_machine(monkeypatch, "another machine")
    assert recovered(store, tmp_path / "b", adopt=True).recovered == ["lane"]
    assert stored(store) == [1, 2]
    hand.spool.close()


def test_two_machines_that_adopt_one_spool_ship_it_once(
    tmp_path: Path, store: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = leave(tmp_path / "a", store)
    shutil.copytree(directory, tmp_path / "b" / "lane")
    for root, machine in (("a", "one"), ("b", "two")):
        as_machine(monkeypatch, machine)
        assert recovered(store, tmp_path / root, adopt=True).failed == {}
    assert stored(store) == WORDS
