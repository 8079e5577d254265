"""Checking what writers on this machine have not shipped yet, without touching it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eventlog.backend import Backend
from eventlog.errors import Damage
from eventlog.log import segment
from eventlog.log.keep.recover import lanes_in
from eventlog.log.write import facts
from eventlog.log.write.identity import spool_root

_REMEDY = (
    "What was whole in it is shipped by the next process that uses the log, or by `eventlog sync`."
)


def damage_in_spools(backend: Backend) -> Iterator[Damage]:
    """Every file of the log's spools on this machine that cannot be read to its end."""
    for lane in lanes_in(spool_root(backend)):
        for path in sorted(lane.glob("facts-*")):
            yield from _facts(path)
        for path in sorted(lane.glob("out/*")):
            if not path.suffix:  # else a draft
                yield from _posted(path)


def _facts(path: Path) -> Iterator[Damage]:
    raw = _read(path)
    while raw is not None:
        _, end = facts.parse(raw)
        if end == len(raw):
            return
        again = _read(path)
        if again == raw:  # else its writer was in the middle of a frame
            what = f"the frame at byte {end} of {len(raw)} is damaged or torn"
            yield Damage(str(path), what, _REMEDY)
            return
        raw = again


def _posted(path: Path) -> Iterator[Damage]:
    try:
        segment.split_at(path)
    except Damage as damage:
        yield Damage(str(path), damage.what, _REMEDY)
    except FileNotFoundError:  # shipped meanwhile
        pass


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # shipped meanwhile
        return None
