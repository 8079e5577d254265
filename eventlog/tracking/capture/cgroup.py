"""What a container or a batch system lets a process have of the machine: cgroups v1 and v2.

A limit may be set at any level above the process, and the smallest holds. In a container the path
that ``/proc/self/cgroup`` names is often not visible; then what is visible above it counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

UNLIMITED_BYTES = 1 << 60  # v1 says "no limit" with about 2^63


class CpuShare(NamedTuple):
    """What is allowed of the processors, and the time used so far."""

    limit_cores: float
    used_s: float


class MemoryShare(NamedTuple):
    """What is allowed of the memory, and what is used of it (without what can be dropped)."""

    limit_bytes: int
    used_bytes: int


class Cgroup:
    """The control group of this process.

    Args:
        root: where cgroups are mounted.
        membership: the file that says which are ours.
    """

    def __init__(
        self,
        root: Path = Path("/sys/fs/cgroup"),
        membership: Path = Path("/proc/self/cgroup"),
    ) -> None:
        self.root = root
        self.paths = dict(_paths(membership))

    def cpu(self) -> CpuShare | None:
        """The smallest share of processor time that is set; None where none is."""
        shares = []
        for place in self._places("cpu"):
            cores = _cpu_limit_cores(place)
            if cores is not None:
                shares.append((cores, place))
        if not shares:
            return None
        cores, place = min(shares)
        return CpuShare(cores, self._cpu_used_s(place))

    def memory(self) -> MemoryShare | None:
        """The smallest limit of memory that is set; None where none is."""
        shares = []
        for place in self._places("memory"):
            text = _text(place / "memory.max") or _text(place / "memory.limit_in_bytes")
            if text.isdigit() and int(text) < UNLIMITED_BYTES:
                shares.append((int(text), place))
        if not shares:
            return None
        limit_bytes, place = min(shares)
        return MemoryShare(limit_bytes, _memory_used_bytes(place))

    def _cpu_used_s(self, place: Path) -> float:
        if usage_us := _fields(place / "cpu.stat").get("usage_usec"):
            return usage_us / 1e6
        # v1 counts in a controller of its own, mounted with "cpu" or beside it.
        tops = self._top("cpu"), self._top("cpuacct")
        beside = [tops[1] / place.relative_to(tops[0])] if tops[0] and tops[1] else []
        usage_ns = next(filter(None, (_text(p / "cpuacct.usage") for p in [place, *beside])))
        return int(usage_ns) / 1e9

    def _places(self, controller: str) -> Iterator[Path]:
        """The visible directories of a controller, from ours up to the root."""
        top = self._top(controller)
        if top is None:
            return
        _, path = self.paths.get(controller) or self.paths.get("") or ("", "/")
        place = top / path.lstrip("/")
        while place.is_relative_to(top):
            if place.is_dir():
                yield place
            place = place.parent

    def _top(self, controller: str) -> Path | None:
        """Where a controller is mounted: v1 has a mount of its own for it, v2 one for all."""
        if controller in self.paths:
            mounts = [self.root / self.paths[controller][0], self.root / controller]
        else:
            mounts = [self.root / "unified", self.root]
        return next((mount for mount in mounts if mount.is_dir()), None)


def _paths(membership: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """Controller to the name of its mount and our path in it; v2 has the empty controller."""
    for line in _text(membership).splitlines():
        _, names, path = line.split(":", 2)
        for controller in names.split(","):
            yield controller, (names, path)


def _cpu_limit_cores(place: Path) -> float | None:
    quota, _, period = _text(place / "cpu.max").partition(" ")
    if not quota:
        quota = _text(place / "cpu.cfs_quota_us")
        period = _text(place / "cpu.cfs_period_us")
    if not quota.isdigit() or not period.isdigit() or period == "0":  # "max", or -1
        return None
    return int(quota) / int(period)


def _memory_used_bytes(place: Path) -> int:
    used = _text(place / "memory.current") or _text(place / "memory.usage_in_bytes")
    fields = _fields(place / "memory.stat")
    droppable = fields.get("total_inactive_file", fields.get("inactive_file", 0))
    return max(0, int(used) - droppable)


def _fields(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
