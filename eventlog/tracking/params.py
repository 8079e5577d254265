"""Params and tags as they are kept: typed, flat, and exactly what was given.

A param is a fact of its own: its key is the path into what was given (``opt.lr`` of
``{"opt": {"lr": 1e-3}}``), its value JSON, so that numbers stay numbers. Floats that JSON lacks
(NaN and ±Inf) go into the event's ``value``. What is no JSON but has an obvious form takes it:
numbers of numpy and torch, dates, paths, enums, dataclasses. Of anything else `UsageError` says
what to do.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from eventlog.errors import UsageError
from eventlog.event import shown

SEPARATOR = "."


class Param(NamedTuple):
    """One fact: ``data`` is JSON-able, or None where ``number`` holds what JSON cannot."""

    key: str
    data: Any
    number: float | None = None


def flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[Param]:
    """The facts of a mapping, nested ones by their path; an empty mapping is a value."""
    for name, value in params.items():
        if not isinstance(name, str):
            raise UsageError(
                f"a param's name must be a string, not {shown(name)}: say str({shown(name)})."
            )
        key = f"{prefix}{name}"
        value = _opened(value)
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{key}{SEPARATOR}")
        else:
            yield param(key, value)


def param(key: str, value: Any) -> Param:
    """One fact. Lists, and mappings within them, are kept whole."""
    plain = plain_value(value, f"param {key!r:.80}")
    if isinstance(plain, float) and not math.isfinite(plain):
        return Param(key, None, plain)
    return Param(key, plain)


def plain_value(value: Any, what: str) -> Any:
    """``value`` as JSON has it; `UsageError` where it has no obvious form."""
    value = _opened(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, Mapping):
        return {str(key): plain_value(item, what) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [plain_value(item, what) for item in items]
    if isinstance(value, decimal.Decimal | os.PathLike):
        return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    return _of_library(value, what)


def _opened(value: Any) -> Any:
    """Enums, dataclasses and msgspec Structs as what they stand for."""
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if hasattr(value, "__struct_fields__"):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    return value


def _of_library(value: Any, what: str) -> Any:
    """Scalars and arrays of numpy, torch and those like them; names of functions and classes."""
    for method in ("item", "tolist"):
        try:
            return plain_value(getattr(value, method)(), what)
        except UsageError:
            raise
        except Exception:  # no such method, or it is no scalar
            continue
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if name is not None and callable(value):
        return f"{getattr(value, '__module__', '')}.{name}".lstrip(".")
    raise UsageError(
        f"{what} is {shown(value)}, which has no form in JSON: give a number, a string, a list or "
        "a dict, or str() of it."
    )
