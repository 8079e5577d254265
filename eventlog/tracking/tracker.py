"""A log that training code writes runs to."""

from __future__ import annotations

import getpass
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from eventlog.backend import Backend
from eventlog.errors import BackendError, EventlogError, UsageError
from eventlog.event import check_name, shown
from eventlog.log.log import Log
from eventlog.log.write.options import Options
from eventlog.tracking import ending, experiments
from eventlog.tracking.events import RunCreated, RunResumed
from eventlog.tracking.ids import new_id, new_name
from eventlog.tracking.run import Run

logger = logging.getLogger("eventlog")

DEFAULT_EXPERIMENT = "default"
RUN_ID = "EVENTLOG_RUN_ID"  # in the environment: the run that a rank joins
KNOWN_S = 5.0  # for so long an experiment's name is not looked up again
RETRY_S = (0.5, 30.0)
CLOSE_WAIT_S = 10.0


class Tracking(Log):
    """A `Log` with runs and experiments."""

    def __init__(self, backend: Backend, options: Options | None = None) -> None:
        super().__init__(backend, options)
        self._names = _Names(self)

    def __enter__(self) -> Tracking:
        self._refuse_closed()
        return self

    def run(
        self,
        experiment: str | None = None,
        *,
        name: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        parent: Run | str | None = None,
        id: str | None = None,
        resume: bool = False,
    ) -> Run:
        """Begin a run, or go on with one.

        Args:
            experiment: the name of the experiment, which is made if there is none; None is
                "default", or the parent's.
            name: for people; None makes one up.
            params, tags: as for `Run.log_params` and `Run.set_tags`.
            parent: the run that this one is a part of.
            id: the identity of the new run, or of the one to go on with; None makes one up, or
                takes ``$EVENTLOG_RUN_ID``: several processes that share it write one run.
            resume: go on with the run ``id``.

        Raises:
            UsageError: arguments that cannot be kept, or no such run to go on with.
        """
        joined = os.environ.get(RUN_ID) if id is None and parent is None else None
        if resume and id is None:
            raise UsageError("resume=True needs the id of the run to go on with.")
        if resume and id is not None:
            run = self._resumed(id)
        elif joined:
            run = self._joined(joined, experiment, name)
        else:
            run = self._begun(id, experiment, name, parent)
        if params:
            run.log_params(params)
        if tags:
            run.set_tags(tags)
        return run

    def _begun(
        self, id: str | None, experiment: str | None, name: str | None, parent: Run | str | None
    ) -> Run:
        if experiment is None:
            experiment = parent.experiment if isinstance(parent, Run) else DEFAULT_EXPERIMENT
        check_name("experiment", experiment)
        run_id = new_id() if id is None else _checked_id(id)
        name = new_name() if name is None else name
        check_name("name", name)
        found = self._names.known(experiment)
        created = RunCreated(
            name=name,
            experiment=experiment,
            experiment_id=found,
            parent_id=parent.id if isinstance(parent, Run) else parent,
            user=_user(),
            source=_source(),
        )
        self.append("run.created", f"run:{run_id}", data=created)
        if found is None:
            self._names.bind(experiment, run_id)
        logger.info("run %s of %s is logged to %s", name, experiment, self.url)
        return Run(self, run_id, name, experiment)

    def _resumed(self, run_id: str) -> Run:
        try:
            created = self._created(_checked_id(run_id))
        except BackendError as error:  # an outage stops no training
            logger.warning("whether there is a run %s cannot be seen now: %s", run_id, error)
            created = RunCreated(name=run_id, experiment=DEFAULT_EXPERIMENT)
        if created is None:
            raise UsageError(f"{self.url} holds no run {run_id!r} to go on with.")
        self.append("run.resumed", f"run:{run_id}", data=RunResumed())
        return Run(self, run_id, created.name, created.experiment)

    def _joined(self, run_id: str, experiment: str | None, name: str | None) -> Run:
        """One of several processes that write a run; whoever of them comes first."""
        self.append("run.resumed", f"run:{_checked_id(run_id)}", data=RunResumed(joined=True))
        return Run(self, run_id, name or run_id, experiment or DEFAULT_EXPERIMENT)

    def _created(self, run_id: str) -> RunCreated | None:
        """How a run began, or None where there is no such run."""
        import polars as pl

        mine = (pl.col("stream") == f"run:{run_id}") & (pl.col("type") == "run.created")
        found = self.events().filter(mine).select("data").collect()["data"].to_list()
        return msgspec.json.decode(found[0], type=RunCreated) if found else None

    def close(self, timeout_s: float = 30.0) -> None:
        """End the runs that are still open, then as `Log.close`."""
        if not self._closed:
            ending.end_runs_of(self)
            self._names.finish(min(timeout_s, CLOSE_WAIT_S))
        super().close(timeout_s)


class _Names:
    """Which experiment has which name.

    On a local disk it is looked up, or claimed, at once. Elsewhere that may take long or fail, and
    no training waits for it: the run carries the name, and a thread says the rest later.
    """

    def __init__(self, log: Tracking) -> None:
        self._log = log
        self._forget_parent()

    def _forget_parent(self) -> None:
        """As at first; in a forked child the parent's thread is not there, nor its runs ours."""
        self._pid = os.getpid()
        self._known: dict[str, tuple[str, float]] = {}
        self._waiting: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def known(self, name: str) -> str | None:
        """The experiment's id; None where that is not known yet."""
        found, near = self._known.get(name), self._is_near()
        if found is not None and (time.monotonic() - found[1] < KNOWN_S or not near):
            return found[0]
        if not near:
            return None
        self._log.prepare()
        return self._learn(name)

    def _is_near(self) -> bool:
        return self._log.backend.local_root is not None or self._log.backend.volatile

    def _learn(self, name: str) -> str:
        found = experiments.id_of(self._log, name)
        self._known[name] = found, time.monotonic()
        return found

    def bind(self, name: str, run_id: str) -> None:
        """Say later which experiment the run belongs to."""
        if self._pid != os.getpid():
            self._forget_parent()
        with self._lock:
            self._waiting.setdefault(name, []).append(run_id)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._work, name="eventlog-names", daemon=True
                )
                self._thread.start()

    def _work(self) -> None:
        pause_s = RETRY_S[0]
        while self._waiting and not self._stop.is_set():
            try:
                self._bind_all()
                pause_s = RETRY_S[0]
            except EventlogError as error:
                logger.debug("experiment names cannot be claimed now: %s", error)
                self._stop.wait(pause_s)
                pause_s = min(2 * pause_s, RETRY_S[1])

    def _bind_all(self) -> None:
        self._log.prepare()
        for name in list(self._waiting):
            found = self._learn(name)
            with self._lock:
                runs = self._waiting.pop(name, [])
            for run_id in runs:
                moved = {"experiment": name, "experiment_id": found}
                self._log.append("run.moved", f"run:{run_id}", data=moved)

    def finish(self, timeout_s: float) -> None:
        """Wait for what is under way. What is not said then, the name says."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        self._stop.set()


def _checked_id(run_id: str) -> str:
    check_name("id", run_id)
    if ":" in run_id or "/" in run_id or run_id.strip() != run_id:
        raise UsageError(f"a run's id must be a plain word, not {shown(run_id)}.")
    return run_id


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return ""


def _source() -> str:
    script = sys.argv[0] if sys.argv else ""
    return Path(script).name if script not in ("", "-c", "-m") else ""
