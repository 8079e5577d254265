"""A store in memory with a clock of its own, which only the test moves."""

from __future__ import annotations

import builtins
import datetime as dt
import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from eventlog.backend import Backend, Entry
from eventlog.errors import Exists, Missing
from eventlog.log.manifest import Format

BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LOG_ID = "simulated"


class SimStore(Backend):
    """A strict store: create-only, consistent listings, times by `now`."""

    late_put_s = 0.0

    def __init__(self, late_put_s: float = 0.0) -> None:
        import msgspec

        self.url = "sim://"
        self.late_put_s = late_put_s
        self.now = BEGIN
        self.objects: dict[str, tuple[bytes, dt.datetime]] = {}
        self.put_new("format.json", msgspec.json.encode(Format(format=1, log_id=LOG_ID)))

    def pass_time(self, seconds: float) -> None:
        """Move the clock."""
        self.now += dt.timedelta(seconds=seconds)

    def put_new(self, key: str, data: bytes) -> None:
        if key in self.objects:
            raise Exists(f"{key} exists")
        self.objects[key] = (bytes(data), self.now)

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if key not in self.objects:
            raise Missing(f"{key} is missing")
        return self.objects[key][0][start:end]

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        keys = sorted(k for k in self.objects if k.startswith(prefix) and k > start_after)
        return iter([Entry(k, len(self.objects[k][0]), self.objects[k][1]) for k in keys])

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def put_blob(self, key: str, source: BinaryIO) -> None:
        self.put_new(key, source.read())

    def open_blob(self, key: str) -> BinaryIO:
        return io.BytesIO(self.get(key))

    def held(self, prefix: str) -> builtins.list[str]:
        """What is stored below a prefix."""
        return [entry.key for entry in self.list(prefix)]
