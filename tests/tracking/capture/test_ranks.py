"""A process knows its place, by the word of whoever started it."""

from __future__ import annotations

import types

import pytest

from eventlog.tracking.capture import ranks
from eventlog.tracking.capture.ranks import Place
from tests.tracking.capture import fakes

TORCHRUN = {
    "RANK": "5",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "8",
    "GROUP_RANK": "2",
    "TORCHELASTIC_RUN_ID": "job-7",
    "TORCHELASTIC_RESTART_COUNT": "1",
}
SLURM = {
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "0",
    "SLURM_NTASKS": "4",
    "SLURM_NODEID": "1",
    "SLURM_JOB_ID": "4711",
    "SLURM_ARRAY_JOB_ID": "4700",
    "SLURM_ARRAY_TASK_ID": "11",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "6",
    "OMPI_COMM_WORLD_NODE_RANK": "1",
}
PMI = {"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALRANKID": "1"}
AWS_BATCH = {
    "AWS_BATCH_JOB_ID": "a-1",
    "AWS_BATCH_JOB_NODE_INDEX": "1",
    "AWS_BATCH_JOB_NUM_NODES": "3",
}
KUBERNETES = {
    "JOB_COMPLETION_INDEX": "4",
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "HOSTNAME": "train-4-x",
}


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        (TORCHRUN, Place(5, 1, 8, 2, "torchrun")),
        (SLURM, Place(2, 0, 4, 1, "slurm")),
        (OPEN_MPI, Place(3, 1, 6, None, "open-mpi")),
        (PMI, Place(1, 1, 2, None, "pmi")),
        (AWS_BATCH, Place(1, None, 3, 1, "aws-batch")),
        (KUBERNETES, Place(4, None, None, None, "kubernetes")),
        ({}, None),
    ],
)
def test_each_launcher_is_understood(environ: dict[str, str], place: Place | None) -> None:
    assert ranks.find(environ) == place


def test_the_innermost_launcher_counts() -> None:
    inside_out = [TORCHRUN, OPEN_MPI, PMI, SLURM, AWS_BATCH, KUBERNETES]
    for n, innermost in enumerate(inside_out):
        everything: dict[str, str] = {}
        for environ in reversed(inside_out[n:]):
            everything |= environ
        assert ranks.find(everything) == ranks.find(innermost)


@pytest.mark.parametrize(
    "environ",
    [
        {"RANK": "1"},  # a variable of the user's own
        {"RANK": "first", "WORLD_SIZE": "2"},
        {"RANK": "-1", "WORLD_SIZE": "2"},
        {"RANK": "²", "WORLD_SIZE": "3"},
        {"RANK": "7", "WORLD_SIZE": "2"},  # of two launches
        {"RANK": "", "WORLD_SIZE": ""},
    ],
)
def test_what_makes_no_sense_is_passed_over(environ: dict[str, str]) -> None:
    assert ranks.find(environ) is None
    assert ranks.find(environ | SLURM) == ranks.find(SLURM)


def test_the_script_that_sbatch_runs_is_no_task() -> None:
    script = SLURM | {"ENVIRONMENT": "BATCH", "SLURM_PROCID": "0"}
    assert ranks.find(script) is None
    assert ranks.tags(script)["slurm.job_id"] == "4711"
    step = script | {"SLURM_STEP_ID": "0"}
    assert ranks.find(step) == Place(0, 0, 4, 1, "slurm")


def test_a_step_may_have_fewer_tasks_than_its_job() -> None:
    step = SLURM | {"SLURM_STEP_NUM_TASKS": "3"}
    assert ranks.find(step) == Place(2, 0, 3, 1, "slurm")


def test_an_array_job_is_no_training_of_many() -> None:
    environ = {"AWS_BATCH_JOB_ARRAY_INDEX": "3", "SLURM_ARRAY_TASK_ID": "3"}
    assert ranks.find(environ) is None
    assert ranks.tags(environ) == {"aws_batch.array_index": "3", "slurm.array_task_id": "3"}


def test_tags_hold_the_place_and_the_ids() -> None:
    assert ranks.tags(TORCHRUN | SLURM | KUBERNETES) == {
        "rank.rank": "5",
        "rank.local_rank": "1",
        "rank.world_size": "8",
        "rank.node": "2",
        "rank.launcher": "torchrun",
        "torchrun.run_id": "job-7",
        "torchrun.restart_count": "1",
        "slurm.job_id": "4711",
        "slurm.array_job_id": "4700",
        "slurm.array_task_id": "11",
        "kubernetes.job_index": "4",
        "kubernetes.pod": "train-4-x",
    }


class Context:
    """Ray's answers to a worker, or to the script that drives."""

    def __init__(self, mode: int, rank: int | None = None, trial: str | None = None) -> None:
        self.worker = types.SimpleNamespace(mode=mode)
        self.rank, self.trial = rank, trial

    def get_job_id(self) -> str:
        return "01000000"

    def get_node_id(self) -> str:
        return "n0de"

    def get_worker_id(self) -> str:
        return "w0rker"

    def get_world_rank(self) -> int | None:
        return self.rank

    def get_local_rank(self) -> int | None:
        return self.rank

    def get_world_size(self) -> int | None:
        return 2

    def get_node_rank(self) -> int | None:
        return 0

    def get_trial_id(self) -> str | None:
        if self.trial is None:
            raise RuntimeError("only in a trial")
        return self.trial


DRIVER, WORKER = 0, 1
RAY_IDS = {"ray.job_id": "01000000", "ray.node_id": "n0de", "ray.worker_id": "w0rker"}


def in_ray(monkeypatch: pytest.MonkeyPatch, context: Context, initialised: bool = True) -> None:
    fakes.module(
        monkeypatch,
        "ray",
        WORKER_MODE=WORKER,
        is_initialized=lambda: initialised,
        get_runtime_context=lambda: context,
    )
    for name in ("ray.train", "ray.tune"):
        fakes.module(monkeypatch, name, get_context=lambda: context)


def test_a_worker_of_ray_train_has_its_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    in_ray(monkeypatch, Context(WORKER, rank=1))
    assert ranks.find(TORCHRUN | SLURM) == Place(1, 1, 2, 0, "ray")
    assert ranks.tags({}).items() >= RAY_IDS.items()


def test_a_worker_of_ray_does_not_take_over_the_rank_of_its_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_ray(monkeypatch, Context(WORKER))
    assert ranks.find(SLURM | OPEN_MPI | KUBERNETES) is None
    assert ranks.find(TORCHRUN) == Place(5, 1, 8, 2, "torchrun")


def test_the_script_that_drives_ray_keeps_its_own_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    in_ray(monkeypatch, Context(DRIVER, rank=0))
    assert ranks.find(SLURM) == Place(2, 0, 4, 1, "slurm")
    assert ranks.tags({}) == RAY_IDS


def test_a_trial_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    in_ray(monkeypatch, Context(WORKER, trial="t_1"))
    assert ranks.tags({}) == RAY_IDS | {"ray.trial_id": "t_1"}


def test_a_ray_that_is_not_started_or_far_away_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_ray(monkeypatch, Context(WORKER, rank=1), initialised=False)
    assert ranks.tags({}) == {}
    in_ray(monkeypatch, Context(WORKER, rank=1))
    client = types.SimpleNamespace(is_connected=lambda: True)
    fakes.module(monkeypatch, "ray.util.client", ray=client)
    assert ranks.tags({}) == {}


def test_a_ray_that_fails_hides_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.module(monkeypatch, "ray")  # no attribute at all: half imported, or another's module
    fakes.module(monkeypatch, "ray.train", get_context=None)
    assert ranks.find(SLURM) == Place(2, 0, 4, 1, "slurm")
