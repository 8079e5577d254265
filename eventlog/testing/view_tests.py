"""The conformance kit for views: what a view must be to be one. Needs ``hypothesis``.

Example:
    >>> from eventlog.testing import ViewTests
    >>> class TestLamps(ViewTests):
    ...     view = Lamps()
    ...     def events(self):
    ...         types, lamps = st.sampled_from(["lamp.lit", "lamp.out"]), st.sampled_from(LAMPS)
    ...         return st.tuples(types, lamps, st.none(), st.none(), st.none(), st.none())
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog.view import View

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ("type", "stream", "key", "step", "value", "data")
SETTINGS = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.differing_executors]
)


class ViewTests(abc.ABC):
    """What every view must be: a pure function of the set of events.

    Attributes:
        view: the view.
        claimed: the types of events that are claims: their order in a stream is one for all.
    """

    view: View
    claimed: frozenset[str] = frozenset()

    @abc.abstractmethod
    def events(self) -> st.SearchStrategy[tuple[Any, ...]]:
        """Strategy for what happens: (type, stream, key, step, value, data as JSON text or None).

        Few streams and keys find more than many. Times, lanes and order are drawn by the kit.
        """

    def seen(self, *batches: pl.DataFrame) -> list[tuple[Any, ...]]:
        """What the view shows of events that come in these batches."""
        states = [self.view.fold(batch) for batch in batches]
        frame = self.view.frame(states[0] if len(states) == 1 else self.view.merge(states))
        return sorted(frame.rows(), key=repr)

    @SETTINGS
    @given(data=st.data())
    def test_the_order_of_events_changes_nothing(self, data: st.DataObject) -> None:
        events = self._draw(data)
        order = data.draw(st.permutations(range(len(events))))
        assert self.seen(events[list(order)]) == self.seen(events)

    @SETTINGS
    @given(data=st.data())
    def test_how_events_are_cut_into_batches_changes_nothing(self, data: st.DataObject) -> None:
        import polars as pl

        events = self._draw(data)
        cuts = data.draw(st.lists(st.integers(0, 3), min_size=len(events), max_size=len(events)))
        parts = [events.filter(pl.Series(cuts, dtype=pl.Int64) == n) for n in range(4)]
        late = data.draw(st.permutations(parts))
        assert self.seen(*late) == self.seen(events)

    @SETTINGS
    @given(data=st.data())
    def test_states_merge_in_any_grouping(self, data: st.DataObject) -> None:
        events = self._draw(data)
        third = len(events) // 3
        one, two, three = (
            self.view.fold(part)
            for part in (events[:third], events[third : 2 * third], events[2 * third :])
        )
        left = self.view.merge([self.view.merge([one, two]), three])
        right = self.view.merge([one, self.view.merge([three, two])])
        shown = [sorted(self.view.frame(state).rows(), key=repr) for state in (left, right)]
        assert shown == [self.seen(events)] * 2

    @SETTINGS
    @given(data=st.data())
    def test_an_event_that_is_told_twice_counts_once(self, data: st.DataObject) -> None:
        import polars as pl

        events = self._draw(data)
        assert self.seen(pl.concat([events, events[::-1]])) == self.seen(events)

    @SETTINGS
    @given(data=st.data())
    def test_events_of_other_types_change_nothing(self, data: st.DataObject) -> None:
        import polars as pl

        events = self._draw(data)
        others = events.with_columns(type=pl.lit("nobody.knows"), lane="lane" + pl.col("lane"))
        assert self.seen(pl.concat([others, events])) == self.seen(events)

    def test_the_columns_do_not_depend_on_what_happened(self) -> None:
        nothing = self.view.frame(self.view.fold(frame_of([])))
        examples = st.lists(self.events(), min_size=5, max_size=20)

        @SETTINGS
        @given(examples)
        def same(happened: list[tuple[Any, ...]]) -> None:
            some = self.view.frame(self.view.fold(frame_of(happened, claimed=self.claimed)))
            assert some.schema == nothing.schema

        same()

    def _draw(self, data: st.DataObject) -> pl.DataFrame:
        happened = data.draw(st.lists(self.events(), max_size=24))
        lanes = data.draw(
            st.lists(st.sampled_from("abc"), min_size=len(happened), max_size=len(happened))
        )
        times = data.draw(
            st.lists(st.integers(0, 5), min_size=len(happened), max_size=len(happened))
        )
        return frame_of(happened, lanes, times, self.claimed)


def frame_of(
    happened: Sequence[tuple[Any, ...]],
    lanes: Sequence[str] | None = None,
    times: Sequence[int] | None = None,
    claimed: Collection[str] = (),
) -> pl.DataFrame:
    """Events as a view gets them, one for each (type, stream, key, step, value, data).

    Args:
        lanes: who wrote each; all are "a" where it is left out.
        times: microseconds of each; within a lane they are made to grow.
        claimed: the types of claims: those have the lane of their stream's chain.
    """
    import polars as pl

    seqs: dict[str, int] = {}
    newest: dict[str, int] = {}
    rows = []
    for n, fields in enumerate(happened):
        lane = f"claim/{fields[1]}" if fields[0] in claimed else lanes[n] if lanes else "a"
        seqs[lane] = seqs.get(lane, -1) + 1
        newest[lane] = max(newest.get(lane, 0), times[n] if times else n)
        rows.append((lane, seqs[lane], newest[lane], *fields))
    schema = {
        "lane": pl.String, "seq": pl.Int64, "time": pl.Int64, "type": pl.String,
        "stream": pl.String, "key": pl.String, "step": pl.Int64, "value": pl.Float64,
        "data": pl.String,
    }  # fmt: skip
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))
