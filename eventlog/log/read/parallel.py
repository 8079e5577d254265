"""The same work on many things at once, where it lets go of the GIL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_threads(work: Callable[..., T], *arguments: Iterable[object]) -> list[T]:
    """``list(map(work, *arguments))``, on as many threads as there are cores.

    No thread outlives the call: a child that is forked later would wait for it for ever.
    """
    try:
        with ThreadPoolExecutor(_cores()) as pool:
            running = [pool.submit(work, *each) for each in zip(*arguments, strict=True)]
    except RuntimeError:  # the interpreter is ending and starts no threads any more
        return list(map(work, *arguments))
    return [each.result() for each in running]


def _cores() -> int:
    """How many cores this process may use, which in a container are fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
