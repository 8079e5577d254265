"""Whose an experiment's name is: claims, so that of all who want it at once one gets it.

A name belongs to the experiment whose ``experiment_name.taken`` is the last claim of its chain, or
to nobody after an ``experiment_name.freed``.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from eventlog.errors import UsageError, VersionConflict
from eventlog.log import claim
from eventlog.log.log import Log
from eventlog.tracking.ids import new_id

TAKEN, FREED = "experiment_name.taken", "experiment_name.freed"
TRIES = 16


class Owner(NamedTuple):
    """Who has a name now.

    Attributes:
        experiment_id: None for nobody.
        version: how many claims the name's chain has.
    """

    experiment_id: str | None
    version: int


def name_stream(name: str) -> str:
    """The stream whose claims say whose the name is."""
    return f"experiment_name:{name}"


def owner_of(log: Log, name: str) -> Owner:
    """Who has the name now, by the store."""
    chain = claim.chain_of(name_stream(name))
    version = claim.length(log.backend, chain)
    if not version:
        return Owner(None, 0)
    [last] = claim.read(log.backend, chain, [version - 1])
    payload = msgspec.json.decode(last.event.data or "{}")
    return Owner(payload["experiment_id"] if last.event.type == TAKEN else None, version)


def take(log: Log, name: str, experiment_id: str) -> str:
    """Take a name, or learn who has it: the id of the experiment that it belongs to now."""
    for _ in range(TRIES):
        owner = owner_of(log, name)
        if owner.experiment_id is not None:
            return owner.experiment_id
        try:
            log.append(
                TAKEN,
                name_stream(name),
                data={"experiment_id": experiment_id},
                expected_version=owner.version,
            )
            return experiment_id
        except VersionConflict:  # somebody else did
            continue
    raise UsageError(f"the experiment name {name!r} changes hands faster than it can be taken.")


def free(log: Log, name: str, experiment_id: str) -> None:
    """Give a name up, if it is still this experiment's."""
    for _ in range(TRIES):
        owner = owner_of(log, name)
        if owner.experiment_id != experiment_id:
            return
        try:
            log.append(
                FREED,
                name_stream(name),
                data={"experiment_id": experiment_id},
                expected_version=owner.version,
            )
            return
        except VersionConflict:
            continue


def id_of(log: Log, name: str) -> str:
    """The id of the experiment of that name, which is made if there is none."""
    owner = owner_of(log, name)
    if owner.experiment_id is not None:
        return owner.experiment_id
    fresh = new_id()
    found = take(log, name, fresh)
    if found == fresh:
        log.append("experiment.created", f"experiment:{fresh}", data={"name": name})
    return found
