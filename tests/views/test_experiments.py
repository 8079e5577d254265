"""Experiments: their living names, whoever tells it when."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from eventlog.testing import ViewTests
from eventlog.testing.view_tests import frame_of
from eventlog_views.experiments import CLAIMS, Experiments

IDS = ("e1", "e2")
NAMES = ("mnist", "cifar")


def of(type_: str, stream: str, **data: Any) -> tuple[Any, ...]:
    return (type_, stream, None, None, None, json.dumps(data) if data else None)


def taken(name: str, id: str) -> tuple[Any, ...]:
    return of("experiment_name.taken", f"experiment_name:{name}", experiment_id=id)


def freed(name: str, id: str) -> tuple[Any, ...]:
    return of("experiment_name.freed", f"experiment_name:{name}", experiment_id=id)


class TestTheFold(ViewTests):
    view = Experiments()
    claimed = frozenset(CLAIMS)

    def events(self) -> st.SearchStrategy[tuple[Any, ...]]:
        ids, names = st.sampled_from(IDS), st.sampled_from(NAMES)
        return st.one_of(
            st.builds(lambda i, n: of("experiment.created", f"experiment:{i}", name=n), ids, names),
            st.builds(lambda i, n: of("experiment.renamed", f"experiment:{i}", name=n), ids, names),
            st.builds(lambda i: of("experiment.deleted", f"experiment:{i}"), ids),
            st.builds(lambda i: of("experiment.restored", f"experiment:{i}"), ids),
            st.builds(lambda i, n: of("note.set", f"experiment:{i}", text=n), ids, names),
            st.builds(taken, names, ids),
            st.builds(freed, names, ids),
            st.builds(lambda n: of("note.set", f"model:{n}", text=n), names),
        )


def shown(*happened: tuple[Any, ...]) -> list[dict[str, Any]]:
    view = Experiments()
    frame = view.frame(view.fold(frame_of(happened, claimed=CLAIMS)))
    return frame.drop("created").to_dicts()


def row(id: str, name: str, status: str = "active", description: str | None = None) -> Any:
    return {
        "experiment_id": id, "name": name, "status": status, "description": description,
    }  # fmt: skip


def test_an_experiment_has_the_name_it_was_last_called() -> None:
    assert shown(
        taken("mnist", "e1"),
        of("experiment.created", "experiment:e1", name="mnist"),
        taken("digits", "e1"),
        of("experiment.renamed", "experiment:e1", name="digits"),
        freed("mnist", "e1"),
    ) == [row("e1", "digits")]


def test_one_that_died_after_its_claim_is_there_by_the_name_it_claimed() -> None:
    assert shown(taken("mnist", "e1")) == [row("e1", "mnist")]


def test_one_that_was_deleted_says_so_until_it_is_restored() -> None:
    born = of("experiment.created", "experiment:e1", name="mnist")
    gone = of("experiment.deleted", "experiment:e1")
    assert shown(born, gone) == [row("e1", "mnist", "deleted")]
    assert shown(born, gone, of("experiment.restored", "experiment:e1")) == [row("e1", "mnist")]


def test_a_description_is_the_last_one_written() -> None:
    born = of("experiment.created", "experiment:e1", name="mnist")
    notes = [of("note.set", "experiment:e1", text=text) for text in ("first", "last")]
    assert shown(born, *notes) == [row("e1", "mnist", description="last")]


def test_they_are_shown_in_the_order_they_began() -> None:
    born = [of("experiment.created", f"experiment:{i}", name=i) for i in ("e2", "e1", "e3")]
    assert [r["experiment_id"] for r in shown(*born)] == ["e2", "e1", "e3"]
