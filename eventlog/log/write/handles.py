"""Prepared handles: what a training loop calls, in about a microsecond.

Each handle closes over the writer's one mutable cell. A row is taken in one step, then filled in
one step (see points.py); everything that can fail on bad arguments comes before.
"""

from __future__ import annotations

import struct
import time
from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from eventlog.errors import SpoolFull, UsageError
from eventlog.event import check_int64, shown
from eventlog.log.clock import checked_time
from eventlog.log.write.inside import writing
from eventlog.log.write.points import ROW, ROW_FIELDS, Rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from eventlog.log.write.lane import Writer

PointHandle = Callable[..., None]
_CHUNK_ROWS = 1_024
_IDS = struct.Struct("@II")
FIRST_TIME_US = -(2**63) // 1000 + 1  # a row holds nanoseconds


def as_float(value: object) -> float:
    """``value`` as a float; strings and None are refused, as no number was meant."""
    if isinstance(value, str | bytes | bytearray) or value is None:
        raise UsageError(f"a metric's value must be a number, not {shown(value)}.")
    try:
        return float(value)  # type: ignore[arg-type]
    except Exception as error:  # whatever a tensor's own conversion raises
        raise UsageError(
            f"a metric's value must be a number, not {shown(value)}: {error}"
        ) from error


def _as_ns(time_us: object) -> int:
    at = checked_time("time_us", time_us)
    if at < FIRST_TIME_US:
        raise _too_early(at)
    return at * 1000


def _too_early(time_us: int) -> UsageError:
    return UsageError(
        f"time_us={time_us} lies before the year 1678: microseconds since 1970 in UTC are meant."
    )


def _floats(values: Sequence[Any]) -> array[float]:
    """The values of many metrics; `UsageError` where one is no number."""
    if type(values) is not list and isinstance(values, str | bytes | bytearray | dict | set):
        raise UsageError(f"values must be a list of numbers, not {shown(values)}.")
    try:
        return array("d", values)
    except Exception:  # not all are floats or ints: look at each
        if not hasattr(values, "__len__"):
            raise UsageError(f"values must be a list of numbers, not {shown(values)}.") from None
        return array("d", map(as_float, values))


def point_handle(writer: Writer, stream: str, key: str) -> PointHandle:
    """``log_point(value, step, time_us=None)`` for one metric of one stream."""
    return _or_later(writer, None, lambda: _point_handle(writer, stream, key))


def points_handle(writer: Writer, stream: str, keys: Sequence[str]) -> PointHandle:
    """``log_points(values, step, time_us=None)`` for many metrics that come together."""
    return _or_later(writer, len(keys), lambda: _points_handle(writer, stream, keys))


def _or_later(writer: Writer, count: int | None, make: Callable[[], PointHandle]) -> PointHandle:
    """A handle; where a full disk refuses its names, one that tries again at each call.

    Until then its points are dropped, and counted like all others. ``count`` is how many values a
    call takes, or None for one that takes a number.
    """
    try:
        return make()
    except SpoolFull as error:
        writer.drop(0, error)
    made: list[PointHandle] = []

    def log_later(values: Any, step: Any, time_us: int | None = None) -> None:
        if not made:
            as_float(values) if count is None else _floats(values)
            check_int64("step", step)
            try:
                made.append(make())
            except SpoolFull as error:
                return writer.drop(1 if count is None else count, error)
        return made[0](values, step, time_us)

    return log_later


def _point_handle(writer: Writer, stream: str, key: str) -> PointHandle:
    stream_id, key_id = writer.ids(stream, [key])[0]
    cell, later = writer.cell, writer.later
    pack_into, now_ns = ROW.pack_into, time.time_ns

    def log_point(value: Any, step: Any, time_us: int | None = None) -> None:
        if type(value) is not float:
            value = as_float(value)
        if type(step) is not int:
            step = check_int64("step", step)
        at = now_ns() if time_us is None else _as_ns(time_us)
        rows = take, _, target, capacity, _, _ = cell[0]
        row = take()
        if row >= capacity:
            if later(rows, 1):
                log_point(value, step, time_us)
            return
        try:
            pack_into(target, row << 5, at, step, value, stream_id, key_id)
        except struct.error:  # the row stays a hole
            check_int64("step", step)
            raise

    writing(log_point)
    return log_point


def _points_handle(writer: Writer, stream: str, keys: Sequence[str]) -> PointHandle:
    ids = writer.ids(stream, keys)
    count = len(ids)
    if not 0 < count <= _CHUNK_ROWS:
        return _chunked(writer, stream, keys)
    cell, now_ns = writer.cell, time.time_ns
    # Columns are stored one by one, the ids last: they are what makes a row count.
    both = array("q", b"".join(_IDS.pack(*pair) for pair in ids))

    def log_points(values: Sequence[Any], step: Any, time_us: int | None = None) -> None:
        floats = _floats(values)
        if len(floats) != count:
            raise UsageError(f"{len(floats)} values for {count} metrics.")
        at = now_ns() if time_us is None else _as_ns(time_us)
        steps = array("q", (check_int64("step", step),)) * count
        times = array("q", (at,)) * count
        rows = cell[0]
        first = rows.take_many(count)
        if first + count > rows.capacity:
            return _fill(writer, rows, first, (times, steps, floats, both))
        start, end = first * 4, (first + count) * 4
        rows.ints[start:end:4] = times
        rows.ints[start + 1 : end : 4] = steps
        rows.floats[start + 2 : end : 4] = floats
        rows.ints[start + 3 : end : 4] = both
        return None

    writing(log_points)
    return log_points


def _chunked(writer: Writer, stream: str, keys: Sequence[str]) -> PointHandle:
    starts = range(0, len(keys), _CHUNK_ROWS)
    handles = [_points_handle(writer, stream, keys[at : at + _CHUNK_ROWS]) for at in starts]

    def log_points(values: Sequence[Any], step: Any, time_us: int | None = None) -> None:
        floats = _floats(values)
        if len(floats) != len(keys):
            raise UsageError(f"{len(floats)} values for {len(keys)} metrics.")
        check_int64("step", step)
        for start, handle in zip(starts, handles, strict=True):
            handle(floats[start : start + _CHUNK_ROWS], step, time_us)

    return log_points


_Columns = tuple["array[int]", "array[int]", "array[float]", "array[int]"]


def _fill(writer: Writer, rows: Rows, first: int, columns: _Columns) -> None:
    """The rows that fit into this file, then the others into the next."""
    while True:
        fit = max(0, min(len(columns[0]), rows.capacity - first))
        for n, (at, step, value, both) in enumerate(zip(*(c[:fit] for c in columns), strict=True)):
            row = (first + n) * 4
            rows.ints[row], rows.ints[row + 1], rows.floats[row + 2] = at, step, value
            rows.ints[row + 3] = both
        columns = tuple(c[fit:] for c in columns)  # type: ignore[assignment]
        if not columns[0] or not writer.later(rows, len(columns[0])):
            return
        rows = writer.cell[0]
        first = rows.take_many(len(columns[0]))


def log_series(
    writer: Writer,
    stream: str,
    key: str,
    steps: ArrayLike,
    values: ArrayLike,
    times_us: ArrayLike | None = None,
) -> None:
    """Arrays of one metric: shape (n,), steps int64, values float64, times int64 microseconds."""
    times, whole, floats = _series(steps, values, times_us)
    try:
        [(stream_id, key_id)] = writer.ids(stream, [key])
    except SpoolFull as error:
        return writer.drop(len(whole), error)
    done = 0
    while done < len(whole):
        part = slice(done, done + _CHUNK_ROWS * 4)
        columns = (times[part], whole[part], floats[part])
        rows, fit = _fill_arrays(writer, columns, stream_id, key_id)
        done += fit
        if fit < len(columns[0]) and not writer.later(rows, len(whole) - done):
            return None
    return None


def _series(steps: Any, values: Any, times_us: Any) -> tuple[Any, Any, Any]:
    """(times in ns, steps, values) as arrays; `UsageError` where they are not what they must be."""
    import numpy as np

    whole, floats = _int64s("steps", steps), _float64s(values)
    times = np.full(whole.shape, time.time_ns()) if times_us is None else _nanoseconds(times_us)
    if not whole.shape == floats.shape == times.shape or whole.ndim != 1:
        raise UsageError(
            f"steps {whole.shape}, values {floats.shape} and times {times.shape} must be "
            "arrays of one dimension and of one length."
        )
    return times, whole, floats


def _nanoseconds(times_us: Any) -> NDArray[Any]:
    times = _int64s("times_us", times_us)
    if times.size:
        checked_time("times_us", int(times.max()))
        if times.min() < FIRST_TIME_US:
            raise _too_early(times.min())
    return times * 1000


def _array(what: str, given: Any) -> NDArray[Any]:
    import numpy as np

    try:
        return np.asarray(given)
    except Exception as error:  # ragged lists; a tensor on another device
        raise UsageError(f"{what} cannot be made an array: {error}") from error


def _float64s(values: Any) -> NDArray[Any]:
    import numpy as np

    array = _array("values", values)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.dtype.kind != "O":
        raise UsageError(f"values must be numbers, not {array.dtype}.")
    return np.array([as_float(v) for v in array.ravel()], np.float64).reshape(array.shape)


def _int64s(what: str, numbers: Any) -> NDArray[Any]:
    import numpy as np

    array = _array(what, numbers)
    if array.dtype.kind in "bi":
        return array.astype(np.int64)
    if array.dtype.kind not in "ufO":
        raise UsageError(f"{what} must be whole numbers, not {array.dtype}.")
    if array.dtype.kind == "f" and not array.size:
        return array.astype(np.int64)
    exact = [check_int64(what, number) for number in array.ravel().tolist()]
    return np.array(exact, np.int64).reshape(array.shape)


def _fill_arrays(
    writer: Writer, columns: tuple[Any, Any, Any], stream_id: int, key_id: int
) -> tuple[Rows, int]:
    """The file's rows, and how many of ours found room in it."""
    import numpy as np

    rows = writer.cell[0]
    first = rows.take_many(len(columns[0]))
    fit = max(0, min(len(columns[0]), rows.capacity - first))
    if fit:
        target = np.frombuffer(rows.map, np.dtype(ROW_FIELDS), fit, first * ROW.size)
        for name, column in zip(("time_ns", "step", "value"), columns, strict=True):
            target[name] = column[:fit]
        target["stream"] = stream_id
        target["key"] = key_id  # last: it is what makes a row count
    return rows, fit


writing(_fill)
writing(_fill_arrays)
