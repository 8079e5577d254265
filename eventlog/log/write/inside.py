"""Which threads are inside a function that takes a row and fills it.

A row that was taken and is empty is void once nobody who might still fill it is inside. No limit of
time can tell that: a thread may sleep between the two steps for as long as the machine likes.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import CodeType, FrameType

_WRITING: set[CodeType] = set()


def writing(function: Callable[..., object]) -> None:
    """Say that ``function`` (and every closure of the same code) takes rows and fills them."""
    _WRITING.add(function.__code__)


def frames_inside(*, but: int | None = None) -> list[FrameType]:
    """The frames of all threads (``but`` one) that are inside a writing function now."""
    found = []
    for thread, frame in sys._current_frames().items():
        at: FrameType | None = frame
        while at is not None and thread != but:
            if at.f_code in _WRITING:
                found.append(at)
            at = at.f_back
    return found


def wait_for_others() -> None:
    """Wait until every other thread that is inside a writing function now has left it."""
    this = threading.get_ident()
    inside = frames_inside(but=this)
    while inside:
        time.sleep(0.001)
        now = {id(frame) for frame in frames_inside(but=this)}
        inside = [frame for frame in inside if id(frame) in now]


def inside_here() -> bool:
    """Whether this is a signal handler that came while its thread was inside a writing function."""
    at: FrameType | None = sys._getframe()
    while at is not None and at.f_code not in _WRITING:
        at = at.f_back
    return at is not None
