"""Runs, their params and tags: the last word counts, whoever says it when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from eventlog.testing import ViewTests
from eventlog.testing.view_tests import frame_of
from eventlog.view import View
from eventlog_views.runs import Params, Runs, Tags

IDS = st.sampled_from(["r1", "r2"])
WORDS = st.sampled_from(["a", "b"])


def of(type_: str, id: str, key: str | None = None, **data: Any) -> tuple[Any, ...]:
    return (type_, f"run:{id}", key, None, None, json.dumps(data) if data else None)


def valued(type_: str, id: str, key: str, value: Any) -> tuple[Any, ...]:
    return (type_, f"run:{id}", key, None, None, json.dumps(value))


def died(lane: str) -> tuple[Any, ...]:
    return ("writer.died", f"lane:{lane}", None, None, None, json.dumps({"lane": lane}))


class TestRuns(ViewTests):
    view = Runs()

    def events(self) -> st.SearchStrategy[tuple[Any, ...]]:
        return st.one_of(
            st.builds(lambda i, w: of("run.created", i, name=w, experiment=w), IDS, WORDS),
            st.builds(lambda i, j: of("run.resumed", i, joined=j), IDS, st.booleans()),
            st.builds(lambda i, w: of("run.finished", i, status=w, error=w), IDS, WORDS),
            st.builds(lambda i, w: of("run.named", i, name=w), IDS, WORDS),
            st.builds(lambda i, w: of("run.moved", i, experiment=w, experiment_id=w), IDS, WORDS),
            st.builds(lambda i: of("run.deleted", i), IDS),
            st.builds(lambda i: of("run.restored", i), IDS),
            st.builds(lambda i, k, w: valued("tag.set", i, k, w), IDS,
                      st.sampled_from(["git.commit", "other"]), WORDS),
            st.builds(lambda i: of("tag.removed", i, key="git.commit"), IDS),
            st.builds(died, st.sampled_from("abc")),
        )  # fmt: skip


class _Keyed(ViewTests):
    type_ = ""

    def events(self) -> st.SearchStrategy[tuple[Any, ...]]:
        values = st.sampled_from([0.5, 3, True, None, "adam", "7", [1], {"a": 1}])
        number = st.builds(
            lambda i, k: (self.type_, f"run:{i}", k, None, float("inf"), None), IDS, WORDS
        )
        given = st.builds(lambda i, k, v: valued(self.type_, i, k, v), IDS, WORDS, values)
        return st.one_of(given, number)


class TestParams(_Keyed):
    view = Params()
    type_ = "param.set"


class TestTags(_Keyed):
    view = Tags()
    type_ = "tag.set"

    def events(self) -> st.SearchStrategy[tuple[Any, ...]]:
        removed = st.builds(lambda i, k: of("tag.removed", i, key=k), IDS, WORDS)
        return st.one_of(super().events(), removed)


del _Keyed  # pytest would collect it


def shown(view: View, *happened: tuple[Any, ...], lanes: str = "") -> list[dict[str, Any]]:
    return view.frame(view.fold(frame_of(happened, lanes or None))).to_dicts()


def the_run(*happened: tuple[Any, ...], lanes: str = "") -> dict[str, Any]:
    [row] = shown(Runs(), *happened, lanes=lanes)
    return row


BORN = of("run.created", "r1", name="first", experiment="mnist", user="ann", source="train.py")


def test_a_run_that_began_is_running() -> None:
    row = the_run(BORN)
    assert (row["run_id"], row["name"], row["experiment"]) == ("r1", "first", "mnist")
    assert (row["user"], row["source"], row["parent_id"]) == ("ann", "train.py", None)
    assert (row["status"], row["end_time"], row["duration_s"]) == ("RUNNING", None, None)
    assert not row["deleted"]


def test_a_run_ends_as_it_said() -> None:
    row = the_run(BORN, of("run.finished", "r1", status="FAILED", error="boom"))
    assert (row["status"], row["error"], row["duration_s"]) == ("FAILED", "boom", 1e-6)


def test_a_run_whose_owner_died_has_failed() -> None:
    row = the_run(BORN, died("a"))
    assert row["status"] == "FAILED"
    assert row["end_time"] is not None


def test_a_run_that_had_ended_before_its_writer_died_stays_as_it_was() -> None:
    assert the_run(BORN, of("run.finished", "r1", status="FINISHED"), died("a"))["status"] == (
        "FINISHED"
    )


def test_a_run_that_was_resumed_is_its_resumer_s() -> None:
    resumed = of("run.resumed", "r1")
    assert the_run(BORN, resumed, died("a"), lanes="abb")["status"] == "RUNNING"
    assert the_run(BORN, resumed, died("b"), lanes="aba")["status"] == "FAILED"


def test_a_run_that_was_resumed_after_its_end_runs_again() -> None:
    ended = of("run.finished", "r1", status="FINISHED")
    row = the_run(BORN, ended, of("run.resumed", "r1"), lanes="aab")
    assert (row["status"], row["end_time"]) == ("RUNNING", None)
    again = the_run(BORN, ended, of("run.resumed", "r1"), ended, lanes="aabb")
    assert again["status"] == "FINISHED"


def test_who_joins_a_run_does_not_take_it_over() -> None:
    joined = of("run.resumed", "r1", joined=True)
    assert the_run(BORN, joined, died("b"), lanes="aba")["status"] == "RUNNING"


def test_an_owner_that_was_fenced_is_still_the_same() -> None:
    events = frame_of([BORN, died("a")], ["a~1", "b"])
    [row] = Runs().frame(Runs().fold(events)).to_dicts()
    assert row["status"] == "FAILED"


def test_a_run_is_what_it_was_last_called_and_where_it_was_last_put() -> None:
    row = the_run(
        BORN,
        of("run.named", "r1", name="second"),
        of("run.moved", "r1", experiment="digits", experiment_id="e1"),
        of("run.deleted", "r1"),
        valued("tag.set", "r1", "git.commit", "abc"),
        valued("tag.set", "r1", "other", "x"),
    )
    assert (row["name"], row["experiment"], row["experiment_id"]) == ("second", "digits", "e1")
    assert (row["deleted"], row["git_commit"]) == (True, "abc")


def test_an_imported_run_has_its_own_times() -> None:
    row = the_run(
        of("run.created", "r1", name="old", experiment="x", start_us=1_000_000),
        of("run.finished", "r1", status="FINISHED", end_us=3_500_000),
    )
    assert row["start_time"].timestamp() == 1
    assert row["duration_s"] == 2.5


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        (0.1, "0.1", 0.1), (3, "3", 3.0), ("0.1", "0.1", None), ("adam", "adam", None),
        (True, "true", None), ("", "", None), ([1, 2], "[1,2]", None), (1e-9, "1e-9", 1e-9),
    ],
)  # fmt: skip
def test_params_are_text_and_numbers_where_they_are_such(
    value: Any, text: str, number: float | None
) -> None:
    [row] = shown(Params(), valued("param.set", "r1", "p", value))
    assert row == {"run_id": "r1", "key": "p", "value": text, "number": number}


def test_a_param_that_json_lacks_is_its_number() -> None:
    [row] = shown(Params(), ("param.set", "run:r1", "p", None, float("-inf"), None))
    assert (row["value"], row["number"]) == ("-inf", float("-inf"))


def test_the_last_value_of_a_param_counts() -> None:
    [row] = shown(Params(), *(valued("param.set", "r1", "lr", n) for n in (1, 2, 3)))
    assert row["number"] == 3


def test_a_tag_that_was_removed_is_gone_until_it_is_set_again() -> None:
    here = valued("tag.set", "r1", "team", "vision")
    gone = of("tag.removed", "r1", key="team")
    assert shown(Tags(), here, gone) == []
    assert [row["value"] for row in shown(Tags(), here, gone, here)] == ["vision"]
