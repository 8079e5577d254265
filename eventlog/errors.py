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

Messages say what happened, then what to do.
"""

from __future__ import annotations


class EventlogError(Exception):
    """The root of the tree; catch it to catch everything that eventlog raises on purpose."""


class UsageError(EventlogError, ValueError):
    """A call's arguments cannot be taken; nothing was written."""


class NotALog(EventlogError):
    """The URL holds no log.

    Attributes:
        lost_format: it holds one whose ``format.json`` is gone.
    """

    def __init__(self, message: str, *, lost_format: bool = False) -> None:
        self.lost_format = lost_format
        super().__init__(message)


class NewerFormat(EventlogError):
    """The log was written by a newer eventlog than this one."""


_SKIP = (
    "Restore it from a copy, or read the rest with damage='skip'; "
    "`eventlog verify` lists all that is damaged."
)
_RESTORE = (
    "Restore it from a copy or a backup: the log cannot be read without it. The segments in wal/ "
    "and data/ are untouched."
)


class Damage(EventlogError):
    """Stored bytes are not what was written.

    Attributes:
        key: the object of the store, or the file of the spool, that is damaged.
    """

    def __init__(self, key: str, what: str, remedy: str = "") -> None:
        self.key = key
        self.what = what
        self.remedy = remedy or (_RESTORE if _is_root(key) else _SKIP)
        super().__init__(f"{key}: {what}. {self.remedy}")

    def __reduce__(self) -> tuple[type[Damage], tuple[str, str, str]]:
        return type(self), (self.key, self.what, self.remedy)


def _is_root(key: str) -> bool:
    """Whether nothing of a log can be read without the object."""
    return key == "format.json" or key.startswith("manifest/")


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


class SpoolFull(SpoolError):
    """Local disk space for unshipped events has run out."""


class LogClosed(EventlogError):
    """The log was used after ``close()``."""


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
