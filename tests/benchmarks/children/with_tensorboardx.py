"""tensorboardX, writing event files."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks.children.subject import Run, Subject


def _events(folder: Path) -> Iterator[Any]:
    """The events of a folder's files, up to the first record that is cut off."""
    event_class = import_module("tensorboardX.proto.event_pb2").Event
    for path in sorted(folder.glob("events.*")):
        data, at = path.read_bytes(), 0
        while at + 12 <= len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            end = at + 12 + length + 4
            if end > len(data):
                break
            yield event_class.FromString(data[at + 12 : end - 4])
            at = end


class TensorboardX(Subject):
    """Params and tags are texts, a dict is one call a metric; it has no reader of its own."""

    modules = ("tensorboardX", "tensorboardX.proto.event_pb2")

    def start(
        self,
        root: str,
        name: str,
        params: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        writer = import_module("tensorboardX").SummaryWriter(f"{root}/{name}")
        for key, text in {**(params or {}), **(tags or {})}.items():
            writer.add_text(key, str(text))

        def add(row: Mapping[str, float], step: int) -> None:
            for key, value in row.items():
                writer.add_scalar(key, value, step)

        return Run(
            scalar=lambda value, step: writer.add_scalar("loss", value, step),
            row=add,
            close=writer.close,
        )

    def steps(self, root: str, name: str) -> Sequence[int]:
        return [
            event.step
            for event in _events(Path(root, name))
            if any(value.tag == "loss" for value in event.summary.value)
        ]


if __name__ == "__main__":
    TensorboardX().main()
