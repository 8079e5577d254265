"""A process that follows the log and checks what it sees.

``python -m tests.crash.tailer URL STATE``. It stores the position with what it has seen of each
lane, in one step, so that it too may be killed at any moment: what it is given after a restart must
go on exactly there.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import eventlog

if TYPE_CHECKING:
    import pyarrow as pa


class State(msgspec.Struct):
    """How far a follower has come.

    Attributes:
        seen: for each lane, how many of its events came.
        problems: what was out of order, missing or there twice.
    """

    position: eventlog.Position | None = None
    seen: dict[str, int] = {}
    problems: list[str] = []


def load(path: Path) -> State:
    """The state that a follower left, or a new one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()


def store(path: Path, state: State) -> None:
    """Replace the stored state in one step."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(msgspec.json.encode(state))
    os.rename(draft, path)


def check(state: State, table: pa.Table) -> None:
    """Each lane's events must go on where those before ended, without a gap."""
    import polars as pl

    frame = pl.DataFrame(pl.from_arrow(table.select(["lane", "seq"])))
    for (lane,), part in frame.group_by("lane", maintain_order=True):
        due = state.seen.get(str(lane), 0)
        seqs = part["seq"]
        if seqs.to_list() != list(range(due, due + len(seqs))):
            state.problems.append(
                f"{lane}: {len(seqs)} events from {seqs[0]} to {seqs[-1]} came where {due} was due"
            )
        state.seen[str(lane)] = due + len(seqs)


def main() -> None:
    from eventlog.log.read.tail import tail

    logging.basicConfig(level=logging.ERROR)
    url, place = sys.argv[1:]
    path = Path(place)
    state = load(path)
    log = eventlog.open(url)
    log.prepare()
    for table, position in tail(log.reader(), state.position, poll_s=0.05, idle_s=0.5):
        check(state, table)
        state.position = position
        store(path, state)


if __name__ == "__main__":
    main()
