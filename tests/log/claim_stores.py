"""Stores for tests of claims and copies: one in memory that can be told to fail."""

from __future__ import annotations

from collections.abc import Callable

from eventlog.errors import BackendError, Unavailable
from eventlog.event import Event
from eventlog.log.claim import Claim
from eventlog_backends.memory import MemoryBackend

BIG = b'"' + b"x" * 70_000 + b'"'  # a payload that is too long for its event: it becomes a blob


class LossyBackend(MemoryBackend):
    """A store in memory that fails where ``fails(verb, key)`` says "before" or "after"."""

    def __init__(self, fails: Callable[[str, str], str | None] | None = None) -> None:
        super().__init__()
        self.fails = fails or (lambda _verb, _key: None)
        self.error: type[BackendError] = Unavailable

    def put_new(self, key: str, data: bytes) -> None:
        when = self.fails("put_new", key)
        if when == "before":
            raise self.error("the test lost the request")
        super().put_new(key, data)
        if when == "after":
            raise self.error("the test lost the answer")

    def corrupt(self, key: str, change: Callable[[bytes], bytes]) -> None:
        """Put other bytes in an object's place."""
        data = self.get(key)
        self.delete([key])
        MemoryBackend.put_new(self, key, change(data))


def once(verb: str, when: str, part: str = "") -> Callable[[str, str], str | None]:
    """Fails once: the first time that ``verb`` meets a key with ``part`` in it."""
    left = [when]

    def fails(asked: str, key: str) -> str | None:
        return left.pop() if left and asked == verb and part in key else None

    return fails


def an_event(
    type: str = "alias.set",
    stream: str = "model:resnet",
    *,
    time_us: int = 1_000_000,
    key: str | None = "prod",
    step: int | None = None,
    value: float | None = None,
    data: str | None = '{"version":3}',
) -> Event:
    return Event("", 0, time_us, type, stream, key, step, value, data)


def announced(found: Claim, lane: str, seq: int) -> Event:
    """The announcement of a claim, as it lies in a lane."""
    return found.announcement()._replace(lane=lane, seq=seq)
