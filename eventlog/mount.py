"""What kind of file system a path lies on: spools want a local one."""

from __future__ import annotations

import re
from pathlib import Path

_ESCAPED = re.compile(r"\\([0-7]{3})")  # a space, tab, newline or backslash of a mount point

NETWORK_TYPES = frozenset(
    "nfs nfs4 cifs smb smbfs smb3 lustre gpfs beegfs ceph 9p afs glusterfs orangefs pvfs2 "
    "fuse.sshfs fuse.s3fs fuse.glusterfs fuse.gcsfuse fuse.goofys fuse.rclone fuse.ceph "
    "fuse.juicefs ncpfs davfs panfs weka wekafs quobyte".split()
)


def network_type(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """The type of the network file system that ``path`` (or where it would be) lies on, or None.

    Where the system has no table of mounts (macOS, Windows), the answer is None.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    place = path.absolute()
    while not _is_there(place) and place != place.parent:
        place = place.parent
    place = place.resolve()
    best, found = -1, ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(_ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[1]))
        if place.is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), fields[2]
    return found if found in NETWORK_TYPES else None


def _is_there(place: Path) -> bool:
    try:
        return place.exists()
    except PermissionError:  # whoever writes there finds out, and says so
        return False
