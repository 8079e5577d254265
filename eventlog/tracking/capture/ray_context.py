"""What Ray knows of this process. It is not imported here: where nobody did, it is not in use."""

from __future__ import annotations

import sys
from typing import Any, TypedDict


class TrainRanks(TypedDict):
    """A worker's place in a training of Ray Train."""

    rank: int
    local_rank: int | None
    world_size: int | None
    node: int | None


def is_worker() -> bool:
    """Whether Ray started this process to work for it."""
    ray = _running()
    return bool(ray and ray.get_runtime_context().worker.mode == ray.WORKER_MODE)


def ids() -> dict[str, str]:
    """``ray.job_id``, ``ray.node_id``, ``ray.worker_id`` and, in Ray Tune, ``ray.trial_id``."""
    ray = _running()
    if ray is None:
        return {}
    context = ray.get_runtime_context()
    found = {
        "ray.job_id": context.get_job_id(),
        "ray.node_id": context.get_node_id(),
        "ray.worker_id": context.get_worker_id(),
    }
    if trial := _trial():
        found["ray.trial_id"] = trial
    return {tag: str(value) for tag, value in found.items() if value}


def train_ranks() -> TrainRanks | None:
    """This worker's place in a training; None outside of one."""
    context = _context_of("ray.train")
    if context is None or not is_worker():
        return None
    rank = context.get_world_rank()
    if rank is None:
        return None
    return TrainRanks(
        rank=rank,
        local_rank=context.get_local_rank(),
        world_size=context.get_world_size(),
        node=context.get_node_rank(),
    )


def _trial() -> str | None:
    # Ray 2.43 parted Tune's context from Train's; before, either tells.
    for module in ("ray.tune", "ray.train"):
        context = _context_of(module)
        try:
            if context is not None and (trial := context.get_trial_id()):
                return str(trial)
        except Exception:
            continue  # outside a trial, or Train's new context, some versions raise
    return None


def _context_of(module: str) -> Any:
    loaded = sys.modules.get(module)
    if loaded is None or _running() is None or not hasattr(loaded, "get_context"):
        return None
    return loaded.get_context()


def _running() -> Any:
    """Ray, where it is initialised here; not a client, whose answers would cross the network."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    client = sys.modules.get("ray.util.client")
    return None if client and client.ray.is_connected() else ray
