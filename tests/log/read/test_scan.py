from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog.event import POINT_TYPE, Event
from eventlog.log import parquet, segment
from eventlog.log.keep.collect import collect
from eventlog.log.keep.compact import compact
from eventlog.log.manifest import Position
from eventlog.log.parquet import OpenFile
from eventlog.log.read import reader as reader_module
from eventlog.log.read import scan
from eventlog.log.read.reader import Reader, Snapshot
from tests.log.hooked import Hooked, hooked_log
from tests.log.lanes import retire, table_of, write
from tests.log.read.identities import identities

STREAMS, KEYS, TYPES = ["run:a", "run:b", "run:c"], ["acc", "loss"], ["run.noted", POINT_TYPE]


# -- the pass goes on while compaction and collection move everything ---------------------------


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several groups a file, several batches a pass, nothing kept in memory."""
    write_file = parquet.write

    def write_small(*args: Any, **kwargs: Any) -> Any:
        return write_file(*args, **kwargs, group_rows=4)

    monkeypatch.setattr(parquet, "write", write_small)
    monkeypatch.setattr(scan, "BATCH_ROWS", 6)
    monkeypatch.setattr(scan, "BATCH_SEGMENTS", 2)
    monkeypatch.setattr(reader_module, "BODIES_BYTES", 0)


def a_long_log() -> Hooked:
    """Seven compactions and some segments; one more compaction merges the files."""
    backend = hooked_log()
    for n in range(7):
        write(backend, "a", 5 * n, 5 * n + 5, slot=n)
        write(backend, f"short-{n}", 0, 4)
        write(backend, f"short-{n}", 4, 5, slot=1, final=True)
        compact(Reader(backend))
        collect(Reader(backend), grace_s=0)
    write(backend, "a", 35, 40, slot=7)
    write(backend, "b", 0, 5)
    write(backend, "b", 5, 7, slot=1)
    return backend


def copy_of(backend: Hooked) -> Hooked:
    copy = Hooked()
    for entry in backend.list():
        copy.put_new(entry.key, backend.get(entry.key))
    return copy


def move(backend: Hooked) -> None:
    """Append, compact, merge and collect, so that nothing lies where it lay."""
    write(backend, "a", 40, 45, slot=8)
    write(backend, "new", 0, 5)
    for _ in range(2):
        compact(Reader(backend))
        collect(Reader(backend), grace_s=0)


READS: dict[str, dict[str, Any]] = {
    "everything": {},
    "one column": {"columns": ["seq", "lane"]},
    "one stream": {"streams": ["run:a"]},
    "points": {"kinds": ["points"]},
    "facts": {"kinds": ["facts"]},
}


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("everything", False),
        ("everything", True),
        ("one column", True),
        ("one stream", False),
        ("points", False),
        ("facts", True),
    ],
)
def test_a_pass_returns_each_event_once_wherever_compaction_overtakes_it(
    name: str, after: bool
) -> None:
    position = Position(4, {"a": 17, "b": 3}, 3) if after else None
    log = a_long_log()
    expected = identities(Reader(log).snapshot().tables(position, **READS[name]))
    fetches = stop = 1
    while stop <= fetches:
        backend = copy_of(log)
        snapshot = Reader(backend).snapshot()
        backend.hook = overtaken = Overtaken(backend, stop)
        found = identities(snapshot.tables(position, **READS[name]))
        assert found == expected, f"overtaken at request {stop}"
        fetches, stop = overtaken.fetches, stop + 1
    assert stop > 3


class Overtaken:
    """Lets everything move before the ``stop``-th fetch of a pass."""

    def __init__(self, backend: Hooked, stop: int) -> None:
        self._backend, self._stop = backend, stop
        self.fetches = 0

    def __call__(self, verb: str, key: str) -> None:
        if verb in ("get", "get_many"):
            self.fetches += 1
            if self.fetches == self._stop:
                move(self._backend)


def test_a_pass_is_overtaken_twice() -> None:
    backend = a_long_log()
    expected = identities(Reader(backend).snapshot().tables())
    snapshot = Reader(backend).snapshot()
    tables = snapshot.tables()
    found = [next(tables)]
    move(backend)
    found.append(next(tables))
    for n in range(8):
        write(backend, "new", 5 + n, 6 + n, slot=1 + n)
        compact(Reader(backend))
    collect(Reader(backend), grace_s=0)
    assert identities(iter([*found, *tables])) == expected


def test_what_was_appended_since_is_not_in_the_pass() -> None:
    backend = a_long_log()
    snapshot = Reader(backend).snapshot()
    tables = snapshot.tables()
    found = [next(tables)]
    move(backend)
    lanes = {lane for lane, _ in identities(iter([*found, *tables]))}
    assert "new" not in lanes


# -- what is selected ------------------------------------------------------------------------


events = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(STREAMS),
        st.sampled_from([*KEYS, None]),
        st.sampled_from(TYPES),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)
some = lambda words: st.one_of(st.none(), st.sets(st.sampled_from([*words, "other"])))  # noqa: E731


class Written:
    """A log that was written, compacted and closed in some order, and all that is in it."""

    def __init__(self) -> None:
        self.backend = hooked_log()
        self.events: list[Event] = []
        self.positions = [(Position(), 0)]
        self._next = dict.fromkeys("abc", (0, 0))

    def append(self, rows: list[tuple[str, str, str | None, str, bool]], final: bool) -> None:
        for lane in sorted({row[0] for row in rows}):
            name = f"{lane}-{len(self.positions)}" if final else lane
            slot, seq = (0, 0) if final else self._next[lane]
            new = [
                Event(
                    name,
                    seq + n,
                    10**15 + n,
                    type_,
                    stream,
                    key,
                    n,
                    float(n),
                    "{}" if data else None,
                )
                for n, (_, stream, key, type_, data) in enumerate(r for r in rows if r[0] == lane)
            ]
            header = segment.Header(name, slot, seq, len(new), final=final)
            raw = segment.encode(header, table_of(new))[1]
            self.backend.put_new(segment.segment_key(name, slot), raw)
            self.events += new
            if not final:
                self._next[lane] = (slot + 1, seq + len(new))
        self.positions.append((Reader(self.backend).snapshot().position, len(self.events)))


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(events, st.booleans(), st.sampled_from(["", "compact", "retire"])), max_size=5
    ),
    st.data(),
)
def test_a_selection_is_what_a_plain_filter_would_give(
    steps: list[tuple[list[Any], bool, str]], data: st.DataObject
) -> None:
    log = Written()
    for rows, final, then in steps:
        log.append(rows, final)
        if then == "compact":
            compact(Reader(log.backend))
        elif then == "retire":
            retire(log.backend)
    after, seen_before = data.draw(st.sampled_from(log.positions))
    upto, seen_then = data.draw(st.sampled_from(log.positions))
    streams, keys = data.draw(some(STREAMS)), data.draw(some(KEYS))
    types = data.draw(some(TYPES))
    kinds = data.draw(st.one_of(st.none(), st.sets(st.sampled_from(["facts", "points"]))))
    snapshot = Reader(log.backend).snapshot()
    expected = [
        event
        for event in log.events[seen_before:seen_then]
        if (streams is None or event.stream in streams)
        and (keys is None or event.key in keys)
        and (types is None or event.type in types)
        and (kinds is None or ("points" if _is_point(event) else "facts") in kinds)
    ]
    filters = {"streams": streams, "keys": keys, "types": types, "kinds": kinds}
    found = identities(snapshot.tables(after, upto, **filters))
    assert found == sorted((event.lane, event.seq) for event in expected)
    assert snapshot.count(after, upto, **filters) == len(expected)
    assert snapshot.count() == len(log.events)


def _is_point(event: Event) -> bool:
    return event.type == POINT_TYPE and event.key is not None and event.data is None


def test_files_and_groups_that_cannot_matter_are_not_read() -> None:
    backend = hooked_log()
    for n in range(4):
        write(backend, f"{n}", 0, 12)  # each lane has a stream of its own
        compact(Reader(backend))
    snapshot = Reader(backend).snapshot()
    backend.asked.clear()
    assert len(identities(snapshot.tables(streams=["run:2"], kinds=["facts"]))) == 8
    assert len({key for _, key in backend.asked}) == 2  # a file and its index
    backend.asked.clear()
    assert identities(snapshot.tables(after=snapshot.position)) == []
    assert backend.asked == []


def test_of_groups_without_unread_events_only_the_identities_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = a_long_log()
    compact(Reader(backend))
    write(backend, "large", 0, 400)
    compact(Reader(backend))
    position = Reader(backend).snapshot().position
    write(backend, "b", 7, 9, slot=2)
    for n in range(14):
        write(backend, "late", n, n + 1, slot=n)
        compact(Reader(backend))  # until most of it is merged
    snapshot = Reader(backend).snapshot()
    files = snapshot.manifest.files
    assert any(file.tier and file.version > position.version for file in files)
    decoded: list[str] = []
    decode = OpenFile.decode

    def note(self: OpenFile, groups: Any, columns: Any, pieces: Any) -> pa.Table:
        decoded.extend(["data"] * len(groups) if "data" in columns else [])
        return decode(self, groups, columns, pieces)

    monkeypatch.setattr(OpenFile, "decode", note)
    assert len(identities(snapshot.tables(position))) == 16
    newer = [file for file in files if file.version > position.version]
    groups = sum(len(snapshot.reader.open_file(file).groups) for file in newer)
    assert groups > 50
    assert len(decoded) <= 16


def test_a_snapshot_is_read_from_several_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    snapshot = Reader(a_long_log()).snapshot()
    expected = identities(snapshot.tables())
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: identities(snapshot.tables()), range(8)))
    assert found == [expected] * 8


def test_a_pass_reads_no_more_than_was_asked_for() -> None:
    snapshot: Snapshot = Reader(a_long_log()).snapshot()
    assert len(next(snapshot.tables())) < snapshot.count()
