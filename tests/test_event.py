"""Events: what may go in comes out equal, in every version of its type."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.errors import UsageError
from eventlog.event import (
    COLUMNS,
    Event,
    EventType,
    EventTypes,
    as_row,
    check_int64,
    check_name,
    encode_json,
    schema,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_what_is_json_comes_back_equal(data: Any) -> None:
    text = encode_json(data)
    assert (json.loads(text) if text is not None else None) == data


@given(st.text())
def test_a_name_is_kept_exactly_or_refused(name: str) -> None:
    try:
        kept = check_name("key", name)
    except UsageError:
        assert not name or any(0xD800 <= ord(letter) < 0xE000 for letter in name)
    else:
        assert kept == name


@given(st.integers() | st.floats())
def test_a_step_is_kept_exactly_or_refused(number: float) -> None:
    try:
        kept = check_int64("step", number)
    except UsageError:
        fits = math.isfinite(number) and int(number) == number and abs(number) < 2**63
        assert not fits
    else:
        assert kept == number


def test_the_columns_are_those_of_the_schema() -> None:
    assert tuple(schema().names) == COLUMNS
    assert Event._fields == tuple(n.replace("time", "time_us") for n in COLUMNS)
    nullable = {field.name for field in schema() if field.nullable}
    assert nullable == {"key", "step", "value", "data"}
    event = Event("lane", 1, 2, "noted", "thing:1", None, None, None, None)
    assert list(as_row(event)) == list(COLUMNS)


class V1(msgspec.Struct):
    name: str


class V2(msgspec.Struct):
    first: str
    last: str


def split_name(old: dict[str, Any]) -> dict[str, Any]:
    first, _, last = old["name"].partition(" ")
    return {"first": first, "last": last}


def both() -> EventTypes:
    types = EventTypes()
    types.add(EventType("person.met", V1))
    types.add(EventType("person.met", V2, version=2, upcast=split_name))
    return types


def test_a_payload_comes_back_as_its_struct() -> None:
    types = EventTypes()
    types.add(EventType("person.met", V1))
    text = types.encode("person.met", V1("Ada Lovelace"))
    assert types.decode("person.met", text) == V1("Ada Lovelace")
    assert types.encode("person.met", {"name": "Ada Lovelace"}) == text


def test_an_old_payload_is_upcast() -> None:
    old = EventTypes()
    old.add(EventType("person.met", V1))
    text = old.encode("person.met", V1("Ada Lovelace"))
    assert both().decode("person.met", text) == V2("Ada", "Lovelace")


def test_a_newer_payload_than_any_known_stays_plain() -> None:
    old = EventTypes()
    old.add(EventType("person.met", V1))
    text = both().encode("person.met", V2("Ada", "Lovelace"))
    assert old.decode("person.met", text) == {"@v": 2, "first": "Ada", "last": "Lovelace"}


def test_a_type_that_nobody_registered_stays_plain() -> None:
    types = EventTypes()
    assert types.decode("who.knows", types.encode("who.knows", {"a": 1})) == {"a": 1}
    assert types.decode("who.knows", None) is None


class Note(msgspec.Struct):
    text: str
    author: str = "somebody"
    score: float = 0.0


class Tagged(Note):
    tags: list[str] = []


def notes(version: int = 1) -> EventTypes:
    types = EventTypes()
    types.add(EventType("note.taken", Note))
    if version > 1:
        types.add(EventType("note.taken", Tagged, version=2, upcast=dict))
    return types


@pytest.mark.parametrize(
    "data",
    [
        {"text": "a", "extra": 1},
        {"extra": {"deep": [1, None]}, "text": "a", "score": 1},
        {"text": "a"},
        {"text": "a", "author": "me", "score": 0.5},
    ],
)
def test_a_payload_is_kept_as_it_was_given(data: Any) -> None:
    text = notes().encode("note.taken", data)
    assert text == json.dumps(data, separators=(",", ":"))
    known = {name: data[name] for name in Note.__struct_fields__ if name in data}
    assert notes().decode("note.taken", text) == Note(**known)


def test_a_payload_is_kept_as_it_was_given_beside_its_version() -> None:
    text = notes(2).encode("note.taken", {"text": "a", "extra": 1})
    assert json.loads(text or "") == {"@v": 2, "text": "a", "extra": 1}
    assert notes(2).decode("note.taken", text) == Tagged("a")
    assert notes(1).decode("note.taken", text) == {"@v": 2, "text": "a", "extra": 1}


def test_no_payload_is_that_of_a_type_which_asks_for_nothing() -> None:
    class Empty(msgspec.Struct):
        why: str = ""

    types = EventTypes()
    types.add(EventType("lamp.lit", Empty))
    assert types.encode("lamp.lit", None) is None
    assert types.decode("lamp.lit", None) == Empty()
    types.add(EventType("lamp.lit", Empty, version=2, upcast=dict))
    assert types.encode("lamp.lit", None) == '{"@v":2}'


@pytest.mark.parametrize("version", [1, 2])
def test_the_version_is_the_log_s_own_to_write(version: int) -> None:
    with pytest.raises(UsageError, match="'@v'"):
        notes(version).encode("note.taken", {"text": "a", "@v": 7})


def test_a_payload_that_json_would_change_is_refused() -> None:
    class When(msgspec.Struct):
        at: dt.datetime

    types = EventTypes()
    types.add(EventType("clock.read", When))
    now = dt.datetime.now(dt.UTC)
    with pytest.raises(UsageError, match="not JSON"):
        types.encode("clock.read", {"at": now})
    assert types.decode("clock.read", types.encode("clock.read", When(now))) == When(now)


@pytest.mark.parametrize("data", [{"nom": "x"}, {"name": 7}, [], "text", None])
def test_a_payload_that_misfits_is_refused(data: Any) -> None:
    types = EventTypes()
    types.add(EventType("person.met", V1))
    with pytest.raises(UsageError, match="does not fit"):
        types.encode("person.met", data)


def test_one_name_and_version_is_one_type() -> None:
    types = both()
    types.add(EventType("person.met", V1))
    with pytest.raises(UsageError, match="registered twice"):
        types.add(EventType("person.met", V2))
    assert types.names() == ["person.met"]


@pytest.mark.parametrize("version", [0, -1, 2])
def test_versions_count_from_one_and_need_an_upcast(version: int) -> None:
    with pytest.raises(UsageError, match="versions count from 1"):
        EventType("person.met", V1, version=version)


def test_a_version_that_is_missing_in_between_is_said() -> None:
    types = EventTypes()
    types.add(EventType("person.met", V1))
    types.add(EventType("person.met", V2, version=3, upcast=split_name))
    with pytest.raises(UsageError, match="no upcast to version 2"):
        types.decode("person.met", '{"name":"x"}')
