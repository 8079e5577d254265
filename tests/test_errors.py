"""The errors: one tree, as its docstring draws it, and each survives a process boundary."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Iterator

import pytest

import eventlog
from eventlog import errors
from eventlog.errors import (
    Damage,
    Denied,
    EventlogError,
    ForkedLane,
    LogClosed,
    Missing,
    NotALog,
    SpoolFull,
    Unavailable,
    UsageError,
    VersionConflict,
)


def tree(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


ALL = list(tree(EventlogError))


def test_the_docstring_draws_the_tree() -> None:
    drawn = re.findall(r"^[ │├└─]*([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE)
    names = {kind.__name__ for kind in ALL}
    assert {name for name in drawn if name in names} == names


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_every_error_is_a_public_name(kind: type[Exception]) -> None:
    assert getattr(eventlog, kind.__name__) is kind


MADE = [
    Damage("wal/x", "a bit flipped"),
    ForkedLane("wal/x", "two stores", "look"),
    VersionConflict("model:a", 1, 2),
    UsageError("no"),
    Missing("none"),
    NotALog("none here", remedy="Make one.", lost_format=True),
    Denied("it said: No. Go away.", remedy="Ask."),
]


@pytest.mark.parametrize("error", MADE, ids=lambda e: type(e).__name__)
def test_errors_survive_pickling_and_copying(error: EventlogError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert twin.__dict__ == error.__dict__
        assert twin.lines() == error.lines()


def test_a_missing_object_is_shown_without_quotes() -> None:
    assert str(Missing("there is none")) == "there is none"


def test_wrong_arguments_are_value_errors() -> None:
    assert issubclass(UsageError, ValueError)


def test_damage_names_its_place_and_a_remedy() -> None:
    assert str(MADE[0]).startswith("wal/x: a bit flipped. ")
    assert "eventlog verify" in str(MADE[0])


@pytest.mark.parametrize("key", ["format.json", "manifest/000000000003.json"])
def test_what_no_log_is_read_without_cannot_be_skipped(key: str) -> None:
    damage = Damage(key, "it is cut")
    assert "skip" not in damage.remedy
    assert "untouched" in damage.remedy
    assert ("init --restore" in damage.remedy) == (key == "format.json")


@pytest.mark.parametrize(
    ("error", "what", "remedy"),
    [
        (NotALog("../x is no log. Make one."), "../x is no log.", "Make one."),
        (Unavailable("no answer.."), "no answer.", ""),
        (UsageError("no such scheme: x"), "no such scheme: x.", ""),
        (Denied("it said: No. Go away.", remedy="Ask."), "it said: No. Go away.", "Ask."),
        (Damage("k", "cut", "Mend it. Now."), "k: cut.", "Mend it. Now."),
        (SpoolFull("/x has no room (EIO: y): free it."), "/x has no room (EIO: y).", "Free it."),
        (LogClosed("it is closed: open it."), "it is closed.", "Open it."),
    ],
)
def test_an_error_tells_what_happened_from_what_to_do(
    error: EventlogError, what: str, remedy: str
) -> None:
    assert error.lines() == (what, remedy)
