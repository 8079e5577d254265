"""A snapshot: everything that was in a log at one moment, to be read at leisure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from eventlog.errors import Damage, UsageError
from eventlog.log.manifest import Manifest, Position
from eventlog.log.segment import Header

if TYPE_CHECKING:
    import pyarrow as pa

    from eventlog.log.read.order import Kind
    from eventlog.log.read.reader import Reader

OnDamage = Literal["raise", "skip"]


def check_damage(damage: object) -> None:
    """`UsageError` for what is no way to deal with damage."""
    if damage not in ("raise", "skip"):
        raise UsageError(f"damage must be 'raise' or 'skip', not {damage!r}.")


class SegmentRef(NamedTuple):
    """A segment and what it says of itself."""

    key: str
    header: Header


class LaneState(NamedTuple):
    """How far a lane has come.

    Attributes:
        number: the manifest chain's number of it; None where it has none yet.
        next_slot: the first slot that did not count; behind the one that ended the lane.
        next_seq: the seq after its last event.
        newest_us: the largest time of its facts.
        ended: "closed" by its owner, "sealed" by somebody else, or "" while it may go on.
    """

    number: int | None
    next_slot: int
    next_seq: int
    newest_us: int = 0
    ended: Literal["", "closed", "sealed"] = ""


class Snapshot:
    """What `Reader.snapshot` found. Data files and segments are read when `tables` asks for them.

    Attributes:
        manifest: the newest one.
        position: all events of the snapshot are below it, and no others.
        lanes: every lane that has not retired.
        damage: what was left out because it is damaged, and segments beyond their lane's end. Data
            files that turn out to be damaged are added as `tables` meets them.
        gaps: segments that are gone though later ones of their lanes are listed. Nothing is left
            out by choice: what a lane holds beyond its gap is not known to be its next event.
    """

    def __init__(
        self,
        reader: Reader,
        manifest: Manifest,
        lanes: Mapping[str, LaneState],
        segments: Mapping[str, Sequence[SegmentRef]],
        damage: Iterable[Damage] = (),
        on_damage: OnDamage = "raise",
        *,
        gaps: Iterable[Damage] = (),
    ) -> None:
        self.reader = reader
        self.manifest = manifest
        self.lanes = dict(lanes)
        self.damage = list(damage)
        self.gaps = list(gaps)
        self.on_damage = on_damage
        self._segments = {lane: list(refs) for lane, refs in segments.items()}
        self.position = Position(
            manifest.lanes_seen,
            {lane: state.next_seq for lane, state in self.lanes.items() if _listed(state)},
            manifest.version,
        )

    @property
    def newest_us(self) -> int:
        """The largest time of a fact, in microseconds since 1970."""
        return max([self.manifest.newest_us, *(lane.newest_us for lane in self.lanes.values())])

    def segments(self, lane: str) -> list[SegmentRef]:
        """The lane's segments above the manifest's mark, in slot order; a seal is one too."""
        return list(self._segments.get(lane, ()))

    def read(self, ref: SegmentRef) -> pa.Table:
        """The events of one segment."""
        return self.reader.read_segments([ref])[0]

    def tables(
        self,
        after: Position | None = None,
        upto: Position | None = None,
        *,
        streams: Iterable[str] | None = None,
        types: Iterable[str] | None = None,
        keys: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
        kinds: Iterable[Kind] | None = None,
    ) -> Iterator[pa.Table]:
        """The events of the snapshot, each once, in tables of bounded size and no fixed order.

        Goes on where compaction and collection move what it has not read yet.

        Args:
            after: leave out the events below it.
            upto: leave out the events that are not below it.
            streams, types, keys: only events with one of these.
            columns: of `eventlog.event.COLUMNS`, returned in that order; None is all.
            kinds: only "facts", or only "points".

        Raises:
            Damage: something to be read is not what was written. With ``damage="skip"`` it is left
                out and named in `damage`.
        """
        from eventlog.log.read.prune import Selection
        from eventlog.log.read.scan import Scan

        wanted = Selection.of(
            after, upto, streams=streams, types=types, keys=keys, columns=columns, kinds=kinds
        )
        return Scan(self, wanted).tables()

    def count(
        self,
        after: Position | None = None,
        upto: Position | None = None,
        *,
        streams: Iterable[str] | None = None,
        types: Iterable[str] | None = None,
        keys: Iterable[str] | None = None,
        kinds: Iterable[Kind] | None = None,
    ) -> int:
        """How many events `tables` would return. Without arguments it reads none."""
        limits = (after, upto, streams, types, keys, kinds)
        if all(limit is None for limit in limits):
            in_wal = sum(r.header.count for refs in self._segments.values() for r in refs)
            return in_wal + sum(file.rows for file in self.manifest.files)
        tables = self.tables(
            after, upto, streams=streams, types=types, keys=keys, columns=["seq"], kinds=kinds
        )
        return sum(len(table) for table in tables)


def _listed(state: LaneState) -> bool:
    """Whether a position names the lane.

    One without events need not be, if it never will have any, or has no number yet. And it must not
    be: a late seal in slot 0 of a lane whose name has left the manifest brings the name back, with
    another number, and would hide the events that are in the data files under the first.
    """
    return state.next_seq > 0 or (state.number is not None and not state.ended)
