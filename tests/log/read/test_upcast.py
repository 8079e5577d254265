"""Old payloads are read in the version of their type that is registered now."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import polars as pl
import pytest

import eventlog
from eventlog.event import EventType, EventTypes
from eventlog.log import log as log_module
from eventlog.log.log import Log
from tests.log.rows import events


class _First(msgspec.Struct):
    text: str


class _Second(msgspec.Struct):
    words: list[str]


def _split(old: dict[str, Any]) -> dict[str, Any]:
    return {"words": old["text"].split()}


FIRST = EventType("note.taken", _First)
SECOND = EventType("note.taken", _Second, version=2, upcast=_split)


def registered(monkeypatch: pytest.MonkeyPatch, *types: EventType) -> None:
    known = EventTypes()
    for each in types:
        known.add(each)
    monkeypatch.setattr(log_module, "event_types", lambda: known)


def payloads(log: Log) -> list[Any]:
    return [json.loads(row["data"]) for row in events(log)]


def test_a_payload_of_an_older_version_is_read_as_one_of_now(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(monkeypatch, FIRST)
    log.append("note.taken", "note:1", data={"text": "a b"})
    registered(monkeypatch, FIRST, SECOND)
    log.append("note.taken", "note:1", data={"words": ["c"]})
    log.append("other", "note:1", data={"text": "a b"})
    assert payloads(log) == [
        {"@v": 2, "words": ["a", "b"]},
        {"@v": 2, "words": ["c"]},
        {"text": "a b"},
    ]


def test_the_payload_alone_can_be_asked_for(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, FIRST)
    log.append("note.taken", "note:1", data={"text": "a b"})
    registered(monkeypatch, FIRST, SECOND)
    assert log.events().select("data").collect()["data"].to_list() == ['{"@v":2,"words":["a","b"]}']
    found = log.events().filter(pl.col("data").str.contains("words")).select("seq").collect()
    assert len(found) == 1


def test_a_payload_that_does_not_go_through_stays_as_it_was(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(monkeypatch)
    log.append("note.taken", "note:1", data={"tExt": "a b"})
    log.append("note.taken", "note:1")
    registered(monkeypatch, FIRST, SECOND)
    assert [row["data"] for row in events(log)] == ['{"tExt":"a b"}', None]


def test_a_lost_payload_is_null_where_damage_is_skipped(tmp_path: Any) -> None:
    with eventlog.open(tmp_path / "log") as log:
        log.append("noted", "thing:1", data="x" * 100_000)
        log.append("noted", "thing:1", data="short")
        log.flush(remote=True)
        [blob] = (tmp_path / "log" / "blobs").glob("*/*")
        blob.chmod(0o600)
        blob.write_bytes(b"y" * 100_002)
        with pytest.raises(Exception, match="blobs/"):
            log.events().collect()
        found = log.events(damage="skip").collect().sort("seq")
        assert found["data"].to_list() == [None, '"short"']
