"""Seeded simulation of a log on a store that misbehaves.

``EVENTLOG_SEED=n`` replays one history; ``EVENTLOG_SEEDS=n`` runs more of them than CI does.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.simulator import simulate

SEEDS = int(os.environ.get("EVENTLOG_SEEDS", "40"))
ONE = os.environ.get("EVENTLOG_SEED")


@pytest.mark.parametrize("seed", [int(ONE)] if ONE else range(SEEDS))
def test_no_history_breaks_a_promise(seed: int) -> None:
    try:
        simulate(seed)
    except Exception as error:
        raise AssertionError(
            f"a promise is broken ({type(error).__name__}: {error}); replay it with "
            f"EVENTLOG_SEED={seed} pytest tests/simulation"
        ) from error


def test_a_seed_replays_its_history_exactly() -> None:
    assert simulate(3, steps=300) == simulate(3, steps=300)
