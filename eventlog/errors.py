"""Every error that eventlog raises, one small tree.

    EventlogError
    ├── UsageError (ValueError)          a call's arguments cannot be taken; nothing was written
    ├── NotALog                          the URL holds no log
    ├── NewerFormat                      the log was written by a newer eventlog
    ├── Damage                           stored bytes are not what was written; never read as data
    │   └── ForkedLane                   two stores hold different events under one identity
    ├── VersionConflict                  a stream moved past the version that the caller expected
    ├── Fenced                           another process has taken this lane over
    ├── SpoolError                       the local disk that holds unshipped events fails
    │   └── SpoolFull                    it has no room left
    ├── LogClosed                        the log was used after close()
    ├── PluginError                      a plugin cannot be loaded, or broke its contract
    └── BackendError                     the store refused or did not answer
        ├── Exists                       put_new met an object of that name
        ├── Missing (KeyError)           the store holds no object of that name
        ├── Denied                       credentials are missing or not sufficient
        ├── Unavailable                  no answer in time, or a passing fault: retrying is right
        └── NotCreateOnly                the store overwrites where it must refuse

Messages say what happened, then what to do; `EventlogError.lines` tells the two apart.
"""

from __future__ import annotations

import re
from typing import ClassVar

_SENTENCE_END = re.compile(r"(?<=[.!?…]) (?=[A-Z`'\"(])")


class EventlogError(Exception):
    """The root of the tree; catch it to catch everything that eventlog raises on purpose.

    Args:
        message: what happened, and in further sentences what to do.
        remedy: what to do, where the message cannot be told apart by its sentences: somebody
            else's words are in it, such as a server's. It becomes the message's end.

    Attributes:
        remedy: what to do, where it was given by itself; else "".
    """

    remedy: str = ""
    _remedy_follows_colon: ClassVar[bool] = False

    def __init__(self, message: str = "", *, remedy: str = "") -> None:
        super().__init__(f"{_sentence(message)} {remedy}" if remedy else message)
        if remedy:
            self.remedy = remedy

    def lines(self) -> tuple[str, str]:
        """What happened and what to do, in which people meet the error; the second may be ""."""
        said = str(self).strip()
        if self.remedy:
            return said.removesuffix(self.remedy).rstrip(), self.remedy
        what, *remedy = _SENTENCE_END.split(said, maxsplit=1)
        if not remedy and self._remedy_follows_colon and ": " in what:
            what, _, rest = said.rpartition(": ")
            return _sentence(what), rest[:1].upper() + rest[1:]
        return _sentence(what), "".join(remedy)


def _sentence(text: str) -> str:
    """The text with one full stop at its end."""
    text = text.strip()
    return text if not text or text.endswith(("!", "?", "…")) else f"{text.rstrip('.')}."


class UsageError(EventlogError, ValueError):
    """A call's arguments cannot be taken; nothing was written."""


class NotALog(EventlogError):
    """The URL holds no log.

    Attributes:
        lost_format: it holds one whose ``format.json`` is gone.
    """

    def __init__(self, message: str, *, remedy: str = "", lost_format: bool = False) -> None:
        self.lost_format = lost_format
        super().__init__(message, remedy=remedy)


class NewerFormat(EventlogError):
    """The log was written by a newer eventlog than this one."""


_SKIP = (
    "Restore it from a copy, or read the rest with damage='skip'; "
    "`eventlog verify` lists all that is damaged."
)
_RESTORE = (
    "Restore it from a copy or a backup: without its newest manifest a log cannot be read. The "
    "segments in wal/ and data/ are untouched."
)
_REMAKE = (
    "Restore it from a copy or a backup, or delete it and let `eventlog init --restore` make it "
    "anew. The segments in wal/ and data/ are untouched."
)


class Damage(EventlogError):
    """Stored bytes are not what was written.

    Attributes:
        key: the object of the store, or the file of the spool, that is damaged.
    """

    def __init__(self, key: str, what: str, remedy: str = "") -> None:
        self.key = key
        self.what = what
        super().__init__(f"{key}: {what}", remedy=remedy or _remedy_of(key))

    def __reduce__(self) -> tuple[type[Damage], tuple[str, str, str]]:
        return type(self), (self.key, self.what, self.remedy)


def _remedy_of(key: str) -> str:
    """What helps; without the format file and the newest manifest nothing of a log can be read."""
    if key == "format.json":
        return _REMAKE
    return _RESTORE if key.startswith("manifest/") else _SKIP


class ForkedLane(Damage):
    """Two stores hold different events under one identity (lane, seq)."""


class VersionConflict(EventlogError):
    """A stream moved past the version that the caller expected.

    Attributes:
        stream: the stream, such as ``model:resnet``.
        expected: the version that the caller expected.
        actual: the version that the stream has.
    """

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        self.stream = stream
        self.expected = expected
        self.actual = actual
        super().__init__(
            f"{stream} is at version {actual}, not {expected}: somebody else wrote first. "
            "Read it again and decide anew."
        )

    def __reduce__(self) -> tuple[type[VersionConflict], tuple[str, int, int]]:
        return type(self), (self.stream, self.expected, self.actual)


class Fenced(EventlogError):
    """Another process has taken this lane over."""


class SpoolError(EventlogError):
    """The local disk that holds unshipped events fails."""

    _remedy_follows_colon = True


class SpoolFull(SpoolError):
    """Local disk space for unshipped events has run out."""


class LogClosed(EventlogError):
    """The log was used after ``close()``."""

    _remedy_follows_colon = True


class PluginError(EventlogError):
    """A plugin cannot be loaded, or broke its contract."""


class BackendError(EventlogError):
    """The store refused, or did not answer."""


class Exists(BackendError):
    """``put_new`` met an object of that name."""


class Missing(BackendError, KeyError):
    """The store holds no object of that name."""

    def __str__(self) -> str:
        return Exception.__str__(self)


class Denied(BackendError):
    """Credentials are missing, or do not allow it."""


class Unavailable(BackendError):
    """The store did not answer in time, or failed in a way that passes: retrying is right."""


class NotCreateOnly(BackendError):
    """The store overwrites an object where it must refuse: it cannot hold a log."""
