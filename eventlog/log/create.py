"""Making a log: probe the store, then create ``format.json``."""

from __future__ import annotations

import datetime as dt
import uuid

import msgspec

from eventlog.backend import Backend, probe_create_only
from eventlog.errors import Exists, NotALog
from eventlog.log.manifest import FORMAT, Format, id_in_manifests, read_format

_OURS = {"spool", "tmp", "probe"}


def ensure_log(backend: Backend) -> Format:
    """The log that lies in the store, made now where there is none.

    Raises `NotALog` for a local directory that holds something else, `NotCreateOnly` for a store
    that overwrites, `NewerFormat`, `Denied` and `Unavailable` as they say.
    """
    try:
        return read_format(backend)
    except NotALog as error:
        if error.lost_format:
            raise
        _refuse_foreign(backend)
    return _made(backend, uuid.uuid4().hex)


def restore_log(backend: Backend) -> Format:
    """Make the ``format.json`` of a log that has lost it; everything else is as it was.

    Raises `NotALog` where there is nothing that a log leaves, and what `ensure_log` raises.
    """
    try:
        return read_format(backend)
    except NotALog as error:
        if not error.lost_format:
            raise
    return _made(backend, id_in_manifests(backend) or uuid.uuid4().hex)


def _made(backend: Backend, log_id: str) -> Format:
    probe_create_only(backend)
    made = Format(
        format=FORMAT,
        log_id=log_id,
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
        raise NotALog(f"{root} is a file, not a log. Name a directory.")
    names = {p.name for p in root.iterdir()}
    foreign = sorted(names - _OURS)
    if foreign and "format.json" not in names:  # else somebody has just made it a log
        raise NotALog(
            f"{root} is not a log and is not empty (it holds {foreign[0]!r})",
            remedy="Log elsewhere: name an empty or a new directory.",
        )
