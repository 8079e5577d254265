"""Gate 4: whatever is killed at whatever moment, nothing that returned is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.crash.soak import Soak, Verdict, Wanted, differences, others_in
from tests.crash.truth import (
    BIG_BYTES,
    BIG_TYPE,
    FACT_TYPE,
    MANY_KEYS,
    Truth,
    compare,
    kind_of,
    stream_of,
)

SEED = 20_240_229


def test_nothing_that_returned_is_lost_on_a_local_root(tmp_path: Path) -> None:
    verdict = Soak(str(tmp_path / "log"), tmp_path / "soak", Wanted(60, 6), SEED).run()
    assert not verdict.problems, str(verdict)
    assert verdict.found.calls > 1_000
    assert verdict.kills["writer"] >= 60
    assert verdict.followed == verdict.in_log


@pytest.mark.s3
def test_nothing_that_returned_is_lost_on_s3(
    s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENTLOG_STATE", str(tmp_path / "state"))
    verdict = Soak(s3_url, tmp_path / "soak", Wanted(30, 3), SEED).run()
    assert not verdict.problems, str(verdict)
    assert verdict.found.calls > 500
    assert verdict.kills["writer"] >= 30


# -- the judge is judged: a comparison that finds nothing is worth nothing ------------------------


def _events(writer: str, calls: int) -> pl.DataFrame:
    """What a thread that made so many calls must have left."""
    rows = []
    for n in range(calls):
        kind = kind_of(n)
        keys = {"many": MANY_KEYS, "fact": ("f",), "big": ("b",)}.get(kind, ("p",))
        type_ = {"fact": FACT_TYPE, "big": BIG_TYPE}.get(kind, "metric.logged")
        texts = {"fact": f'{{"n":{n}}}', "big": f'[{n},"{"x" * BIG_BYTES}"]'}
        data = texts.get(kind)
        rows += [(type_, key, n, data) for key in keys]
    return pl.DataFrame(
        {
            "lane": ["L"] * len(rows),
            "seq": range(len(rows)),
            "type": [row[0] for row in rows],
            "stream": [stream_of(writer, 0)] * len(rows),
            "key": [row[1] for row in rows],
            "step": [row[2] for row in rows],
            "value": [float(row[2]) for row in rows],
            "data": [row[3] for row in rows],
        },
        schema_overrides={"data": pl.String},
    )


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    kept = Truth(tmp_path / "w.truth", fresh=True)
    kept.returned(0, 40)
    kept.flushed(0, 30)
    return tmp_path


@pytest.mark.parametrize("calls", [40, 41], ids=["exact", "one-on-its-way"])
def test_the_judge_accepts_what_is_right(truth: Path, calls: int) -> None:
    assert compare(_events("w", calls), truth).problems == []


def test_the_judge_finds_a_lost_call(truth: Path) -> None:
    events = _events("w", 40)
    assert "1 of 40 calls are lost: [17]" in str(
        compare(events.filter(pl.col("step") != 17), truth).problems
    )
    assert "1 of 40 calls are lost: [39]" in str(compare(_events("w", 39), truth).problems)


def test_the_judge_finds_a_lost_part_of_a_call(truth: Path) -> None:
    events = _events("w", 40).filter((pl.col("step") != 3) | (pl.col("key") != "m2"))
    assert "calls are lost: [3]" in str(compare(events, truth).problems)


def test_the_judge_finds_a_doubled_event(truth: Path) -> None:
    events = _events("w", 40)
    doubled = pl.concat([events, events.filter(pl.col("step") == 7)])
    problems = str(compare(doubled, truth).problems)
    assert "not dense" in problems
    assert "1 calls are there twice: [7]" in problems


def test_the_judge_finds_events_out_of_order(truth: Path) -> None:
    events = _events("w", 40)
    shuffled = events.with_columns(seq=pl.Series([1, 0, *range(2, len(events))]))
    assert "out of order" in str(compare(shuffled, truth).problems)


def test_the_judge_finds_a_mangled_value(truth: Path) -> None:
    events = _events("w", 40)
    wrong = events.with_columns(
        value=pl.when(pl.col("step") == 9).then(9.5).otherwise(pl.col("value"))
    )
    assert "mangled" in str(compare(wrong, truth).problems)


def test_the_judge_finds_a_call_that_nobody_made(truth: Path) -> None:
    assert "nobody made: [41]" in str(compare(_events("w", 42), truth).problems)
    assert "nobody's truth knows it" in str(compare(_events("other", 3), truth).problems)


def test_the_judge_lets_points_be_missing_that_the_log_names(truth: Path) -> None:
    events = _events("w", 40)
    without = events.filter(pl.col("step") != 17).with_columns(
        seq=pl.Series(range(len(events) - 1))
    )
    note = without.tail(1).with_columns(
        seq=pl.lit(len(without), pl.Int64),
        type=pl.lit("lane.dropped"),
        stream=pl.lit("lane:L"),
        data=pl.lit('{"points":1,"facts":0}'),
    )
    assert compare(pl.concat([without, note]), truth).problems == []
    assert "0 missing, 1 named" in str(compare(_with(events, note), truth).problems)
    without_fact = events.filter(pl.col("step") != 21)
    assert "facts are lost: [21]" in str(compare(_with(without_fact, note), truth).problems)


def _with(events: pl.DataFrame, note: pl.DataFrame) -> pl.DataFrame:
    rows = pl.concat([events, note])
    return rows.with_columns(seq=pl.Series(range(len(rows))))


def test_a_verdict_counts_the_same_events_in_the_log_as_were_followed(truth: Path) -> None:
    events = _events("w", 40)
    note = events.tail(1).with_columns(
        seq=pl.lit(len(events), pl.Int64), type=pl.lit("writer.died"), stream=pl.lit("lane:L")
    )
    all_of_it = pl.concat([events, note])
    verdict = Verdict("url", 1, found=compare(all_of_it, truth), others=others_in(all_of_it))
    assert verdict.in_log == len(all_of_it)
    counts = f"{len(all_of_it)} events are in the log: {len(events)} of these calls, 1 writer.died"
    assert counts in str(verdict)


def test_a_follower_that_saw_another_lane_s_events_is_found() -> None:
    assert differences({"a": 2, "b": 1}, {"a": 2, "b": 1}) == []
    assert differences({"a": 2, "b": 1}, {"a": 1, "b": 2}) == [
        "the follower saw 1 of 2 events of a",
        "the follower saw 2 of 1 events of b",
    ]
    assert len(differences({"a": 1}, {"c": 1})) == 2


def test_after_a_power_cut_only_what_was_flushed_is_due(truth: Path) -> None:
    assert compare(_events("w", 31), truth, powered_off=True).problems == []
    assert "1 of 30 calls are lost: [29]" in str(
        compare(_events("w", 29), truth, powered_off=True).problems
    )
