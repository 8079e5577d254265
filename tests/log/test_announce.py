"""Announcements: a claim whose winner died is announced by whoever comes next, and counts once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from eventlog.errors import VersionConflict
from eventlog.log import blob
from eventlog.log import claim as cl
from eventlog.log.log import Log
from eventlog_backends.local import LocalBackend
from tests.log.claim_stores import LossyBackend, an_event, once

STREAM = "model:resnet"


def append(log: Log, n: int, **more: object) -> None:
    log.append("alias.set", STREAM, key="prod", data={"n": n, **more}, expected_version=n)


def claimed(log: Log) -> list[tuple[str, int]]:
    """The claimed events that a view would count."""
    log.flush(remote=True)
    tables = list(log.reader().snapshot().tables())
    rows = cl.unwrap(pa.concat_tables(tables), resolve=partial(blob.resolve, log.backend))
    mine = rows.filter(pc.starts_with(rows["lane"].cast("string"), "claim/"))
    return list(zip(mine["lane"].to_pylist(), mine["seq"].to_pylist(), strict=True))


def expected(count: int) -> list[tuple[str, int]]:
    return [(cl.chain_of(STREAM).lane, n) for n in range(count)]


def test_an_append_with_an_expected_version_is_counted_once() -> None:
    with Log(LossyBackend()) as log:
        append(log, 0)
        append(log, 1)
        assert claimed(log) == expected(2)


def test_an_append_that_expected_another_version_leaves_nothing() -> None:
    with Log(LossyBackend()) as log:
        append(log, 0)
        with pytest.raises(VersionConflict):
            append(log, 0)
        assert claimed(log) == expected(1)


def test_who_touches_the_stream_next_announces_those_that_died() -> None:
    backend = LossyBackend()
    for _ in range(2):  # two winners that died at once
        cl.claim(backend, "model", "resnet", an_event())
    with Log(backend) as log:
        append(log, 2)
        assert claimed(log) == expected(3)


def test_what_another_announced_is_not_announced_again() -> None:
    backend = LossyBackend()
    with Log(backend) as log:
        append(log, 0)
    with Log(backend) as log:
        append(log, 1)
        log.flush(remote=True)
        tables = log.reader().snapshot().tables(types=[cl.ANNOUNCED])
        assert sum(len(table) for table in tables) == 2


def test_announcements_are_found_after_compaction() -> None:
    backend = LossyBackend()
    with Log(backend) as log:
        append(log, 0)
    with Log(backend) as log:
        log.compact()
        won = cl.claim(backend, "model", "resnet", an_event())
        assert cl.announce_missing(log.reader(), won) == []


def test_what_the_caller_knows_to_be_announced_is_not_looked_for() -> None:
    backend = LossyBackend()
    with Log(backend) as log:
        append(log, 0)
        log.flush(remote=True)
        won = [cl.claim(backend, "model", "resnet", an_event()) for _ in range(3)]
        assert [c.n for c in cl.announce_missing(log.reader(), won[-1], known=2)] == [2]
        assert [c.n for c in cl.announce_missing(log.reader(), won[-1])] == [1, 2]


def test_a_lost_answer_makes_no_second_event() -> None:
    backend = LossyBackend(once("put_new", "after", "claims/"))
    with Log(backend) as log:
        append(log, 0)
        assert claimed(log) == expected(1)


def test_a_claim_with_a_payload_of_any_length_comes_back() -> None:
    with Log(LossyBackend()) as log:
        append(log, 0, text="x" * 200_000)
        log.flush(remote=True)
        tables = list(log.reader().snapshot().tables())
        whole = cl.unwrap(pa.concat_tables(tables), resolve=partial(blob.resolve, log.backend))
        assert [len(data) > 200_000 for data in whole["data"].to_pylist()] == [True]


def test_eight_writers_of_one_stream_get_eight_versions(tmp_path: Path) -> None:
    logs = [Log(LocalBackend(str(tmp_path / "log"))) for _ in range(8)]

    def race(log: Log) -> int:
        version = 0
        while True:
            try:
                append(log, version)
                return version
            except VersionConflict as conflict:
                version = conflict.actual

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(race, logs)) == list(range(8))
    assert claimed(logs[0]) == expected(8)
    for log in logs:
        log.close()
