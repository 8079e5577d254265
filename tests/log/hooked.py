"""A store in memory that counts what is asked of it, and calls back before each verb."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from eventlog.backend import Entry, Range
from eventlog.log.create import ensure_log
from eventlog_backends.memory import MemoryBackend

Hook = Callable[[str, str], None]


class Hooked(MemoryBackend):
    """Calls ``hook(verb, key)`` first. The hook may use the store: it is not called then."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []
        self.hook: Hook | None = None

    @property
    def counts(self) -> Counter[str]:
        return Counter(verb for verb, _ in self.asked)

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self._before("get", key)
        return super().get(key, start, end)

    def get_many(self, ranges: Iterable[Range]) -> list[bytes]:
        found = []
        for key, start, end in ranges:
            self._before("get_many", key)
            found.append(super().get(key, start, end))
        return found

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        self._before("list", prefix)
        return super().list(prefix, start_after)

    def put_new(self, key: str, data: bytes) -> None:
        self._before("put_new", key)
        super().put_new(key, data)

    def delete(self, keys: Sequence[str]) -> None:
        self._before("delete", ",".join(keys))
        super().delete(keys)

    def replace(self, key: str, data: bytes) -> None:
        """What only damage or a forger does."""
        super().delete([key])
        super().put_new(key, data)

    def _before(self, verb: str, key: str) -> None:
        self.asked.append((verb, key))
        hook, self.hook = self.hook, None
        if hook is not None:
            try:
                hook(verb, key)
            finally:
                self.hook = self.hook or hook


def hooked_log() -> Hooked:
    """An empty log."""
    backend = Hooked()
    ensure_log(backend)
    backend.asked.clear()
    return backend
