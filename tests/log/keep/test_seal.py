"""Seals: ending a lane from outside."""

from __future__ import annotations

import pytest

from eventlog.errors import Damage
from eventlog.log import segment as sg
from eventlog.log.keep.seal import NOTHING_LEFT, seal
from eventlog.log.read.reader import Reader
from eventlog.testing.interleave import Stage
from tests.interleaving.world import UNKNOWN, World, ship


def test_a_seal_takes_the_first_free_slot_and_holds_the_final_seq(world: World) -> None:
    ship(world.store, world.spool("a", "e0", "e1", "e2"))
    state = Reader(world.store).snapshot().lanes["a"]
    header = seal(world.store, "a", state, writer="me")
    assert (header.kind, header.slot, header.first_seq, header.count) == ("seal", 2, 3, 0)
    key = sg.segment_key("a", 2)
    assert sg.split(key, world.store.get(key))[0] == header


def test_a_seal_probes_past_segments_that_landed_meanwhile(world: World) -> None:
    ship(world.store, world.spool("a", "e0", "e1", "e2", "e3", "e4"))
    header = seal(world.store, "a", UNKNOWN, writer="me")
    assert (header.kind, header.slot, header.end_seq) == ("seal", 3, 5)


def test_sealing_twice_returns_the_first_seal(world: World) -> None:
    ship(world.store, world.spool("a", "e0"))
    first = seal(world.store, "a", UNKNOWN, writer="one")
    assert seal(world.store, "a", UNKNOWN, writer="two") == first


def test_sealing_a_closed_lane_returns_its_final_segment(world: World) -> None:
    ship(world.store, world.spool("a", "e0", "e1", "e2"), final=True)
    header = seal(world.store, "a", UNKNOWN, writer="me")
    assert (header.kind, header.final, header.end_seq) == ("events", True, 3)


def test_a_lane_that_never_shipped_is_sealed_at_its_beginning(world: World) -> None:
    assert seal(world.store, "a", UNKNOWN, writer="me").end_seq == 0
    assert Reader(world.store).snapshot().count() == 0


def test_a_fenced_writer_goes_on_in_a_new_lane(world: World) -> None:
    spool = world.spool("a", "e0", "e1")
    ship(world.store, spool)
    seal(world.store, "a", UNKNOWN, writer="me")
    spool.append("e2")
    ship(world.store, spool)
    assert spool.lane == "a~1"
    assert sum(world.check_once().values()) == 3


def test_a_sealed_lane_that_is_compacted_and_collected_keeps_its_seal(world: World) -> None:
    spool = world.spool("a", "e0", "e1")
    ship(world.store, spool)
    first = seal(world.store, "a", UNKNOWN, writer="one")
    world.keep(world.store, times=3)
    assert world.store.held("wal/") == [sg.segment_key("a", first.slot)]
    state = Reader(world.store).snapshot().lanes["a"]
    assert state.ended == "sealed"
    assert seal(world.store, "a", state, writer="two") == first
    assert seal(world.store, "a", UNKNOWN, writer="three").end_seq == first.end_seq


def test_a_seal_that_slept_below_the_watermark_fences_at_the_true_end(world: World) -> None:
    spool = world.spool("a", "e0", "e1", "e2")
    ship(world.store, spool)
    stale = Reader(world.store).snapshot().lanes["a"]
    spool.append("e3", "e4")
    ship(world.store, spool)
    world.keep(world.store)
    header = seal(world.store, "a", stale, writer="sleeper")
    assert (header.kind, header.slot, header.end_seq) == ("seal", 3, 5)
    spool.append("e5")
    ship(world.store, spool)
    assert spool.lane == "a~1"
    world.check()


def test_sealing_a_retired_lane_says_that_nothing_is_left(world: World) -> None:
    spool = world.spool("a", "e0", "e1", "e2")
    ship(world.store, spool)
    stale = Reader(world.store).snapshot().lanes["a"]
    ship(world.store, spool, final=True)
    world.keep(world.store, times=3)
    assert "a" not in Reader(world.store).snapshot().lanes
    assert seal(world.store, "a", stale, writer="sleeper").end_seq == NOTHING_LEFT
    world.check()


def test_a_lane_that_closes_while_the_sealer_sleeps_is_returned_closed(world: World) -> None:
    spool = world.spool("a", "e0", "e1", "e2")
    ship(world.store, spool)
    state = Reader(world.store).snapshot().lanes["a"]
    with Stage() as stage:
        stage.add("sealer", lambda: seal(stage.wrap(world.store), "a", state, writer="me"))
        stage.step("sealer")
        ship(world.store, spool, final=True)
        world.keep(world.store, times=1)
        header = stage.finish("sealer")
    assert isinstance(header, sg.Header)
    assert (header.final, header.end_seq) == (True, 3)


def test_a_slot_that_does_not_continue_the_lane_is_damage(world: World) -> None:
    forged, raw = sg.encode(sg.Header("a", 0, 7, 0), None)
    world.store.put_new(sg.segment_key("a", 0), raw)
    with pytest.raises(Damage, match="begins at seq 7"):
        seal(world.store, "a", UNKNOWN, writer="me")
    assert forged.slot == 0
