"""A run: one training, and everything that is logged of it."""

from __future__ import annotations

import datetime as dt
import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from eventlog.errors import UsageError
from eventlog.event import check_int64, shown
from eventlog.tracking import ending
from eventlog.tracking.events import MetricRewound, RunFinished
from eventlog.tracking.meters import Meters, as_times_us, as_us
from eventlog.tracking.params import flat, param, plain_value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from eventlog.tracking.tracker import Tracking

Status = Literal["FINISHED", "FAILED", "KILLED"]
Time = dt.datetime | float | None
ENDS = ("FINISHED", "FAILED", "KILLED")

logger = logging.getLogger("eventlog")


class Run:
    """One run. Made by ``log.run(…)``; use it as a context manager, or call `finish`.

    Leaving the ``with`` block ends the run: FINISHED, FAILED after an exception (whose traceback is
    kept), KILLED after Ctrl-C or SIGTERM. A run that nobody ends is ended when its log is closed.

    Attributes:
        id: 32 hex digits.
        name: for people; need not be unique.
        experiment: the experiment's name when the run began.
        status: RUNNING, or how it ended.
        on_end: called when it has ended.

    Example:
        >>> with log.run("mnist", params={"lr": 1e-3}) as run:
        ...     for step in range(1000):
        ...         run.log({"loss": 1 / (step + 1)}, step=step)
    """

    def __init__(self, log: Tracking, id: str, name: str, experiment: str) -> None:
        self.id, self.name, self.experiment = id, name, experiment
        self.status = "RUNNING"
        self._log = log
        self._stream = f"run:{id}"
        self._meters = Meters(log, self._stream)
        self._warned = False
        self.on_end: Callable[[], None] | None = None
        ending.watch(self)

    def __repr__(self) -> str:
        return f"<eventlog.Run {self.name!r} {self.id} of {self.experiment!r}, {self.status}>"

    # -- metrics -------------------------------------------------------------------------------

    def log(self, metrics: Mapping[str, Any], step: int | None = None, time: Time = None) -> None:
        """Log one point of each of some metrics.

        Args:
            metrics: name to number. Numbers are whatever ``float()`` takes, but strings: of Python,
                numpy, torch (a tensor with one element) … NaN and ±Inf are kept. None is left out.
                Mappings in it are flattened: ``{"train": {"loss": 1}}`` is ``train/loss``.
            step: any whole number; steps may come in any order. None counts on from the largest
                step so far, of each metric by itself.
            time: a datetime (naive is UTC) or seconds since 1970; None is now.

        Raises:
            UsageError: something is no number; then nothing of this call was logged.
        """
        self._check_running()
        self._meters.many(metrics, step, as_us(time))

    log_metrics = log

    def log_metric(self, key: str, value: Any, step: int | None = None, time: Time = None) -> None:
        """Log one point of one metric; arguments as for `log`."""
        if self.status != "RUNNING":
            self._check_running()
        self._meters.one(key, value, step, None if time is None else as_us(time))

    def log_series(
        self,
        key: str,
        steps: ArrayLike,
        values: ArrayLike,
        times: Sequence[dt.datetime | float] | None = None,
    ) -> None:
        """Log arrays of one metric: a million points in one call.

        Args:
            steps: shape (n,), whole numbers.
            values: shape (n,), numbers.
            times: n of what `log` takes as ``time``; None is now.
        """
        self._check_running()
        self._meters.series(key, steps, values, as_times_us(times))

    def rewind(self, to_step: int) -> None:
        """Forget the points beyond a step: for a training that goes on from an older checkpoint.

        What comes after this call counts, whatever its step. Nothing is deleted: the log as it was
        before can still be asked for.
        """
        self._check_running()
        step = check_int64("to_step", to_step)
        self._append("metric.rewound", data=MetricRewound(step))

    # -- params and tags -------------------------------------------------------------------------

    def log_param(self, key: str, value: Any) -> None:
        """Log one param; a mapping becomes one param for each of its leaves (``opt.lr``).

        Params keep their types. Logged again, the last value counts, and both are in the history.
        """
        self.log_params({key: value})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params, nested as they may be; see `log_param`."""
        self._check_running()
        found = list(flat(params))  # all are checked before any is logged
        for each in found:
            self._append("param.set", key=each.key, data=each.data, value=each.number)

    def set_tag(self, key: str, value: Any) -> None:
        """Set one tag; the last value counts. None removes it."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; see `set_tag`."""
        found = [(key, plain_value(value, f"tag {shown(key)}")) for key, value in tags.items()]
        for key, value in found:
            if value is None:
                self._append("tag.removed", key=key)
            else:
                each = param(key, value)
                self._append("tag.set", key=key, data=each.data, value=each.number)

    def rename(self, name: str) -> None:
        """Call the run something else."""
        self._append("run.named", data={"name": name})
        self.name = name

    def log_output(self, text: str, stream: str = "stdout") -> None:
        """Keep text that the run has printed.

        Args:
            stream: "stdout" or "stderr".
        """
        if stream not in ("stdout", "stderr"):
            raise UsageError(f"stream must be 'stdout' or 'stderr', not {shown(stream)}.")
        self._append("output.written", key=stream, data=text)

    # -- its life --------------------------------------------------------------------------------

    def child(self, name: str | None = None, **options: Any) -> Run:
        """A run that is a part of this one, in the same experiment; options as for ``log.run``."""
        return self._log.run(self.experiment, name=name, parent=self.id, **options)

    def finish(self, status: Status = "FINISHED", error: str = "") -> None:
        """End the run. Ending it again changes nothing.

        Args:
            status: "FINISHED", "FAILED" or "KILLED".
            error: what stopped it: a traceback.
        """
        if status not in ENDS:
            raise UsageError(f"status must be one of {', '.join(ENDS)}, not {shown(status)}.")
        if self.status != "RUNNING":
            if self.status != status:
                logger.warning(
                    "run %s ended %s already and stays so: %s is not kept",
                    self.name,
                    self.status,
                    status,
                )
            return
        self._append("run.finished", data=RunFinished(status, error))
        self.status = status
        ending.forget(self)
        if self.on_end is not None:
            self.on_end()

    def flush(self, remote: bool = False) -> None:
        """As `Log.flush`: what was logged survives power loss; with ``remote``, this machine's."""
        self._log.flush(remote=remote)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.status != "RUNNING":
            return
        if error is None or (isinstance(error, SystemExit) and not error.code):
            self.finish()
        elif isinstance(error, KeyboardInterrupt):
            self.finish("KILLED")
        else:
            self.finish("FAILED", "".join(traceback.format_exception(error)))

    def _append(self, type_: str, **fields: Any) -> None:
        self._log.append(type_, self._stream, **fields)

    def _check_running(self) -> None:
        """Say once that something is logged to a run that has ended. It is kept all the same."""
        if self.status == "RUNNING" or self._warned:
            return
        self._warned = True
        logger.warning(
            "run %s has ended (%s), and something is still logged to it; it is kept. "
            "`log.run(id=%r, resume=True)` goes on with a run.",
            self.name,
            self.status,
            self.id,
        )
