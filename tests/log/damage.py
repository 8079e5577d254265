"""Damaging bytes, bit by bit and cut by cut, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from eventlog.errors import Damage


def flips(raw: bytes, step: int = 1) -> Iterator[bytes]:
    """Every ``step``-th bit of ``raw`` flipped, one at a time."""
    for bit in range(0, len(raw) * 8, step):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << (bit % 8)
        yield bytes(damaged)


def cuts(raw: bytes, step: int = 1) -> Iterator[bytes]:
    """``raw`` cut off at every ``step``-th byte."""
    return (raw[:n] for n in range(0, len(raw), step))


def assert_each_is_named(
    damaged: Iterable[bytes], key: str, read: Callable[[bytes], object]
) -> None:
    """Reading any of the damaged bytes is said to be damage of the object ``key``."""
    for raw in damaged:
        with pytest.raises(Damage) as caught:
            read(raw)
        assert caught.value.key == key
