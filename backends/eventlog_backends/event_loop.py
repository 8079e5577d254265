"""One private event loop a process, on a thread of its own, for stores with an async client.

Blocking code hands it coroutines. A forked child gets a loop of its own: threads do not survive
a fork.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from eventlog.errors import Unavailable

T = TypeVar("T")

_lock = threading.Lock()
_running: asyncio.AbstractEventLoop | None = None
_of_parents: list[object] = []  # kept for ever: closing them would close the parent's connections


class _Threads(concurrent.futures.ThreadPoolExecutor):
    """Looks up host names, also at the interpreter's exit, when no ordinary pool works any more.

    A script that ends without closing its log ships its last events just then.
    """

    def submit(
        self, call: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> concurrent.futures.Future[T]:
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(call(*args, **kwargs))
            except BaseException as e:
                future.set_exception(e)

        try:
            threading.Thread(target=work, name="eventlog-lookup", daemon=True).start()
        except RuntimeError:
            work()  # Python 3.12 and later start no thread then
        return future


def submit(work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Start the coroutine; its result can be waited for from any thread."""
    try:
        return asyncio.run_coroutine_threadsafe(work, running_loop())
    except BaseException:
        work.close()
        raise


def run(work: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result. It must bound its own time; it is cancelled on Ctrl-C."""
    future = submit(work)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def running_loop() -> asyncio.AbstractEventLoop:
    """The process's loop, started by the first caller."""
    global _running
    with _lock:
        if _running is None:
            loop = asyncio.new_event_loop()
            loop.set_default_executor(_Threads(1))
            thread = threading.Thread(target=loop.run_forever, name="eventlog-io", daemon=True)
            try:
                thread.start()
            except RuntimeError as e:  # Python 3.12 and later start none while they shut down
                loop.close()
                raise Unavailable(
                    "The interpreter is shutting down: no connection can be made any more. "
                    "What is not shipped is shipped by whoever opens the log next."
                ) from e
            _running = loop
        return _running


def keep_unused(inherited: object) -> None:
    """Keep what a parent process uses, so that this child never closes it."""
    _of_parents.append(inherited)


def _start_anew() -> None:
    global _lock, _running
    _lock = threading.Lock()
    if _running is not None:
        keep_unused(_running)
    _running = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
