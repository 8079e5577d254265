"""wandb, offline."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from tests.benchmarks import child
from tests.benchmarks.children.subject import Run, Subject

HEADER_BYTES = 7  # of the file, and of each record
BLOCK_BYTES = 32_768  # the file is a LevelDB log: a record is split where a block ends
FULL, FIRST, LAST = 1, 2, 4


def _records(path: Path) -> Iterator[bytes]:
    """The records of a .wandb file, up to the first one that is cut off."""
    data, at, whole = path.read_bytes(), HEADER_BYTES, b""
    while at + HEADER_BYTES <= len(data):
        left = BLOCK_BYTES - at % BLOCK_BYTES
        if left < HEADER_BYTES:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        end = at + HEADER_BYTES + length
        if kind == 0 or end > len(data):
            return
        chunk = data[at + HEADER_BYTES : end]
        whole = chunk if kind in (FULL, FIRST) else whole + chunk
        if kind in (FULL, LAST):
            yield whole
        at = end


class Wandb(Subject):
    """A folder for each run; the steps are read from the file that ``wandb sync`` would send."""

    modules = ("wandb", "wandb.proto.wandb_internal_pb2")

    def start(
        self,
        root: str,
        name: str,
        params: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        folder = Path(root, name)
        folder.mkdir(parents=True, exist_ok=True)
        run = import_module("wandb").init(
            project="benchmark",
            name=name,
            config=dict(params or {}),
            tags=[f"{key}={value}" for key, value in (tags or {}).items()],
            dir=str(folder),
            mode="offline",
        )
        # Its steps may only grow from 0 on: the warm-up's negative ones are moved up.
        moved = child.WARM_UP_CALLS if name == "scalar" else 0
        return Run(
            scalar=lambda value, step: run.log(
                {"loss": value}, step=step + moved if step >= 0 else -1 - step
            ),
            row=lambda row, step: run.log(dict(row), step=step),
            close=run.finish,
        )

    def steps(self, root: str, name: str) -> Sequence[int]:
        record_class = import_module("wandb.proto.wandb_internal_pb2").Record
        return [
            record.history.step.num
            for path in Path(root, name).rglob("*.wandb")
            for record in map(record_class.FromString, _records(path))
            if record.HasField("history")
        ]

    def stored_bytes(self, root: str) -> int:
        return sum(path.stat().st_size for path in Path(root).rglob("*.wandb"))


if __name__ == "__main__":
    Wandb().main()
