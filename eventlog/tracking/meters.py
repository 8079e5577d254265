"""The metrics of one run: prepared handles, made when a key is first logged."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eventlog.errors import UsageError
from eventlog.event import check_int64, shown
from eventlog.log.log import Log
from eventlog.log.write.handles import PointHandle

SEPARATOR = "/"


def as_us(time: dt.datetime | float | None) -> int | None:
    """A datetime (naive means UTC), or seconds since 1970, in microseconds since 1970."""
    if time is None:
        return None
    if isinstance(time, dt.datetime):
        at = time if time.tzinfo is not None else time.replace(tzinfo=dt.UTC)
        return int((at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(microseconds=1))
    if isinstance(time, bool) or not isinstance(time, int | float):
        raise UsageError(f"time must be a datetime or seconds since 1970, not {shown(time)}.")
    return round(time * 1e6)


class _Group:
    """Metrics that come together: one call for all of them."""

    def __init__(self, points: PointHandle) -> None:
        self.points = points
        self.next_step = 0


class Meters:
    """Logs the metrics of one run.

    A step that is left out is one more than the largest that this process logged of the key, and 0
    at first. A value of None is none, and is left out. Mappings within a mapping are flattened:
    ``{"train": {"loss": 1}}`` is ``train/loss``.
    """

    def __init__(self, log: Log, stream: str) -> None:
        self._log, self._stream = log, stream
        self._points: dict[str, PointHandle] = {}
        self._next_step: dict[str, int] = {}
        self._groups: dict[tuple[str, ...], _Group] = {}
        self._groups_of: dict[str, list[_Group]] = {}

    def one(self, key: str, value: Any, step: Any, time_us: int | None) -> None:
        """One point."""
        if value is None:
            return
        point = self._points.get(key)
        if point is None:
            point = self._points[key] = self._log.points(self._stream, key)
        if step is None:
            step = self._next(key)
        point(value, step, time_us)
        if step >= self._next_step.get(key, 0):
            self._next_step[key] = int(step) + 1

    def many(self, metrics: Mapping[str, Any], step: Any, time_us: int | None) -> None:
        """One point of each metric; they are kept together, or refused together."""
        keys = tuple(metrics)
        group = self._groups.get(keys)
        if group is None or step is None:
            self._carefully(metrics, step, time_us)
            return
        try:
            group.points(list(metrics.values()), step, time_us)
        except UsageError:  # perhaps a None, or a mapping, among the values
            self._carefully(metrics, step, time_us)
            return
        if step >= group.next_step:
            group.next_step = int(step) + 1

    def series(self, key: str, steps: Any, values: Any, times_us: Any) -> None:
        """Arrays of one metric."""
        self._log.series(self._stream, key, steps, values, times_us)
        if len(steps):
            self._next_step[key] = max(self._next(key), int(max(steps)) + 1)

    def _carefully(self, metrics: Mapping[str, Any], step: Any, time_us: int | None) -> None:
        """`many` for what is nested, has gaps, comes for the first time, or without a step."""
        plain = dict(_flat(metrics))
        if not plain:
            return
        given = None if step is None else check_int64("step", step)
        by_step: dict[int, list[str]] = {}
        for key in plain:
            by_step.setdefault(self._next(key) if given is None else given, []).append(key)
        for at, keys in by_step.items():
            group = self._group(tuple(keys))
            group.points([plain[key] for key in keys], at, time_us)
            group.next_step = max(group.next_step, at + 1)

    def _group(self, keys: tuple[str, ...]) -> _Group:
        group = self._groups.get(keys)
        if group is None:
            group = self._groups[keys] = _Group(self._log.points_many(self._stream, keys))
            for key in keys:
                self._groups_of.setdefault(key, []).append(group)
        return group

    def _next(self, key: str) -> int:
        """One more than the largest step of a key."""
        steps = [group.next_step for group in self._groups_of.get(key, ())]
        return max([self._next_step.get(key, 0), *steps])


def _flat(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in metrics.items():
        if not isinstance(name, str):
            raise UsageError(f"a metric's name must be a string, not {shown(name)}.")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}{SEPARATOR}")
        elif value is not None:
            yield f"{prefix}{name}", value


def as_times_us(times: Sequence[dt.datetime | float] | None) -> list[int] | None:
    """`as_us` of each."""
    return None if times is None else [as_us(time) or 0 for time in times]
