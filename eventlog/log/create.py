"""Making a log: probe the store, then create ``format.json``."""

from __future__ import annotations

import datetime as dt
import uuid

import msgspec

from eventlog.backend import Backend, probe_create_only
from eventlog.errors import Exists, NotALog
from eventlog.log.manifest import FORMAT, Format, read_format

_OURS = {"spool", "tmp", "probe"}


def ensure_log(backend: Backend) -> Format:
    """The log that lies in the store, made now where there is none.

    Raises `NotALog` for a local directory that holds something else, `NotCreateOnly` for a store
    that overwrites, `NewerFormat`, `Denied` and `Unavailable` as they say.
    """
    try:
        return read_format(backend)
    except NotALog:
        _refuse_foreign(backend)
    probe_create_only(backend)
    made = Format(
        format=FORMAT,
        log_id=uuid.uuid4().hex,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        by="eventlog",
    )
    try:
        backend.put_new("format.json", msgspec.json.encode(made))
    except Exists:
        return read_format(backend)
    return made


def _refuse_foreign(backend: Backend) -> None:
    """A local directory with other things in it was named by mistake: leave it alone."""
    root = backend.local_root
    if root is None or not root.exists():
        return
    if not root.is_dir():
        raise NotALog(f"{root} is a file, not a log: name a directory.")
    names = {p.name for p in root.iterdir()}
    foreign = sorted(names - _OURS)
    if foreign and "format.json" not in names:  # else somebody has just made it a log
        raise NotALog(
            f"{root} is not a log and is not empty (it holds {foreign[0]!r}): "
            "name an empty or a new directory."
        )
