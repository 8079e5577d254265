"""The log against a plain list: whatever is done to it, in whatever order, it holds what was said.

A fold from any earlier position and the rest are the whole (D4), each writer's order is kept (D3).
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventlog.event import POINT_TYPE
from eventlog.log.keep import recover
from eventlog.log.keep.collect import collect
from eventlog.log.keep.compact import compact
from eventlog.log.keep.seal import seal
from eventlog.log.manifest import Position
from eventlog.log.read.reader import Reader
from eventlog.log.read.snapshot import Snapshot
from eventlog.log.write.ship import Shipper
from tests.log.spools import Hand
from tests.simulation.store import SimStore

Word = tuple[str, int]  # a writer, and the number of what it said


class LogMachine(RuleBasedStateMachine):
    """Two writers' hands, a store, everybody who looks after it, and a tailing reader."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="eventlog-machine-"))
        self.store = SimStore()
        self.reader = Reader(self.store)
        self.said: dict[str, int] = {}  # by each writer
        self.shipped: dict[str, int] = {}
        self.hands: list[Hand] = []
        self.shippers: list[Shipper] = []
        self.looks: list[tuple[Position, Counter[Word]]] = [(Position(), Counter())]
        self.tailed: tuple[Position | None, Counter[Word]] = (None, Counter())
        for _ in range(2):
            self._open()

    def teardown(self) -> None:
        if hasattr(self, "root"):
            for hand in self.hands:
                hand.spool.close()
            shutil.rmtree(self.root)

    def _open(self) -> None:
        name = f"writer{len(self.said):03}"
        hand = Hand(self.root, name)
        self.said[name] = self.shipped[name] = 0
        self.hands.append(hand)
        self.shippers.append(Shipper(hand.spool, self.store))

    # -- writers ---------------------------------------------------------------------------------

    @rule(who=st.integers(0, 1), facts=st.integers(0, 3), points=st.integers(0, 3))
    def say(self, who: int, facts: int, points: int) -> None:
        hand = self.hands[who]
        lane = hand.spool.lane
        for kind in ["fact"] * facts + ["point"] * points + ["fact"] * (facts // 2):
            number = self.said[lane]
            if kind == "fact":
                hand.spool.append(None, "noted", f"lane:{lane}", None, number, None, "{}")
            else:
                stream = hand.spool.name(0, f"lane:{lane}")
                hand.stream = stream
                hand.point(number)
            self.said[lane] += 1

    @rule(who=st.integers(0, 1))
    def ship(self, who: int) -> None:
        self.shippers[who].ship()
        lane = self.hands[who].spool.lane
        self.shipped[lane] = self.said[lane]

    @rule(who=st.integers(0, 1))
    def close(self, who: int) -> None:
        hand, shipper = self.hands.pop(who), self.shippers.pop(who)
        shipper.ship(final=True)
        hand.spool.delete()
        self.shipped[hand.spool.lane] = self.said[hand.spool.lane]
        self._open()

    @rule(who=st.integers(0, 1), posted=st.booleans(), landed=st.booleans())
    def crash(self, who: int, posted: bool, landed: bool) -> None:
        """Die, perhaps with a segment in the outbox, perhaps with it landed and unacknowledged."""
        hand, shipper = self.hands.pop(who), self.shippers.pop(who)
        if posted and shipper.pending is None:
            shipper._encode(final=False)
        if posted and landed and shipper.pending is not None and shipper.header is not None:
            header = shipper.header
            self.store.objects.setdefault(
                f"wal/{header.lane}/{header.slot:012d}.arrow",
                (shipper.pending.read_bytes(), self.store.now),
            )
        hand.die()
        self._open()

    @rule()
    def recover(self) -> None:
        report = recover.recover_all(self.reader, self.root)
        assert not report.failed
        for lane in report.recovered:
            self.shipped[lane] = self.said[lane]

    # -- keepers ---------------------------------------------------------------------------------

    @rule(target_rows=st.sampled_from([1, 3, 1000]))
    def compact(self, target_rows: int) -> None:
        compact(
            Reader(self.store),
            target_rows=target_rows,
            seal_silent_days=1.0,
            now=self.store.now,
        )

    @rule(grace_s=st.sampled_from([0.0, 3600.0]))
    def collect(self, grace_s: float) -> None:
        collect(Reader(self.store), grace_s=grace_s, now=self.store.now)

    @rule(hours=st.sampled_from([1.0, 30.0]))
    def wait(self, hours: float) -> None:
        self.store.pass_time(hours * 3600)

    @precondition(lambda self: self.reader.snapshot().lanes)
    @rule(chance=st.randoms(use_true_random=False))
    def seal(self, chance: object) -> None:
        lanes = sorted(self.reader.snapshot().lanes.items())
        lane, state = chance.choice(lanes)  # type: ignore[attr-defined]
        seal(self.store, lane, state, writer="machine")

    # -- readers ---------------------------------------------------------------------------------

    @rule(fresh=st.booleans())
    def look(self, fresh: bool) -> None:
        snapshot = (Reader(self.store) if fresh else self.reader).snapshot()
        self.looks.append((snapshot.position, self._words(snapshot)))

    @rule()
    def tail(self) -> None:
        position, seen = self.tailed
        snapshot = self.reader.snapshot()
        self.tailed = snapshot.position, seen + self._words(snapshot, position)
        assert self.tailed[1] == self._words(snapshot)

    @invariant()
    def the_log_holds_what_was_said(self) -> None:
        if not hasattr(self, "root"):
            return
        snapshot = self.reader.snapshot()
        whole = self._words(snapshot)
        for lane, said in self.said.items():
            found = sorted(n for who, n in whole.elements() if who == lane)
            assert found == list(range(len(found))), f"{lane} has {found}"
            assert self.shipped[lane] <= len(found) <= said
        for position, below in self.looks:
            assert below + self._words(snapshot, position) == whole

    @rule()
    def each_writers_order_is_kept(self) -> None:
        rows = []
        for table in self.reader.snapshot().tables():
            rows += table.select(["lane", "seq", "type", "step", "stream"]).to_pylist()
        rows.sort(key=lambda row: (row["lane"], row["seq"]))
        said: dict[str, list[int]] = {}
        for row in rows:
            if row["type"] in ("noted", POINT_TYPE):
                said.setdefault(row["stream"], []).append(row["step"])
        assert all(numbers == sorted(numbers) for numbers in said.values()), said

    @staticmethod
    def _words(snapshot: Snapshot, after: Position | None = None) -> Counter[Word]:
        found: Counter[Word] = Counter()
        for table in snapshot.tables(after, columns=["type", "stream", "step"]):
            columns = (table[name].to_pylist() for name in ("stream", "step", "type"))
            found.update(
                (stream.removeprefix("lane:"), step)
                for stream, step, kind in zip(*columns, strict=True)
                if kind != recover.DIED
            )
        return found


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
