"""A bar for work that takes more than a second, on a terminal's standard error only."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from eventlog.log.progress import Progress, silent

if TYPE_CHECKING:
    import rich.progress

PATIENCE_S = 1.0


class _Bar:
    """Told how far work has come from any thread; shows it once patience is up."""

    def __init__(self, what: str) -> None:
        self._last = (what, 0, 0)
        self._lock = threading.Lock()
        self._shown: rich.progress.Progress | None = None
        self._task: rich.progress.TaskID | None = None

    def tell(self, what: str, done: int, total: int) -> None:
        with self._lock:
            self._last = what, done, total
            if self._shown is not None and self._task is not None:
                self._shown.update(
                    self._task,
                    description=_counted(what, done, total),
                    completed=min(done, total),
                    total=total or None,
                )

    def show(self) -> None:
        from rich.console import Console
        from rich.progress import Progress as Rich

        with self._lock:
            what, done, total = self._last
            self._shown = Rich(console=Console(stderr=True), transient=True)
            counted = _counted(what, done, total)
            self._task = self._shown.add_task(counted, completed=done, total=total or None)
            self._shown.start()

    def stop(self) -> None:
        with self._lock:
            if self._shown is not None:
                self._shown.stop()


def _counted(what: str, done: int, total: int) -> str:
    """What is being done; how much of it is, where no bar can show that."""
    return f"{what}: {done:,}" if done and not total else what


@contextlib.contextmanager
def progress(what: str) -> Iterator[Progress]:
    """Give the work something to tell its progress to."""
    if not sys.stderr.isatty():
        yield silent
        return
    bar = _Bar(what)
    timer = threading.Timer(PATIENCE_S, bar.show)
    timer.daemon = True
    timer.start()
    try:
        yield bar.tell
    finally:
        timer.cancel()
        timer.join()  # it may just be showing
        bar.stop()
