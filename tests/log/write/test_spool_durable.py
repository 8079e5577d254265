"""Spools: what was synced survives a power cut, and what returned survives `kill -9`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from eventlog.errors import SpoolError, SpoolFull
from eventlog.log.write import facts as ff
from eventlog.log.write import spool
from eventlog.log.write.spool import Spool
from tests.log.spools import (
    Died,
    Hand,
    InFlight,
    as_boot,
    dying_at,
    reopened,
    steps,
    words,
)


def test_what_was_synced_counts_after_a_power_cut(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand.point(1, 2)
    hand.fact("noted")
    hand.spool.sync()
    hand.point(3, 4, 5)
    directory = hand.die()
    as_boot(monkeypatch, "another boot")
    dead = reopened(directory)
    assert tabled(dead) == [1, 2, "noted"]
    assert dead.lost_rows == 3
    dead.close()


def test_rows_behind_a_row_in_flight_are_flushed_too(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = InFlight(hand, 1)
    hand.point(2)
    synced: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", synced.append)
        hand.spool.sync(hand.spool.end())
    assert hand.spool.points.files[0].fd in synced
    slow.land()
    directory = hand.die()
    as_boot(monkeypatch, "another boot")
    dead = reopened(directory)
    assert 2 in tabled(dead)
    assert dead.lost_rows == 0
    dead.close()


def test_a_row_that_lands_after_a_flush_is_in_the_next(hand: Hand) -> None:
    slow = InFlight(hand, 1)
    hand.spool.sync(hand.spool.end())
    slow.land()
    before = hand.spool.durable
    hand.spool.sync(hand.spool.end())
    assert (before.row, hand.spool.durable.row) == (0, 1)


def test_kill_9_loses_nothing_that_was_not_synced(hand: Hand) -> None:
    hand.point(1, 2)
    hand.fact("noted")
    hand.point(3)
    dead = reopened(hand.die())
    assert tabled(dead) == [1, 2, "noted", 3]
    dead.close()


def test_killed_at_any_step_the_spool_holds_what_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ff, "ROLL_BYTES", 150)
    for number in range(1_000):
        hand = Hand(tmp_path / str(number))
        returned: list[object] = []
        with monkeypatch.context() as patched:
            steps(patched, dying_at(number))
            try:
                for n in range(10):
                    hand.point(n)
                    returned.append(n)
                    hand.fact(f"fact{n}")
                    returned.append(f"fact{n}")
                    hand.spool.sync()
            except Died:
                pass
            else:
                break
        dead = reopened(hand.die())
        assert tabled(dead) == returned
        dead.close()
        shutil.rmtree(tmp_path / str(number))
    assert number > 20


def test_a_failed_sync_is_said_and_copied_to_fresh_files(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand.point(1)
    hand.fact("noted")
    before = {p.name: p.stat().st_ino for p in hand.spool.directory.iterdir() if p.is_file()}

    def broken(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(SpoolError, match="flush\\(\\) again"):
            hand.spool.sync()
    after = {p.name: p.stat().st_ino for p in hand.spool.directory.iterdir() if p.is_file()}
    assert {name for name in before if after[name] != before[name]} == {
        "facts-00000000",
        "points-000000000000000",
    }
    hand.point(2)
    hand.spool.sync()
    assert hand.words() == [1, "noted", 2]
    dead = reopened(hand.die())
    assert tabled(dead) == [1, "noted", 2]
    dead.close()


def test_a_sync_that_failed_is_not_taken_for_done_while_no_copy_can_be_made(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second sync of the same descriptor would succeed and mean nothing."""
    hand.point(1)

    def broken(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        patched.setattr(os, "fsync", broken)
        for _ in range(2):
            with pytest.raises((SpoolError, OSError)):
                hand.spool.sync()
    file = hand.spool.points.files[0].path
    before = file.stat().st_ino
    hand.spool.sync()
    assert file.stat().st_ino != before
    assert hand.spool.durable.row == 1
    assert hand.words() == [1]


def test_a_full_disk_is_no_broken_one(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    hand.point(1)

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(SpoolFull, match="free disk space"):
            hand.spool.sync()
    hand.spool.sync()
    assert hand.spool.durable.row == 1


def test_ctrl_c_in_a_flush_does_not_make_the_next_one_forget_the_names(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand.point(1)
    with monkeypatch.context() as patched:

        def interrupted(path: Path) -> None:
            raise KeyboardInterrupt

        patched.setattr(spool, "_sync_directory", interrupted)
        with pytest.raises(KeyboardInterrupt):
            hand.spool.sync()
    seen: list[Path] = []
    monkeypatch.setattr(spool, "_sync_directory", seen.append)
    hand.spool.sync()
    assert seen == [hand.spool.directory, hand.spool.directory.parent]


def test_a_file_begun_during_a_flush_is_safe_by_its_end(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand.spool.sync()
    monkeypatch.setattr(ff, "ROLL_BYTES", 1)
    hand.point(1)
    seen: list[list[str]] = []
    sync = spool._sync_directory

    def look(path: Path) -> None:
        seen.append(sorted(p.name for p in path.iterdir()))
        sync(path)

    monkeypatch.setattr(spool, "_sync_directory", look)
    hand.spool.sync(hand.spool.end())
    assert f"facts-{hand.spool.durable.fact_file:08d}" in seen[0]


def tabled(dead: Spool) -> list[object]:
    from eventlog.log.write.tables import build

    return words(build(dead, spool.SpoolMark(), dead.end(), "lane", 0).table)
