"""The installed packages, in the form of a requirements file."""

from __future__ import annotations

import functools
import json
import os
import platform
import re
import sys
from typing import TYPE_CHECKING

from eventlog.tracking.capture import redact
from eventlog.tracking.capture.probe import attempt, encodable

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_field = re.compile(r"^(Name|Version):[ \t]*(\S+)", re.MULTILINE)


def requirements() -> str:
    """One package a line, sorted: ``numpy==2.0.1``, or ``ours @ git+https://…@<commit>``.

    What is installed from a directory or a file, too, says so in a comment. Read again only when
    something was installed since.
    """
    return _requirements(tuple((place, _changed_ns(place)) for place in sys.path))


@functools.lru_cache(maxsize=1)
def _requirements(places: tuple[tuple[str, int], ...]) -> str:
    # Not at the head of this file: it costs more than all other modules here together.
    from importlib.metadata import distributions

    lines: dict[str, str] = {}
    for distribution in distributions(path=[place for place, _ in places]):
        named = attempt("a package", lambda found=distribution: _line(found))  # type: ignore[misc]
        if named:
            lines.setdefault(*named)  # what comes first on the path is what is imported
    said = "".join(f"{line}\n" for _, line in sorted(lines.items()))
    return encodable(f"# python {platform.python_version()}\n{said}")


def _line(distribution: Distribution) -> tuple[str, str] | None:
    """The normalized name, to sort by, and the line."""
    # `distribution.metadata` parses all of it, descriptions and all, as an e-mail: 20 times slower.
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    fields = dict(_field.findall(text.partition("\n\n")[0]))
    if "Name" not in fields or "Version" not in fields:
        return None
    name = fields["Name"]
    line = f"{name}=={fields['Version']}"
    if origin := distribution.read_text("direct_url.json"):
        line = _with_origin(name, line, json.loads(origin))
    return re.sub(r"[-_.]+", "-", name).lower(), line


def _with_origin(name: str, line: str, origin: dict[str, dict[str, str]]) -> str:
    """As PEP 610 tells where a package came from that came from no index."""
    address = redact.url(str(origin["url"]))
    if vcs := origin.get("vcs_info"):
        return f"{name} @ {vcs['vcs']}+{address}@{vcs['commit_id']}"
    editable = "editable, " if origin.get("dir_info", {}).get("editable") else ""
    return f"{line}  # {editable}from {address}"


def _changed_ns(place: str) -> int:
    try:
        return os.stat(place or os.curdir).st_mtime_ns
    except OSError:
        return 0
