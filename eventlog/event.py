"""Events: the one schema, what may go into it, and the types that give `data` a meaning.

An event is a row. It never changes; an edit, a delete and a restore are events too. ``(lane, seq)``
is its identity. The columns are those of `schema`; `COLUMNS` names them in order.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from eventlog.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

COLUMNS = ("lane", "seq", "time", "type", "stream", "key", "step", "value", "data")
POINT_TYPE = "metric.logged"  # the one type whose events are points rather than facts
DATA_LIMIT_BYTES = 64 * 1024  # a longer `data` travels as a blob
NAME_LIMIT_BYTES = 1024 * 1024  # of a type, stream or key
BLOB_MARK = "@blob "  # what `data` starts with when it names a blob; no JSON text starts so
VERSION_KEY = "@v"  # the payload's version inside `data`; absent means 1
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_quick_encode = msgspec.json.Encoder().encode
_quick_decode = msgspec.json.Decoder().decode


class Event(NamedTuple):
    """One event, as Python values.

    ``time_us`` counts microseconds since 1970 in UTC; ``data`` is JSON text, or None.
    """

    lane: str
    seq: int
    time_us: int
    type: str
    stream: str
    key: str | None
    step: int | None
    value: float | None
    data: str | None


@lru_cache(1)
def schema() -> pa.Schema:
    """The Arrow schema of every segment and every data file.

    Columns: lane, type, stream, key: dictionary<int32, string>; seq, step: int64; time:
    timestamp[us, UTC]; value: float64; data: large_string. Only key, step, value and data may be
    null.
    """
    import pyarrow as pa

    words = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            pa.field("lane", words, nullable=False),
            pa.field("seq", pa.int64(), nullable=False),
            pa.field("time", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("type", words, nullable=False),
            pa.field("stream", words, nullable=False),
            pa.field("key", words),
            pa.field("step", pa.int64()),
            pa.field("value", pa.float64()),
            pa.field("data", pa.large_string()),
        ]
    )


@dataclass(frozen=True)
class EventType:
    """What events of one name carry in `data`.

    Args:
        name: past tense, dotted: ``run.created``.
        payload: a `msgspec.Struct` that `data` must fit; None leaves `data` free.
        version: counts up when the payload changes in a way old readers would misread.
        upcast: makes the payload of the version before into this version's (dict to dict).

    Example:
        >>> class Finished(msgspec.Struct):
        ...     status: str
        >>> EventType("run.finished", Finished)

    Register it with the hook ``register_event_types``. Events of a type that nobody registered are
    kept whole, and skipped by views that do not know them.
    """

    name: str
    payload: type[msgspec.Struct] | None = None
    version: int = 1
    upcast: Callable[[dict[str, Any]], dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        check_name("type", self.name)
        if self.version < 1 or (self.version > 1 and self.upcast is None):
            raise UsageError(
                f"EventType {self.name!r} version {self.version}: versions count from 1, and each "
                "after the first needs `upcast` from the one before."
            )


class EventTypes:
    """The registered types: every version of each, chained by their upcasters."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[int, EventType]] = {}

    def add(self, event_type: EventType) -> None:
        """Register one version of a type; `UsageError` if another has that name and version."""
        versions = self._versions.setdefault(event_type.name, {})
        if versions.setdefault(event_type.version, event_type) != event_type:
            raise UsageError(
                f"event type {event_type.name!r} version {event_type.version} is registered twice, "
                "differently: `eventlog plugins` shows by whom."
            )

    def names(self) -> list[str]:
        """The names, sorted."""
        return sorted(self._versions)

    def newest(self, name: str) -> EventType | None:
        """The type's newest version, or None for a type that nobody registered."""
        versions = self._versions.get(name)
        return versions[max(versions)] if versions else None

    def encode(self, name: str, data: object) -> str | None:
        """``data`` as JSON text, checked against the type's payload; `UsageError` if it misfits."""
        newest = self.newest(name)
        plain = _plain(data)
        if newest is None or newest.payload is None:
            return encode_json(plain)
        fields = {} if plain is None else plain
        try:
            msgspec.convert(fields, newest.payload)
        except (msgspec.ValidationError, TypeError, RecursionError) as error:
            raise UsageError(f"data of {name!r} does not fit: {error}") from None
        if not isinstance(fields, dict) or VERSION_KEY in fields:
            raise UsageError(
                f"data of {name!r} must be a dict (or its Struct) without the key {VERSION_KEY!r}, "
                "which the log writes by itself."
            )
        # Kept as it was given, with fields that the type does not know; fields that were left out
        # get their defaults when it is read.
        if newest.version > 1:
            return encode_json({VERSION_KEY: newest.version, **fields})
        return encode_json(plain)

    def decode(self, name: str, data: str | None) -> Any:
        """The payload of an event: a Struct of the newest version, or plain JSON if unregistered.

        A payload of a version newer than every registered one comes back as plain JSON too.
        """
        plain = json.loads(data) if data is not None else None
        newest = self.newest(name)
        if newest is None or newest.payload is None:
            return plain
        fields = dict(plain or {})
        version = fields.pop(VERSION_KEY, 1)
        if version > newest.version:
            return plain
        for n in range(version + 1, newest.version + 1):
            step = self._versions[name].get(n, newest)
            if step.upcast is None or step.version != n:
                raise UsageError(f"event type {name!r}: no upcast to version {n} is registered.")
            fields = step.upcast(fields)
        return msgspec.convert(fields, newest.payload, strict=False)


def _plain(data: object) -> object:
    """A msgspec Struct as plain values; anything else as it is."""
    if hasattr(data, "__struct_fields__"):
        return msgspec.to_builtins(data)
    return data


def encode_json(data: object) -> str | None:
    """``data`` as compact JSON text that reads back equal, or `UsageError` naming what cannot.

    Refused rather than mangled: NaN and ±Inf (they belong in `value`), keys that are not strings,
    bytes, dates, sets, lone surrogates, nesting beyond Python's recursion limit.
    """
    if data is None:
        return None
    try:
        raw = _quick_encode(data)
        if _quick_decode(raw) == data:
            return raw.decode()
    except (TypeError, ValueError, RecursionError, OverflowError):
        pass  # what follows takes it, or says what is wrong
    return _encode_carefully(data)


def _encode_carefully(data: object) -> str:
    try:
        _check_json(data, "data")
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except RecursionError:
        raise UsageError("data is nested too deeply (or contains itself) for JSON.") from None
    except UnicodeEncodeError as error:
        raise UsageError(
            f"data holds text that is not Unicode (a lone surrogate): {error}"
        ) from None
    except (TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"data cannot be written as JSON: {error}") from None
    return text


def _check_json(value: object, where: str) -> None:
    """`UsageError` naming the place of the first thing that JSON cannot hold exactly."""
    if value is None or isinstance(value, str | bool | int):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UsageError(
                f"{where} is {value}, which JSON cannot hold: pass it as value=, or as a string."
            )
        return
    if not isinstance(value, dict | list | tuple):
        raise UsageError(
            f"{where} is a {type(value).__name__}, which is not JSON: "
            "convert it to numbers, strings, lists and dicts first."
        )
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(value, dict) and not isinstance(key, str):
            raise UsageError(f"{where} has the key {key!r}; keys must be strings.")
        _check_json(item, f"{where}[{key!r:.40}]")


def check_name(what: str, name: object) -> str:
    """``name`` if it can be a type, stream or key; `UsageError` that says why not otherwise."""
    if type(name) is str and 0 < len(name) < 1024 and name.isascii():
        return name
    if not isinstance(name, str):
        raise UsageError(f"{what} must be a string, not {type(name).__name__}.")
    if not name:
        raise UsageError(f"{what} must not be empty.")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise UsageError(f"{what} {name!r} is not Unicode text (a lone surrogate).") from None
    if size > NAME_LIMIT_BYTES:
        raise UsageError(f"{what} is {size} bytes long; the limit is {NAME_LIMIT_BYTES}.")
    return name


def check_int64(what: str, number: object) -> int:
    """``number`` as an int that fits 64 bits; whole floats are taken, others refused."""
    if type(number) is int and INT64_MIN <= number <= INT64_MAX:
        return number
    try:
        whole = number.__index__() if hasattr(number, "__index__") else int(number)  # type: ignore[call-overload]
        exact = whole == number
        exact = bool(exact) and INT64_MIN <= whole <= INT64_MAX
    except Exception:  # whatever a foreign number's own conversion raises
        exact = False
    if not exact:
        raise UsageError(f"{what} must be a whole number within 64 bits, not {shown(number)}.")
    return int(whole)


def shown(value: object) -> str:
    """A value in an error message: short, and whatever its own repr does."""
    return reprlib.repr(value)


def as_row(event: Event) -> Mapping[str, object]:
    """The event as a mapping of column to value (``time`` in microseconds)."""
    return dict(zip(COLUMNS, event, strict=True))
