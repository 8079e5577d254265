"""Copying a log into another store, or into another log: ``eventlog copy SRC DST``.

Any backend to any other. What the destination holds already stays, so copying again brings only
what is new, and a copy that died is finished by the next one. The destination of a first copy is a
log of its own, with its own id: a log's id names one chain of manifests, and the copy gets its own.

Order: blobs, claims, events, then the blobs that came meanwhile; so nothing in the destination
names what is not there yet. Forks and damaged objects are collected, never a reason to leave the
rest behind.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, cast

from eventlog.backend import Backend
from eventlog.errors import Damage, Exists, ForkedLane, Missing, UsageError
from eventlog.log import blob, claim
from eventlog.log.create import ensure_log
from eventlog.log.keep.copy_lanes import THREADS, LaneReport, copy_lanes
from eventlog.log.progress import Progress, silent
from eventlog.log.put import put_or_get

if TYPE_CHECKING:
    from eventlog.log.read.reader import Reader


@dataclass
class Report:
    """What a copy did.

    Attributes:
        events, claims, blobs: how many of each were written.
        lanes: how many lanes have something new.
        forks: the lanes and claims on which the two logs disagree; they were left as they are.
        damage: what could not be copied because it is damaged in the source.
    """

    events: int = 0
    lanes: int = 0
    claims: int = 0
    blobs: int = 0
    forks: list[ForkedLane] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether the destination now holds all that the source held."""
        return not self.forks and not self.damage


def copy(source: Reader, destination: Backend, *, progress: Progress = silent) -> Report:
    """Bring everything of one log into another store, which may hold a log already.

    Of a lane with damaged events the rest is copied only up to there, as later events of a lane
    never come before earlier ones.

    Raises:
        NotALog: there is no log to copy.
        Damage: what the destination holds cannot be read.
    """
    if source.backend.url == destination.url:
        raise UsageError(f"{destination.url} is both source and destination. Name two places.")
    report = Report()
    source.snapshot(damage="skip")  # before anything is made: is there a log at all?
    ensure_log(destination)
    _copy_blobs(source.backend, destination, report, progress)
    _copy_claims(source.backend, destination, report, progress)
    lanes = _copy_events(source, destination, report, progress)
    # A writer of the source may have met an old blob here that a collector took since.
    _copy_blobs(source.backend, destination, report, progress)
    report.events, report.lanes = lanes.events, len(lanes.lanes)
    report.forks += lanes.forks.values()
    return report


def _copy_events(
    source: Reader, destination: Backend, report: Report, progress: Progress
) -> LaneReport:
    """The events: all of them at first try, and all that are intact where that meets damage."""
    from eventlog.log.read.merge import extents, intact
    from eventlog.log.read.reader import Reader

    reader = Reader(destination)
    try:
        snapshot = source.snapshot()
        lanes = copy_lanes(snapshot, extents(snapshot), reader, progress)
    except Damage:
        snapshot = source.snapshot(damage="skip")
        lanes = copy_lanes(snapshot, intact(snapshot), reader, progress)
    report.damage += [*snapshot.damage, *snapshot.gaps]
    return lanes


def _missing(source: Backend, destination: Backend, prefix: str) -> list[str]:
    """The source's keys that the destination lacks."""
    held = {entry.key for entry in destination.list(prefix)}
    return [entry.key for entry in source.list(prefix) if entry.key not in held]


def _copy_blobs(source: Backend, destination: Backend, report: Report, progress: Progress) -> None:
    reported = {damage.key for damage in report.damage}
    keys = [
        key
        for key in _missing(source, destination, blob.PREFIX)
        if blob.digest_of(key) and key not in reported
    ]

    def bring(key: str) -> int | Damage:
        try:
            with source.open_blob(key) as stream:
                destination.put_blob(key, _checked(stream, key))
        except (Exists, Missing):  # somebody else brought it, or a collector of the source took it
            return 0
        except Damage as damage:
            return damage
        return 1

    with ThreadPoolExecutor(THREADS) as pool:
        for done, result in enumerate(pool.map(bring, keys), 1):
            progress("copying blobs", done, len(keys))
            if isinstance(result, Damage):
                report.damage.append(result)
            else:
                report.blobs += result


def _checked(stream: BinaryIO, key: str) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Checked(stream, key), blob.CHUNK_BYTES))


class _Checked(io.RawIOBase):
    """A blob's bytes; at their end `Damage`, instead of the end, if they are not what they were."""

    def __init__(self, stream: BinaryIO, key: str) -> None:
        self._stream, self._key = stream, key
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        piece = self._stream.read(len(buffer))
        self._digest.update(piece)
        if not piece and self._digest.hexdigest() != blob.digest_of(self._key):
            raise Damage(self._key, "the blob's bytes do not match its digest")
        buffer[: len(piece)] = piece
        return len(piece)


def _copy_claims(source: Backend, destination: Backend, report: Report, progress: Progress) -> None:
    chains = list(_chains(source))

    def bring(keys: list[str]) -> int | Damage:
        try:
            return _copy_chain(source, destination, keys)
        except Damage as damage:
            return damage

    with ThreadPoolExecutor(THREADS) as pool:
        for done, result in enumerate(pool.map(bring, chains), 1):
            progress("copying claims", done, len(chains))
            if isinstance(result, ForkedLane):
                report.forks.append(result)
            elif isinstance(result, Damage):
                report.damage.append(result)
            else:
                report.claims += result


def _chains(source: Backend) -> Iterator[list[str]]:
    """The keys of each chain, ascending."""
    keys: list[str] = []
    for entry in source.list(claim.PREFIX):
        if keys and keys[-1].rpartition("/")[0] != entry.key.rpartition("/")[0]:
            yield keys
            keys = []
        keys.append(entry.key)
    if keys:
        yield keys


def _copy_chain(source: Backend, destination: Backend, keys: list[str]) -> int:
    """Bring one chain; how many claims were new. `ForkedLane` where another claim is there."""
    prefix = keys[0].rpartition("/")[0] + "/"
    held = {entry.key for entry in destination.list(prefix)}
    new = 0
    for key in keys:
        raw = source.get(key)
        theirs = claim.decode(key, raw)
        there = destination.get(key) if key in held else put_or_get(destination, key, raw)
        if there is None:
            new += 1
        elif claim.decode(key, there) != theirs and there != raw:
            raise ForkedLane(
                key,
                f"the two logs made claim {theirs.n} of {theirs.chain.kind} "
                f"{theirs.chain.name!r} apart",
                "Both are kept as events; the destination's goes on. Rename one of the two to "
                "tell them apart.",
            )
    return new
