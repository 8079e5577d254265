"""Sealing: how anybody but its owner ends a lane.

A seal is an empty segment in the lane's first free slot. Whoever creates a slot first decides: if
the owner's next segment is there already, the seal probes on; once the seal is there, the owner's
next put is refused, and it goes on in a new lane.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from eventlog.backend import Backend
from eventlog.errors import Damage, Missing
from eventlog.event import INT64_MAX
from eventlog.log import manifest as mf
from eventlog.log import segment as sg
from eventlog.log.put import put_or_get

if TYPE_CHECKING:
    from eventlog.log.read.snapshot import LaneState

NOTHING_LEFT = INT64_MAX  # end_seq of what `seal` returns for a lane that has retired


def seal(backend: Backend, lane: str, state: LaneState, *, writer: str) -> sg.Header:
    """End ``lane`` from outside; returns the header of the segment that ends it.

    Rows at or beyond the header's ``end_seq`` (a seal's is its ``first_seq``) are not in the lane
    and never will be. Calling it again returns the same end.

    Args:
        state: where the lane stands as far as the caller knows: every slot below
            ``state.next_slot`` has landed. It may be out of date.
        writer: who seals, for people.

    A lane that its owner closed and that has left the store's ``wal/`` meanwhile has no segment to
    show: then the header is final, with ``end_seq`` `NOTHING_LEFT`.
    """
    at = sg.Header(lane, state.next_slot, state.next_seq, 0, newest_us=state.newest_us)
    if state.ended:
        return _end(backend, at, state.ended)
    while True:
        ending = _first_free(backend, at, writer)
        # While we slept between `state` and our put, the slot may have been compacted and
        # collected: then a seal there fences nobody. A manifest that is loaded now, after the put,
        # knows, because the slot was free only once a manifest had passed it.
        mark = _mark(backend, lane)
        if mark is None and state.number is None and _is_young(backend, ending):
            return ending
        mark = mark or _mark(backend, lane)
        if mark is None:
            return msgspec.structs.replace(ending, first_seq=NOTHING_LEFT, count=0, final=True)
        if ending.slot >= mark.slot:
            return ending
        at = sg.Header(lane, mark.slot, mark.seq, 0, newest_us=mark.newest_us)
        if mark.ended:
            return _end(backend, at, mark.ended)


def _mark(backend: Backend, lane: str) -> mf.LaneMark | None:
    return mf.load(backend, mf.read_format(backend).log_id).lanes.get(lane)


def _end(backend: Backend, after: sg.Header, ended: str) -> sg.Header:
    """What ended the lane, which is known to have ended just before ``after``."""
    slot = after.slot - 1
    if ended == "closed":  # the segment itself may have been collected
        return msgspec.structs.replace(after, slot=slot, final=True)
    key = sg.segment_key(after.lane, slot)
    return sg.split(key, backend.get(key))[0]


def _first_free(backend: Backend, at: sg.Header, writer: str) -> sg.Header:
    """Create a seal in the first free slot from ``at`` on, or return what ended the lane before."""
    slot, seq, newest_us = at.slot, at.first_seq, at.newest_us
    while True:
        wanted = sg.Header(at.lane, slot, seq, 0, newest_us, kind="seal", writer=writer)
        header, raw = sg.encode(wanted, None)
        key = sg.segment_key(at.lane, slot)
        try:
            there = put_or_get(backend, key, raw)
        except Missing:  # collected between put and get: a manifest has passed it
            return header
        if there is None:
            return header
        found, _ = sg.split(key, there)
        if found.kind == "seal" or found.final:
            return found
        if found.first_seq != seq:
            raise Damage(key, f"it begins at seq {found.first_seq}, the slot before ends at {seq}")
        slot, seq, newest_us = slot + 1, found.end_seq, max(newest_us, found.newest_us)


def _is_young(backend: Backend, ending: sg.Header) -> bool:
    """Whether a lane that the newest manifest did not list has never been listed.

    A young lane still has its slot 0. From one that retired it went first; and from one that was
    numbered, compacted and collected since we looked, of which a newer manifest tells.
    """
    if ending.slot == 0:
        return True
    try:
        backend.get(sg.segment_key(ending.lane, 0), 0, 1)
    except Missing:
        return False
    return True
