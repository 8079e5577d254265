"""Which file systems are network mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog.mount import network_type

TABLE = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/me/scratch xfs rw 0 0
share /mnt/my\\040share cifs rw 0 0
bucket /mnt/bucket fuse.s3fs rw 0 0
broken line
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root in which all of it is mounted, as the table beside it says."""
    for place in ("home/me/scratch", "mnt/my share", "mnt/bucket", "var"):
        (tmp_path / "root" / place).mkdir(parents=True)
    table = TABLE.replace(" /", f" {tmp_path}/root/").replace("/root/ ", "/root ")
    (tmp_path / "mounts").write_text(table)
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/var/log", None),
        ("/home/you/log", "nfs4"),
        ("/home/me/scratch/log", None),
        ("/home", "nfs4"),
        ("/homes/you", None),
        ("/mnt/my share/log", "cifs"),
        ("/mnt/bucket", "fuse.s3fs"),
    ],
)
def test_the_deepest_mount_decides(root: Path, place: str, kind: str | None) -> None:
    assert network_type(Path(f"{root}{place}"), root.parent / "mounts") == kind


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    table = tmp_path / "mounts"
    table.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path}/there nfs rw 0 0\n")
    assert network_type(tmp_path / "link" / "log", table) == "nfs"


def test_a_place_that_may_not_be_looked_at_is_judged_by_what_is_above(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.exists

    def exists(place: Path) -> bool:
        if place.name == "shut":
            raise PermissionError(13, "Permission denied", str(place))
        return real(place)

    monkeypatch.setattr(Path, "exists", exists)
    assert network_type(root / "home" / "shut", root.parent / "mounts") == "nfs4"


def test_without_a_table_every_place_is_local(tmp_path: Path) -> None:
    assert network_type(tmp_path, tmp_path / "no table") is None


def test_this_machine_s_own_table_can_be_read(tmp_path: Path) -> None:
    assert network_type(tmp_path) is None
