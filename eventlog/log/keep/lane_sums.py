"""Whether a set of events holds each lane's seq 0, 1, 2 … once, told from sums.

A list of the events would need memory for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from eventlog.errors import Damage
from eventlog.log.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class LaneSums:
    """Sums over the events of each lane, by the chain's numbers of the lanes."""

    def __init__(self) -> None:
        self._sums: dict[int, tuple[int, int, int]] = {}
        self._names: dict[int, str] = {}

    def add(self, table: pa.Table) -> None:
        """Count these rows, which have a column ``lane_number``."""
        import numpy as np

        numbers = table["lane_number"].to_numpy()
        order = np.argsort(numbers, kind="stable")
        numbers, seqs = numbers[order], table["seq"].to_numpy()[order]
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        counts = np.diff(starts, append=len(numbers))
        lanes = table["lane"].take(order[starts])
        firsts, seconds = _mixed(seqs)
        totals = zip(
            numbers[starts].tolist(),
            counts.tolist(),
            np.add.reduceat(firsts, starts).tolist() if len(starts) else [],
            np.add.reduceat(seconds, starts).tolist() if len(starts) else [],
            lanes.to_pylist(),
            strict=True,
        )
        for number, count, first, second, lane in totals:
            known = self._sums.get(number, (0, 0, 0))
            self._sums[number] = (known[0] + count, known[1] + first, known[2] + second)
            self._names[number] = lane

    def compare(self, newest: Manifest) -> Iterator[Damage]:
        """Lanes whose events are not exactly those below the watermark."""
        import numpy as np

        listed = {mark.number: (lane, mark.seq) for lane, mark in newest.lanes.items()}
        for number, (lane, seq) in listed.items():
            if seq and number not in self._sums:
                yield Damage(f"lane {lane}", f"all of its {seq} compacted events are missing")
        for number, (count, first, second) in self._sums.items():
            lane, seq = listed.get(number, (self._names[number], count))
            firsts, seconds = _mixed(np.arange(seq, dtype=np.int64))
            expected = (seq, int(firsts.sum()) % 2**64, int(seconds.sum()) % 2**64)
            if (count, first % 2**64, second % 2**64) != expected:
                yield Damage(
                    f"lane {lane}",
                    f"the data files hold {count} events of it, not each of {seq} once",
                )


def _mixed(seqs: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Two numbers a seq, whose sums over a set of seqs differ for sets of one size that differ."""
    import numpy as np

    plain = seqs.astype(np.uint64)
    mixed = plain * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return plain, mixed ^ (mixed >> np.uint64(32))
