"""Numbers for streams and keys: what a row of points holds instead of their texts."""

from __future__ import annotations

import itertools
import threading

from eventlog.log.write import facts as ff


class Names:
    """Numbers from 1 up; one table for all lanes of a process.

    Reentrant: a signal handler that logs may come in between any two steps. So a number is taken
    before anything else is done about it, and what becomes of it later does not matter.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._ids: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._texts: tuple[dict[int, str], dict[int, str]] = ({}, {})
        self._counters = (itertools.count(1), itertools.count(1))

    def known(self, kind: int, text: str) -> int | None:
        """The number of a name that has one."""
        return self._ids[kind].get(text)

    def fresh(self, kind: int) -> int:
        """A number that nothing has."""
        return next(self._counters[kind])

    def add(self, kind: int, number: int, text: str) -> int:
        """Let a number mean a text; the number by which the text goes from now on."""
        with self.lock:
            self._texts[kind][number] = text
            return self._ids[kind].setdefault(text, number)

    def records(self) -> bytes:
        """All names, as frames."""
        return b"".join(
            ff.frame([ff.NAME, kind, number, text])
            for kind in (ff.STREAM, ff.KEY)
            for number, text in self.texts(kind).items()
        )

    def texts(self, kind: int) -> dict[int, str]:
        """Number to name."""
        with self.lock:
            return dict(self._texts[kind])
