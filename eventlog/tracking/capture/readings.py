"""What the machine's meters show: `PsutilMeters` where psutil is installed, else `ProcMeters`.

A counter only grows; what it means is the difference of two readings.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from eventlog.tracking.capture.probe import attempt

BLOCKS = Path("/sys/block")  # one folder for each disk, none for its partitions
SECTOR_BYTES = 512  # of /proc/diskstats, whatever the disk's own are
PARTIAL_DISKS = re.compile(r"(?:loop|ram|zram|dm-|md|sr|fd)\d")  # or shown by what they lie on
INNER_NETWORKS = re.compile(r"(?:lo\d*|veth.*|docker.*|br-.*|virbr.*|ifb\d+)\Z")

Pair = tuple[float, float]


class Meters(Protocol):
    """What can be read of a machine. Each raises where the machine does not tell."""

    def cpu_s(self) -> Pair:
        """Time that all processors were busy, and all time; both counters."""
        ...

    def memory_bytes(self) -> Pair:
        """Memory that is not available, and all memory."""
        ...

    def process_rss_bytes(self) -> float:
        """Memory that this process holds."""
        ...

    def disk_bytes(self) -> Pair:
        """Bytes read from and written to disks; both counters."""
        ...

    def network_bytes(self) -> Pair:
        """Bytes sent and received, not counting talk inside the machine; both counters."""
        ...


def meters() -> Meters:
    """The best that there are."""
    psutil = attempt("psutil", lambda: importlib.import_module("psutil"))
    return PsutilMeters(psutil) if psutil else ProcMeters()


class PsutilMeters:
    """Through psutil, on any system that it knows."""

    def __init__(self, psutil: Any) -> None:
        self.psutil = psutil

    def cpu_s(self) -> Pair:
        times = self.psutil.cpu_times()._asdict()
        # Linux counts the guests' time as the user's, too.
        total_s = sum(s for name, s in times.items() if not name.startswith("guest"))
        return total_s - times["idle"] - times.get("iowait", 0.0), total_s

    def memory_bytes(self) -> Pair:
        memory = self.psutil.virtual_memory()
        return memory.total - memory.available, memory.total

    def process_rss_bytes(self) -> float:
        return float(self.psutil.Process(os.getpid()).memory_info().rss)

    def disk_bytes(self) -> Pair:
        disks = self.psutil.disk_io_counters(perdisk=True)
        return _sums(
            (disk.read_bytes, disk.write_bytes)
            for name, disk in disks.items()
            if _is_whole_disk(name)
        )

    def network_bytes(self) -> Pair:
        networks = self.psutil.net_io_counters(pernic=True)
        return _sums(
            (network.bytes_sent, network.bytes_recv)
            for name, network in networks.items()
            if not INNER_NETWORKS.match(name)
        )


class ProcMeters:
    """From the files under ``/proc`` that Linux keeps, described in proc(5)."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        self.root = root

    def cpu_s(self) -> Pair:
        times = self._text("stat").partition("\n")[0].split()[1:9]  # then come the guests', again
        ticks = [int(time) for time in times]
        tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
        idle, iowait = ticks[3:5]
        return (sum(ticks) - idle - iowait) * tick_s, sum(ticks) * tick_s

    def memory_bytes(self) -> Pair:
        fields = dict(line.split(":", 1) for line in self._text("meminfo").splitlines())
        total, available = (
            int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable")
        )
        return total - available, total

    def process_rss_bytes(self) -> float:
        pages = int(self._text("self/statm").split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))

    def disk_bytes(self) -> Pair:
        lines = (line.split() for line in self._text("diskstats").splitlines())
        return _sums(
            (int(fields[5]) * SECTOR_BYTES, int(fields[9]) * SECTOR_BYTES)
            for fields in lines
            if _is_whole_disk(fields[2])
        )

    def network_bytes(self) -> Pair:
        lines = (line.partition(":") for line in self._text("net/dev").splitlines()[2:])
        counts = {name.strip(): counters.split() for name, _, counters in lines}
        return _sums(
            (int(counters[8]), int(counters[0]))
            for name, counters in counts.items()
            if not INNER_NETWORKS.match(name)
        )

    def _text(self, path: str) -> str:
        return (self.root / path).read_text(encoding="ascii", errors="replace")


def _is_whole_disk(name: str) -> bool:
    """A partition's bytes are counted by its disk, too. Only Linux lists partitions."""
    if PARTIAL_DISKS.match(name):
        return False
    return not BLOCKS.is_dir() or (BLOCKS / name.replace("/", "!")).exists()


def _sums(pairs: Iterable[Pair]) -> Pair:
    first, second = 0.0, 0.0
    for a, b in pairs:
        first, second = first + a, second + b
    return first, second
