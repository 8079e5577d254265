"""Functions on the active run, as MLflow's users type them.

The active run is the innermost that `start_run` began in this context and that has not ended: tasks
and threads each have their own. A thread that began none logs to the one that the process has open,
if there is exactly one. Where there is none, the first thing that is logged begins one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from eventlog.errors import UsageError
from eventlog.tracking.run import Run, Status, Time
from eventlog.tracking.tracker import Tracking

_stack: ContextVar[tuple[Run, ...]] = ContextVar("eventlog_runs", default=())
_begun: list[Run] = []  # by `start_run` in this process, of any context
_lock = threading.RLock()
_default: list[Tracking] = []


def start_run(
    experiment: str | None = None,
    *,
    log: Tracking | None = None,
    nested: bool = False,
    **options: Any,
) -> Run:
    """Begin a run and make it the active one, until it ends.

    Args:
        experiment: as for ``log.run``, as are ``options``: name, params, tags, id, resume …
        log: None is the log of ``eventlog.open()``.
        nested: make it a child of the active run; without it, two at once are refused.

    Example:
        >>> with eventlog.start_run("mnist", params={"lr": 1e-3}):
        ...     eventlog.log_metric("loss", 0.25)
    """
    active = _own()
    if active is not None and not nested:
        raise UsageError(
            f"run {active.name} is active already: end it with eventlog.end_run(), or say "
            "nested=True to make this one a part of it."
        )
    parent = active if nested else None
    run = (log or _log()).run(experiment, parent=parent, **options)
    run.on_end = lambda: _forget(run)
    with _lock:
        _begun.append(run)
    _stack.set((*_stack.get(), run))
    return run


def end_run(status: Status = "FINISHED") -> None:
    """End the active run, if there is one."""
    run = active_run()
    if run is not None:
        run.finish(status)


def active_run() -> Run | None:
    """The run that the functions of this module log to now, or None."""
    own = _own()
    if own is not None:
        return own
    with _lock:
        return _begun[0] if len(_begun) == 1 else None


def _own() -> Run | None:
    """The active run that this context began."""
    return next((run for run in reversed(_stack.get()) if run.status == "RUNNING"), None)


def log_metric(key: str, value: Any, step: int | None = None, time: Time = None) -> None:
    """`Run.log_metric` of the active run."""
    _active().log_metric(key, value, step, time)


def log_metrics(metrics: Mapping[str, Any], step: int | None = None, time: Time = None) -> None:
    """`Run.log` of the active run."""
    _active().log(metrics, step, time)


def log_param(key: str, value: Any) -> None:
    """`Run.log_param` of the active run."""
    _active().log_param(key, value)


def log_params(params: Mapping[str, Any]) -> None:
    """`Run.log_params` of the active run."""
    _active().log_params(params)


def set_tag(key: str, value: Any) -> None:
    """`Run.set_tag` of the active run."""
    _active().set_tag(key, value)


def set_tags(tags: Mapping[str, Any]) -> None:
    """`Run.set_tags` of the active run."""
    _active().set_tags(tags)


def _active() -> Run:
    run = active_run()
    if run is not None:
        return run
    if len(_begun) > 1:
        raise UsageError(
            f"{len(_begun)} runs are open, and this thread began none of them: call the methods of "
            "the run that is meant."
        )
    return start_run()


def _forget(run: Run) -> None:
    with _lock:
        if run in _begun:
            _begun.remove(run)
    _stack.set(tuple(each for each in _stack.get() if each is not run))


def _log() -> Tracking:
    with _lock:
        if not _default or _default[0].closed:
            import eventlog

            _default[:] = [eventlog.open()]
        return _default[0]
