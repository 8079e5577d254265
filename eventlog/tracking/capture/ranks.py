"""This process's place among the processes of one training, as its launcher tells it.

Several launchers may have left their variables, one inside the other: Slurm starts one task per
node, that starts torchrun, that starts one process per GPU. The innermost started *this* process
and counts finest, so the order, innermost first, is

    Ray Train     asks its own context; its workers have no other launcher
    torchrun      RANK with WORLD_SIZE; also DeepSpeed, Accelerate and Lightning
    MPI           Open MPI, MVAPICH, then PMI (Intel MPI, MPICH, Cray)
    Slurm         SLURM_PROCID, except in the script that sbatch runs: that is no task
    AWS Batch     the node of a multi-node job
    Kubernetes    the index of an indexed job; how many there are it does not tell

A worker of Ray has the variables of whoever started Ray on that node, where "Slurm's rank 3" is the
node; so there only Ray's and torchrun's word counts. An index of an array job (Slurm, AWS Batch)
is no rank: those jobs are runs of their own. It is kept as a tag.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from eventlog.tracking.capture import ray_context
from eventlog.tracking.capture.probe import attempt, encodable


class Place(NamedTuple):
    """Where a process is among those of one training; None is what the launcher does not tell.

    Attributes:
        rank: from 0 among all processes.
        local_rank: from 0 among those of its node.
        world_size: how many processes there are.
        node: the number of the node, from 0.
        launcher: whose word this is.
    """

    rank: int
    local_rank: int | None
    world_size: int | None
    node: int | None
    launcher: str


class _Launcher(NamedTuple):
    """The variables of one launcher; the first that is set counts."""

    name: str
    rank: tuple[str, ...]
    local_rank: tuple[str, ...] = ()
    world_size: tuple[str, ...] = ()
    node: tuple[str, ...] = ()
    counts_all: bool = True  # it is only believed together with its world size


_TORCHRUN = _Launcher(
    "torchrun", ("RANK",), ("LOCAL_RANK",), ("WORLD_SIZE",), ("GROUP_RANK", "NODE_RANK")
)
_LAUNCHERS = (
    # Its NODE_RANK is the place among the processes of the node, not the node.
    _Launcher(
        "open-mpi",
        ("OMPI_COMM_WORLD_RANK",),
        ("OMPI_COMM_WORLD_LOCAL_RANK",),
        ("OMPI_COMM_WORLD_SIZE",),
    ),
    _Launcher(
        "mvapich",
        ("MV2_COMM_WORLD_RANK",),
        ("MV2_COMM_WORLD_LOCAL_RANK",),
        ("MV2_COMM_WORLD_SIZE",),
    ),
    _Launcher(
        "pmi",
        ("PMI_RANK",),
        ("PMI_LOCAL_RANK", "MPI_LOCALRANKID", "PALS_LOCAL_RANKID"),
        ("PMI_SIZE",),
        ("PALS_NODEID",),
    ),
    # A step may have fewer tasks than the job.
    _Launcher(
        "slurm",
        ("SLURM_PROCID",),
        ("SLURM_LOCALID",),
        ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS"),
        ("SLURM_NODEID",),
    ),
    _Launcher(
        "aws-batch",
        ("AWS_BATCH_JOB_NODE_INDEX",),
        world_size=("AWS_BATCH_JOB_NUM_NODES",),
        node=("AWS_BATCH_JOB_NODE_INDEX",),
    ),
    _Launcher("kubernetes", ("JOB_COMPLETION_INDEX",), counts_all=False),
)

_IDS = {
    "slurm.job_id": "SLURM_JOB_ID",
    "slurm.job_name": "SLURM_JOB_NAME",
    "slurm.step_id": "SLURM_STEP_ID",
    "slurm.partition": "SLURM_JOB_PARTITION",
    "slurm.array_job_id": "SLURM_ARRAY_JOB_ID",
    "slurm.array_task_id": "SLURM_ARRAY_TASK_ID",
    "slurm.node_name": "SLURMD_NODENAME",
    "torchrun.run_id": "TORCHELASTIC_RUN_ID",
    "torchrun.restart_count": "TORCHELASTIC_RESTART_COUNT",
    "kubernetes.job_index": "JOB_COMPLETION_INDEX",
    "aws_batch.job_id": "AWS_BATCH_JOB_ID",
    "aws_batch.array_index": "AWS_BATCH_JOB_ARRAY_INDEX",
    "aws_batch.attempt": "AWS_BATCH_JOB_ATTEMPT",
}


def find(environ: Mapping[str, str] = os.environ) -> Place | None:
    """This process's place; None for one that no launcher started."""
    if place := attempt("the rank in Ray", _in_ray):
        return place
    if place := _told_by(_TORCHRUN, environ):
        return place
    if attempt("whether Ray started this", ray_context.is_worker):
        return None
    places = (_told_by(launcher, environ) for launcher in _LAUNCHERS)
    return next(filter(None, places), None)


def tags(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """``rank.*``, and the ids that launchers and schedulers give: ``slurm.*``, ``ray.*`` …"""
    found = {tag: environ[name] for tag, name in _IDS.items() if environ.get(name)}
    if environ.get("KUBERNETES_SERVICE_HOST") and environ.get("HOSTNAME"):
        found["kubernetes.pod"] = environ["HOSTNAME"]
    found |= attempt("the ids of Ray", ray_context.ids) or {}
    if place := find(environ):
        numbers = place._asdict().items()
        found |= {f"rank.{name}": str(value) for name, value in numbers if value is not None}
    return {tag: encodable(value) for tag, value in found.items()}


def _in_ray() -> Place | None:
    numbers = ray_context.train_ranks()
    return Place(**numbers, launcher="ray") if numbers else None


def _told_by(launcher: _Launcher, environ: Mapping[str, str]) -> Place | None:
    rank = _number(environ, launcher.rank)
    world_size = _number(environ, launcher.world_size)
    if rank is None or (launcher.counts_all and world_size is None):
        return None
    if world_size is not None and rank >= world_size:
        return None  # of two different launches
    if launcher.name == "slurm" and _in_batch_script(environ):
        return None
    local_rank, node = _number(environ, launcher.local_rank), _number(environ, launcher.node)
    return Place(rank, local_rank, world_size, node, launcher.name)


def _in_batch_script(environ: Mapping[str, str]) -> bool:
    """The script has the variables of a first task; only what `srun` starts has a step, too."""
    step = environ.get("SLURM_STEP_ID") or environ.get("SLURM_STEPID")
    return environ.get("ENVIRONMENT") == "BATCH" and not step


def _number(environ: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    """The first that is set to a whole number from 0."""
    values = (environ.get(name, "").strip() for name in names)
    return next((int(value) for value in values if value.isascii() and value.isdigit()), None)
