"""The one background thread of a writer: durable every 100 ms, in the store every second or so.

It is the only thread that talks to the store for the writer, so an outage stops nobody. It warns
once a minute while something fails, and goes on trying.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from eventlog.errors import Denied, EventlogError, NotCreateOnly, SpoolError, Unavailable
from eventlog.log.write import warned

if TYPE_CHECKING:
    from eventlog.log.write.ship import Shipper

logger = logging.getLogger("eventlog")

TICK_S = 0.1
BIG_ROWS = 65_536
BIG_FACT_BYTES = 4 * 1024 * 1024
RETRY_S = (0.5, 15.0)
FLIGHT_S = 0.005
SAY_AFTER_S = 1.0  # that somebody who ends the lane has waited
LOOK_S = 1.0  # between two looks whether the thread is alive


class Daemon(threading.Thread):
    """Syncs and ships one spool until told to stop.

    Args:
        shipper: the spool's way into the store.
        ship_s: (first, longest) seconds between two shipments; the pause doubles while events
            keep coming.
        prepare: called before the first shipment (makes the log); may raise, and is tried again.
            None where that was done.
        every_tick: called each tick (retries what a full disk refused).
        after_ship: called when something has landed.
    """

    def __init__(
        self,
        shipper: Shipper,
        ship_s: tuple[float, float],
        *,
        prepare: Callable[[], None] | None,
        every_tick: Callable[[], None],
        after_ship: Callable[[], None],
    ) -> None:
        super().__init__(name=f"eventlog-{shipper.spool.lane}", daemon=True)
        self._shipper, self._ship_s = shipper, ship_s
        self._prepare, self._every_tick, self._after_ship = prepare, every_tick, after_ship
        self._state = threading.Condition()
        self._asked = self._served = 0
        self._final = self._stopped = self._ended = False
        self._then: Callable[[], None] = lambda: None
        self._failure: BaseException | None = None
        self._failures = 0
        self._next_try = 0.0
        self._pause = ship_s[0]
        self._shipped_at = time.monotonic()

    def ship_now(self, timeout_s: float, *, final: bool = False) -> None:
        """Ship everything that is there by now; raises the store's error once time is up.

        ``final`` ends the lane and the thread with it. `Denied` does not pass, and is raised at
        once.
        """
        deadline = time.monotonic() + timeout_s
        with self._state:
            self._final = self._final or final
            self._asked += 1
            asked, self._failure, self._next_try = self._asked, None, 0.0
            self._state.notify_all()
            say_at = time.monotonic() + SAY_AFTER_S if final else math.inf
            while self._served < asked and self.is_alive():
                now = time.monotonic()
                left = deadline - now
                if left <= 0 or isinstance(self._failure, Denied):
                    break
                if now >= say_at:
                    say_at = math.inf
                    self._say_waiting(left)
                self._state.wait(min(left, say_at - now, LOOK_S))
            if self._served >= asked:
                return
            failure = self._failure
        raise failure or Unavailable(
            f"{self._shipper.backend.url} took none of the events within {timeout_s:g} s; "
            "they are safe in the spool and will be shipped by the next process that opens the log."
        )

    def _say_waiting(self, left_s: float) -> None:
        """Somebody looks at a script that is done and does not end."""
        logger.warning(
            "waiting up to %.0f s for %s to take the last events. They are safe in %s: Ctrl-C "
            "leaves them to the next process that uses the log, or to `eventlog sync`.",
            left_s,
            self._shipper.backend.url,
            self._shipper.spool.directory,
        )

    def stop(self, then: Callable[[], None] = lambda: None) -> None:
        """End the thread without another shipment, and call ``then`` when it has ended."""
        with self._state:
            self._stopped = True
            self._state.notify_all()
            if not self._ended:
                self._then = then
                return
        then()

    def run(self) -> None:
        """The thread's life."""
        try:
            self._loop()
        finally:
            with self._state:
                self._ended = True
            self._then()

    def _loop(self) -> None:
        while not self._stopped:
            with self._state:
                if self._asked == self._served or time.monotonic() < self._next_try:
                    self._state.wait(TICK_S)
                # In one look: who asks for the end must be the one that is told of it.
                asked, final = self._asked, self._final
            self._guarded(self._tick, asked, final)
            if final and self._shipper.ended and self._shipper.pending is None:
                return

    def _tick(self, asked: int, final: bool) -> None:
        self._every_tick()
        now = time.monotonic()
        due = now >= self._next_try and (asked > self._served or self._due(now))
        encodes = due and self._prepare is None and self._shipper.pending is None
        spool = self._shipper.spool
        if not encodes and spool.end() != spool.durable:  # encoding syncs by itself
            spool.sync()
        if not due:
            return
        if self._prepare is not None:
            self._prepare()
            self._prepare = None
        whole = self._shipper.ship(final=final)
        self._succeeded(asked if whole else self._served)
        self._after_ship()
        if asked > self._served:
            self._wait_for_flight()

    def _wait_for_flight(self) -> None:
        """A thread is in the middle of logging a point. That takes it no time, as a rule."""
        with self._state:
            self._failure = SpoolError(
                "a thread is stopped in the middle of logging a point, and what came after it has "
                "to wait. Let that thread run, then flush again."
            )
        time.sleep(FLIGHT_S)

    def _due(self, now: float) -> bool:
        since, end = self._shipper.since, self._shipper.spool.end()
        if self._shipper.pending is None and end == since:
            if now - self._shipped_at > self._ship_s[1]:
                self._pause = self._ship_s[0]
            return False
        rows = end.row - since.row
        facts = end.fact_byte - (since.fact_byte if end.fact_file == since.fact_file else 0)
        return now - self._shipped_at >= self._pause or rows >= BIG_ROWS or facts >= BIG_FACT_BYTES

    def _succeeded(self, asked: int) -> None:
        self._shipped_at = time.monotonic()
        self._pause = min(self._pause * 2, self._ship_s[1])
        with self._state:
            if self._failures:
                logger.warning("%s answers again and takes what waited", self._shipper.backend.url)
            self._served, self._failures, self._failure = asked, 0, None
            self._state.notify_all()

    def _guarded(self, work: Callable[[int, bool], None], asked: int, final: bool) -> None:
        try:
            work(asked, final)
        except Exception as error:
            with self._state:
                self._failure = error
                self._failures += 1
                wait = min(RETRY_S[0] * 2 ** min(self._failures - 1, 10), RETRY_S[1])
                self._next_try = time.monotonic() + wait
                self._state.notify_all()
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        url = self._shipper.backend.url
        if not warned.due(f"away {url}"):  # of all writers to the store one says it
            return
        expected = isinstance(error, EventlogError | OSError)
        logger.warning(
            "events cannot be shipped to %s now: %s. They are kept in %s. %s",
            url,
            str(error).rstrip(".") or type(error).__name__,
            self._shipper.spool.directory,
            _what_to_do(error),
            exc_info=None if expected else error,
        )


def _what_to_do(error: Exception) -> str:
    """What the user has to do for events that wait, and what becomes of them then."""
    if isinstance(error, Unavailable):
        return "Nothing has to be done: they are sent when it answers."
    if isinstance(error, Denied):
        return (
            "It is tried again until this process ends. Where it needs other credentials, they are "
            "sent by the next process that uses the log with them, or by `eventlog sync`."
        )
    if isinstance(error, NotCreateOnly):
        return "They are not sent: open the log in a store that can hold one, and log there."
    if isinstance(error, EventlogError | OSError):
        return "They are sent once that is put right."
    return "It is tried again; please report this with the lines below."
