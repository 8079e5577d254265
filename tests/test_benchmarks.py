"""The benchmarks run, every row yields a number, and nothing is lost. No time is asserted."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import pytest

from tests.benchmarks import child, product, table
from tests.benchmarks.__main__ import main
from tests.benchmarks.measure import Report, measure
from tests.benchmarks.table import Row
from tests.benchmarks.workload import FLOORS, WRITE, Measure, Workload

TINY = 0.002
OF_S3 = ("s3_commits", "s3_requests")
COUNTED = ("lost", "doubled", "missing")


def measured(workload: Workload, folder: Path) -> Report:
    who = product.floors() if workload is FLOORS else product.eventlog()
    return measure([workload], [who], scale=TINY, repeat=1, folder=folder)


def check(workload: Workload, report: Report) -> None:
    """Every row of the workload has a number, none of them a loss."""
    assert not report.failures
    assert not report.skipped
    assert [row.measure for row in report.rows] == list(workload.measures)
    for row in report.rows:
        (samples,) = row.samples.values()
        assert all(math.isfinite(number) for number in samples)
        if row.measure.key in COUNTED:
            assert samples == [0], row.measure.title
        elif row.measure.unit in ("/s", "bytes a point"):
            assert min(samples) > 0


@pytest.mark.parametrize(
    "workload", [w for w in (*WRITE, FLOORS) if w.name not in OF_S3], ids=lambda w: w.name
)
def test_a_workload_yields_every_row_and_loses_nothing(workload: Workload, tmp_path: Path) -> None:
    check(workload, measured(workload, tmp_path))


@pytest.mark.s3
@pytest.mark.parametrize("workload", [w for w in WRITE if w.name in OF_S3], ids=lambda w: w.name)
def test_a_workload_on_s3_yields_every_row_and_loses_nothing(
    workload: Workload, tmp_path: Path
) -> None:
    check(workload, measured(workload, tmp_path))


def test_a_child_that_fails_is_reported_and_not_measured_again(tmp_path: Path) -> None:
    broken = Workload("scalar", WRITE[0].drive, WRITE[0].measures, {"eventlog": {"no_such": 1}})
    report = measure([broken], [product.eventlog()], scale=1, repeat=3, folder=tmp_path)
    assert report.rows == []
    (trouble,) = report.failures
    assert trouble[:2] == ("scalar", "eventlog")
    assert "no_such" in trouble.why


def test_products_take_turns(tmp_path: Path) -> None:
    turns: list[str] = []

    def drive(who: product.Product, root: Path, sizes: dict[str, int]) -> child.Numbers:
        turns.append(who.name)
        return {"x": float(len(turns))}

    names = ("eventlog", "peer")
    workload = Workload("turns", drive, (Measure("x", "x", "s"),), {name: {} for name in names})
    both = [product.Product(name, "", Path(), "") for name in names]
    report = measure([workload], both, scale=1, repeat=2, folder=tmp_path)
    assert turns == ["eventlog", "peer", "eventlog", "peer"]
    assert report.rows[0].samples == {"eventlog": [1, 3], "peer": [2, 4]}


def test_the_table_compares_with_the_best_peer() -> None:
    lower = Row("w", Measure("x", "time", "s", reach=2.0), {"eventlog": [1], "a": [4], "b": [3]})
    higher = Row("w", Measure("y", "rate", "/s", "higher"), {"eventlog": [9], "a": [3], "b": [1]})
    assert lower.best_peer() == ("b", 3)
    assert lower.ratio() == 3
    assert lower.reached() is True
    assert higher.best_peer() == ("a", 3)
    assert higher.ratio() == 3
    assert higher.reached() is None
    first, *_, last = table.markdown([lower, higher], ["a", "b"]).splitlines()
    assert first == "| workload | unit | reach | eventlog |  | × best peer | a | b |"
    assert last == "| rate | /s | – | 9 |  | 3 | 3 | 1 |"


def test_a_loss_makes_the_command_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def drive(who: product.Product, root: Path, sizes: dict[str, int]) -> child.Numbers:
        return {"lost": 1.0}

    losing = Workload("losing", drive, (Measure("lost", "lost", "points"),), {"eventlog": {}})
    monkeypatch.setattr("tests.benchmarks.__main__.WRITE", (losing,))
    assert main(["write", "--quick"]) == 1
    assert "| lost | points |" in capsys.readouterr().out


def test_what_returned_outlives_the_counter_s_writer(tmp_path: Path) -> None:
    path = str(tmp_path / "returned")
    child.Returned(path, create=True).set(7)
    assert child.Returned(path).get() == 7


def test_lost_and_doubled_steps_are_counted() -> None:
    assert child.steps_found([0, 1, 1, 3, 9, -1], 4) == {"found": 3, "lost": 1, "doubled": 1}


def test_a_quantile_is_one_of_the_numbers() -> None:
    numbers = list(range(100, 0, -1))
    assert child.quantile(numbers, 0.5) == statistics.median_low(numbers)
    assert child.quantile(numbers, 0.99) == 99
    assert child.quantile(numbers, 1.0) == 100
