"""Spools of writers that are gone: ship what they left, once, under the right name.

The holder of a dead writer's lock on the same boot and machine goes on as the lane's owner. Anybody
else seals the lane first and ships the rest under the next name (``<lane>~1``); see DESIGN.md.
Nobody decides here what became of a run: the lane gets a last fact, ``writer.died``.
"""

from __future__ import annotations

import functools
import itertools
import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from eventlog.backend import Backend
from eventlog.errors import BackendError, EventlogError, Missing
from eventlog.log.keep.seal import seal
from eventlog.log.segment import segment_key
from eventlog.log.write import facts as ff
from eventlog.log.write.identity import machine_id
from eventlog.log.write.lock import Held, alone, take_lock
from eventlog.log.write.ship import Shipper
from eventlog.log.write.spool import Spool

if TYPE_CHECKING:
    from eventlog.log.read.reader import Reader

logger = logging.getLogger("eventlog")

DIED = "writer.died"
_turns: dict[Path, threading.RLock] = {}


@dataclass
class SyncReport:
    """What a look at the spools found.

    Attributes:
        recovered: lanes whose writer was gone and whose events are now in the store.
        alive: lanes whose writer still runs (it ships by itself).
        foreign: spools that another machine wrote; ``eventlog sync --adopt`` takes them.
        failed: lane to what went wrong; its spool stays as it was.
        lost_rows, lost_bytes: what a power cut left unreadable, beyond the last flush.
        damaged_bytes: facts of a dead writer that are not what was written, with no power cut.
    """

    recovered: list[str] = field(default_factory=list)
    alive: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    lost_rows: int = 0
    lost_bytes: int = 0
    damaged_bytes: int = 0


def lanes_in(root: Path) -> list[Path]:
    """The spool directories below a spool root, those of other users that we may not enter too."""
    try:
        found = [p for p in root.iterdir() if not p.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        _say_once(f"the spools in {root} belong to another user and are not looked at: {error}")
        return []
    return sorted(p for p in found if _is_spool(p))


def _is_spool(directory: Path) -> bool:
    try:
        return (directory / "lock").stat().st_size >= 0
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        return True


@functools.cache
def _say_once(message: str) -> None:
    logger.warning("%s", message)


def recover_all(
    reader: Reader,
    root: Path,
    *,
    adopt: bool = False,
    skip: str | None = None,
    landed: Callable[[str, Path], None] | None = None,
) -> SyncReport:
    """Ship what dead writers left below ``root``.

    Threads of one process take turns, so that each finds all of it shipped when this returns.

    Args:
        adopt: take spools of other machines too (a copied or re-mounted directory).
        skip: the caller's own lane.
        landed: see `Shipper`.
    """
    with _turns.setdefault(root, threading.RLock()):
        return _look(reader, root, adopt, skip, landed)


def _look(
    reader: Reader,
    root: Path,
    adopt: bool,
    skip: str | None,
    landed: Callable[[str, Path], None] | None,
) -> SyncReport:
    report = SyncReport()
    for directory in lanes_in(root):
        lane = directory.name
        if lane == skip:
            continue
        try:
            with alone(directory) as first:
                held = take_lock(directory, adopt=adopt) if first else None
                if held is None:
                    (report.foreign if _is_foreign(directory) else report.alive).append(lane)
                    continue
                _recover(reader, directory, held, report, landed)
            report.recovered.append(lane)
        except BackendError as error:  # the others would fail alike
            report.failed[lane] = str(error)
            logger.warning("what %s left cannot be shipped now: %s", lane, error)
            break
        except PermissionError as error:
            report.failed[lane] = str(error)
            _say_once(f"what {lane} left belongs to another user and is left to them: {error}")
        except Exception as error:  # one broken spool must not keep the others here
            expected = isinstance(error, EventlogError | OSError)
            report.failed[lane] = str(error) if expected else repr(error)
            message = "what %s left in %s cannot be shipped: %s"
            logger.error(message, lane, directory, error, exc_info=None if expected else error)
    return report


def _is_foreign(directory: Path) -> bool:
    try:
        return bool(json.loads((directory / "lock").read_bytes())["machine_id"] != machine_id())
    except (OSError, ValueError, KeyError):
        return False


def _recover(
    reader: Reader,
    directory: Path,
    held: Held,
    report: SyncReport,
    landed: Callable[[str, Path], None] | None,
) -> None:
    from eventlog.log.write.tables import unreadable

    spool = Spool.open_dead(directory, held)
    try:
        _name_damage(spool.damage)
        spool.unreadable = unreadable(spool)
        spool.lost_rows += len(spool.unreadable)
        shipper = Shipper.resume(spool, reader.backend)
        shipper.landed = landed
        if not (shipper.ended and _landed(reader, shipper)) and (
            (held.owner and shipper.certain) or _seal(reader, shipper)
        ):
            _say_died(spool, shipper)
            shipper.ship(final=True)
        _name_losses(spool, report)
        spool.delete()
    finally:
        spool.close()


def _landed(reader: Reader, shipper: Shipper) -> bool:
    """Put the lane's last segment again; afterwards it has landed."""
    shipper.ship()
    return shipper.pending is None and shipper.ended


def _seal(reader: Reader, shipper: Shipper) -> bool:
    """End the lane in the store; what it has not by then goes under the next name.

    Returns whether anything can be left: not if the lane's owner had ended it.
    """
    from eventlog.log.read.reader import LaneState

    known = reader.snapshot(damage="skip").lanes
    who = shipper.spool.writer
    writer = f"recovery of {who.host}:{who.pid}"
    while True:
        state = known.get(shipper.lane) or LaneState(None, *_begin(shipper), 0, "")
        ending = seal(reader.backend, shipper.lane, state, writer=writer)
        if ending.final:
            return False
        shipper.fence(ending)
        if not _begun(reader.backend, shipper.lane):
            return True


def _begin(shipper: Shipper) -> tuple[int, int]:
    """The slot and the seq below which the lane's segments have landed for certain."""
    head = shipper.header
    return (head.slot, head.first_seq) if head and head.lane == shipper.lane else (0, 0)


def _begun(backend: Backend, lane: str) -> bool:
    """Whether somebody who recovered the same spool before us wrote to the lane."""
    try:
        backend.get(segment_key(lane, 0), 0, 1)
    except Missing:
        return False
    return True


def _say_died(spool: Spool, shipper: Shipper) -> None:
    """The lane's last fact, unless an earlier try wrote it."""
    for file in spool.facts.files:
        if any(r[0] == ff.EVENT and r[2] == DIED for r, _ in ff.parse(file.read())[0]):
            return
    who = spool.writer
    data = {"lane": spool.lane, "host": who.host, "pid": who.pid}
    if spool.lost_rows or spool.lost_bytes:
        data |= {"lost_rows": spool.lost_rows, "lost_bytes": spool.lost_bytes}
    if spool.damage:
        data |= {"damaged_bytes": _size(spool.damage)}
    text = json.dumps(data, separators=(",", ":"))
    spool.append(None, DIED, f"lane:{spool.lane}", None, None, None, text)


def _name_losses(spool: Spool, report: SyncReport) -> None:
    report.lost_rows += spool.lost_rows
    report.lost_bytes += spool.lost_bytes
    report.damaged_bytes += _size(spool.damage)
    if spool.lost_rows or spool.lost_bytes:
        logger.warning(
            "%s: of what it left %d points and %d bytes of facts did not survive",
            spool.lane,
            spool.lost_rows,
            spool.lost_bytes,
        )


def _size(damage: list[ff.Damaged]) -> int:
    return sum(each.end - each.start for each in damage)


def _name_damage(damage: list[ff.Damaged]) -> None:
    """Each file that the disk damaged, whether or not what is whole can be shipped now."""
    for copy, ranges in itertools.groupby(damage, key=lambda each: each.copy):
        found = list(ranges)
        logger.error(
            "%s: %s are damaged or torn: the facts in them are lost, and points whose names they "
            "held; what is whole before and behind them is shipped. The file as it was found is "
            "kept as %s. Look at the disk; delete the copy when you need it no longer.",
            found[0].path,
            ", ".join(f"bytes {each.start}-{each.end - 1}" for each in found),
            copy,
        )


def pending_bytes(backend: Backend, root: Path) -> int:
    """Disk space of all spools below ``root``, for people."""
    return sum(
        path.stat().st_size for lane in lanes_in(root) for path in lane.rglob("*") if path.is_file()
    )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_turns.clear)
