"""What of a log a read can leave out unseen: by the ranges that manifests and indexes keep."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventlog.errors import UsageError
from eventlog.event import COLUMNS
from eventlog.log.manifest import DataFile, Manifest, Position

if TYPE_CHECKING:
    from eventlog.log.parquet import Group
    from eventlog.log.read.order import Kind

_FOREVER = 2**63 - 1


@dataclass(frozen=True)
class Selection:
    """Which events a read wants, and which columns of them.

    Every set that is None leaves its part open. Events below ``after`` are left out, and those that
    are not below ``upto``.
    """

    after: Position | None = None
    upto: Position | None = None
    streams: frozenset[str] | None = None
    types: frozenset[str] | None = None
    keys: frozenset[str] | None = None
    kinds: frozenset[Kind] | None = None
    columns: tuple[str, ...] = COLUMNS

    @classmethod
    def of(
        cls,
        after: Position | None = None,
        upto: Position | None = None,
        *,
        streams: Iterable[str] | None = None,
        types: Iterable[str] | None = None,
        keys: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
        kinds: Iterable[Kind] | None = None,
    ) -> Selection:
        """A selection from a caller's arguments; `UsageError` for a column that is none."""
        unknown = sorted(set(columns or ()) - set(COLUMNS))
        if unknown:
            raise UsageError(f"events have no column {unknown[0]!r}; they have {list(COLUMNS)}.")
        return cls(
            after,
            upto,
            _words("streams", streams),
            _words("types", types),
            _words("keys", keys),
            None if kinds is None else frozenset(kinds),
            COLUMNS if columns is None else tuple(c for c in COLUMNS if c in set(columns)),
        )

    @property
    def word_filters(self) -> dict[str, frozenset[str]]:
        """The words wanted, by column."""
        given = {"stream": self.streams, "type": self.types, "key": self.keys}
        return {name: words for name, words in given.items() if words is not None}


def _words(what: str, words: Iterable[str] | None) -> frozenset[str] | None:
    if isinstance(words, str):
        raise UsageError(f"{what}={words!r}: give a list of them, [{words!r}].")
    return None if words is None else frozenset(words)


class Pruner:
    """Tells which files and row groups of one manifest cannot hold what a selection wants."""

    def __init__(self, selection: Selection, manifest: Manifest) -> None:
        self._selection = selection
        self._streams = None if selection.streams is None else sorted(selection.streams)
        self._keys = None if selection.keys is None else sorted(selection.keys)
        self._after = _Bound(selection.after, manifest) if selection.after else None
        self._upto = _Bound(selection.upto, manifest) if selection.upto else None

    def file(self, file: DataFile) -> bool:
        """Whether the file may hold events that are wanted."""
        chosen = self._selection
        if chosen.after and file.version <= chosen.after.version:
            return False
        if chosen.kinds is not None and file.kind not in chosen.kinds:
            return False
        if chosen.types is not None and file.types and not chosen.types & set(file.types):
            return False
        if self._streams is not None and not _any_within(self._streams, *file.streams):
            return False
        return self._positions(file.lanes, (0, _FOREVER))

    def group(self, file: DataFile, group: Group) -> bool:
        """Whether the row group may hold events that are wanted."""
        if not self._positions(group.lanes, group.seqs):
            return False
        first, last = group.first, group.last
        if self._streams is not None and not _any_within(self._streams, first[0], last[0]):
            return False
        if self._keys is None or file.kind != "points":
            return True
        if first[0] == last[0]:
            return _any_within(self._keys, first[1] or "", last[1] or "")
        return self._streams is None or self._touches(first, last)

    def _touches(
        self, first: tuple[str, str | None, int | None], last: tuple[str, str | None, int | None]
    ) -> bool:
        """Whether (stream, key) of any pair wanted lies between two rows of different streams."""
        streams, keys = self._streams or [], self._keys or []
        if any(first[0] < stream < last[0] for stream in streams):
            return bool(keys)
        at_first = first[0] in streams and any(key >= (first[1] or "") for key in keys)
        return at_first or (last[0] in streams and any(key <= (last[1] or "") for key in keys))

    def _positions(self, lanes: tuple[int, int], seqs: tuple[int, int]) -> bool:
        if self._after and self._after.all_below(lanes, seqs):
            return False
        return not (self._upto and self._upto.none_below(lanes, seqs))


class _Bound:
    """A position with the numbers of its lanes, as far as a manifest knows them."""

    def __init__(self, position: Position, manifest: Manifest) -> None:
        self._lanes_seen = position.lanes_seen
        listed = [(manifest.lanes.get(lane), seq) for lane, seq in position.lanes.items()]
        self._listed = [(mark.number, seq) for mark, seq in listed if mark is not None]
        # A lane whose name has left the manifest may have any number.
        self._unknown = [seq for mark, seq in listed if mark is None]

    def _between(self, lanes: tuple[int, int]) -> Iterable[int]:
        within = (seq for number, seq in self._listed if lanes[0] <= number <= lanes[1])
        return itertools.chain(self._unknown, within)

    def all_below(self, lanes: tuple[int, int], seqs: tuple[int, int]) -> bool:
        """Whether all events of such lanes and seqs are certainly below the position."""
        if lanes[1] >= self._lanes_seen:
            return False
        return all(seqs[1] < seq for seq in self._between(lanes))

    def none_below(self, lanes: tuple[int, int], seqs: tuple[int, int]) -> bool:
        """Whether no event of such lanes and seqs can be below the position."""
        if lanes[0] < self._lanes_seen:
            return False
        return all(seqs[0] >= seq for seq in self._between(lanes))


def _any_within(words: list[str], low: str, high: str) -> bool:
    at = bisect.bisect_left(words, low)
    return at < len(words) and words[at] <= high
