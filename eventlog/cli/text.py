"""Text for people and JSON for programs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import click

# Control characters, and what reorders or hides text: none may reach a terminal from an event.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)

_VERIFY = "; `eventlog verify` lists all that is damaged"
NARROW = 60  # columns


def plain(text: str) -> str:
    r"""The text with everything escaped that a terminal would obey: ESC becomes ``\x1b``."""
    return _UNSAFE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    short = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    return short or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def in_options(remedy: str) -> str:
    """A remedy as the command line spells it; `verify` is none for whoever has just done that."""
    ctx = click.get_current_context(silent=True)
    if ctx is not None and ctx.find_root().invoked_subcommand == "verify":
        remedy = remedy.replace(_VERIFY, "")
    return remedy.replace("damage='skip'", "`eventlog events --skip-damage`")


def has_colour() -> bool:
    """Whether output may be coloured."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def dim(text: str) -> str:
    """The text fainter, where colours may be used."""
    return click.style(text, dim=True) if has_colour() else text


def room() -> int | None:
    """The columns of the terminal; None where output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fit(text: str) -> str:
    """The text cut to the terminal's width; whole where output is no terminal."""
    width = room()
    if width is None:
        return text
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(1, width - 1)) + "…"


def is_narrow() -> bool:
    """Whether output is a terminal as narrow as a phone's: lines are stacked there, not cut."""
    width = room()
    return width is not None and width < NARROW


def as_json(value: Any) -> str:
    """``value`` as one JSON document. NaN and ±Infinity, which JSON lacks, become strings."""
    return json.dumps(_jsonable(value), ensure_ascii=False, allow_nan=False)


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _jsonable(value._asdict())
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in value]
    return _plain_value(value)


def _plain_value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if hasattr(value, "__struct_fields__"):
        return {name: _jsonable(getattr(value, name)) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value):
        found = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return _jsonable({name: item for name, item in found.items() if name[0] != "_"})
    if hasattr(value, "key") and hasattr(value, "what"):  # damage
        return {"key": value.key, "what": value.what, "todo": in_options(value.remedy)}
    return str(value)


def size(size_bytes: float) -> str:
    """Bytes for people: ``12.3 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def count(number: int, one: str, many: str = "") -> str:
    """``1 event``, ``2,000 events``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; where a terminal has no room for one, each row as lines with a cell each."""
    from rich.cells import cell_len

    shown = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(headings, *shown, strict=True)]
    columns = room()
    if columns is not None and sum(widths) + 2 * (len(widths) - 1) > columns:
        stacked = (map(": ".join, zip(headings, row, strict=True)) for row in shown)
        click.echo("\n\n".join(map("\n".join, stacked)))
        return
    for line in (headings, ["-" * width for width in widths], *shown):
        cells = zip(line, widths, strict=True)
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in cells)
        click.echo("  ".join(padded).rstrip())
