"""A deadline for calls that have none of their own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def within(deadline_s: float, call: Callable[[], T]) -> T:
    """The call's result, or `TimeoutError`; then the call is left behind on its thread."""
    results: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def work() -> None:
        try:
            results.put((True, call()))
        except BaseException as e:
            results.put((False, e))

    try:
        # A daemon: the interpreter's end must not wait for a server that is silent.
        threading.Thread(target=work, name="eventlog-call", daemon=True).start()
    except RuntimeError:
        return call()  # no thread starts while the interpreter shuts down
    try:
        done, result = results.get(timeout=deadline_s)
    except queue.Empty:
        raise TimeoutError(f"no answer within {deadline_s:g} s") from None
    if not done:
        raise result
    answer: T = result
    return answer
