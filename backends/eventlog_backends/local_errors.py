"""What the operating system says of a file, in eventlog's words and with the remedy."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from eventlog.errors import BackendError, Denied, Missing, Unavailable, UsageError

_DENIED = {
    errno.EACCES: "permission denied. Ask its owner for access, or log to another directory",
    errno.EPERM: (
        "the operation is not permitted, or the file system has no hard links (FAT has none). "
        "Log to a directory on another file system"
    ),
    errno.EROFS: (
        "the file system is read-only. Remount it for writing, or log to another directory"
    ),
}
_PASSING = {
    errno.ESTALE: "the mount's server has forgotten the file",
    errno.ETIMEDOUT: "the mount's server does not answer",
    errno.EHOSTDOWN: "the mount's server is down",
    errno.EHOSTUNREACH: "the mount's server cannot be reached",
    errno.EMFILE: "this process has too many files open. Raise the limit: `ulimit -n 4096`",
    errno.ENFILE: "the machine has too many files open. Raise `fs.file-max`",
}
_LASTING = {
    errno.ENOSPC: (
        "no space or no inodes left on the device. Free some (`df -h`, `df -i`); then it goes on"
    ),
    errno.EDQUOT: "the disk quota is used up. Free some space or ask for more; then it goes on",
    errno.EIO: "the device failed. Look at `dmesg`, and copy the log elsewhere: `eventlog copy`",
    errno.ENOTSUP: "the file system has no hard links. Log to a directory on another file system",
    errno.EXDEV: (
        "it lies on another file system than the log's tmp/. Keep a log in one file system"
    ),
    errno.EEXIST: "a file lies where a directory is needed. Move it, or log to another directory",
    errno.ENOTDIR: "a file lies where a directory is needed. Move it, or log to another directory",
}


@contextlib.contextmanager
def said_clearly(path: str, *, reading: bool = False) -> Iterator[None]:
    """Turn an `OSError` about ``path`` into one of eventlog's."""
    try:
        yield
    except OSError as e:
        if reading and isinstance(e, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            raise Missing(f"{path} does not exist, or is no object") from e
        raise _meaning(path, e) from e


def _meaning(path: str, e: OSError) -> Exception:
    number = e.errno or 0
    where = str(e.filename) if e.filename else path
    if number in _DENIED:
        return Denied(f"{where}: {_DENIED[number]}.")
    if number in _PASSING:
        return Unavailable(f"{where}: {_PASSING[number]}.")
    if number in _LASTING:
        return BackendError(f"{where}: {_LASTING[number]}.")
    if number == errno.ENAMETOOLONG:
        return UsageError(f"{where}: the name is too long for this file system. Shorten it.")
    return BackendError(f"{where}: {e.strerror or e}.")
