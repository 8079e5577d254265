"""How busy the machine is while a run runs: `SystemSampler`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from eventlog.tracking.capture import nvidia
from eventlog.tracking.capture.cgroup import Cgroup
from eventlog.tracking.capture.probe import attempt
from eventlog.tracking.capture.readings import Meters, Pair, meters

TEMPERATURE_OF_GPU = 0  # nvmlTemperatureSensors_t


class _Counters(NamedTuple):
    """What has been counted until a moment; None is what the machine does not tell."""

    time_s: float
    cpu_s: Pair | None
    process_cpu_s: float
    disk_bytes: Pair | None
    network_bytes: Pair | None


class SystemSampler:
    """Reads the machine's meters when it is told to; whoever holds it has the thread.

    Args:
        directory: whose disk is watched; the working directory by default.
        source: the meters; psutil's by default, or those of ``/proc``.
        cgroup: whose limits stand for the machine's, in a container or a batch job.

    Example:
        >>> sampler = SystemSampler()
        >>> sampler.sample()["system/memory_percent"]
        41.7
    """

    def __init__(
        self,
        directory: Path | None = None,
        source: Meters | None = None,
        cgroup: Cgroup | None = None,
    ) -> None:
        self._directory = directory or Path.cwd()
        self._meters = source or meters()
        self._cgroup = cgroup or Cgroup()
        self._before = self._counters()

    def sample(self) -> dict[str, float]:
        """Metric to value; what this machine does not tell is left out.

        Percentages are from 0 to 100, of what this process may use: a container's limits count.
        Only ``system/process_cpu_percent`` is 100 for each core that is busy. What is counted over
        time (``…_percent`` of CPU, ``…_bytes_s``) is the mean since the call before, or since the
        sampler was made. ``system/gpu_<n>_…`` have the GPU's number on this machine.
        """
        now = self._counters()
        sampled = _rates(self._before, now)
        self._before = now
        sampled |= attempt("the memory", self._memory) or {}
        sampled |= attempt("the disk", self._disk) or {}
        for device in attempt("the GPUs", nvidia.devices) or []:
            sampled |= _gpu(device)
        return sampled

    def _counters(self) -> _Counters:
        return _Counters(
            time.monotonic(),
            attempt("the use of the CPU", self._cpu_s),
            time.process_time(),
            attempt("the use of disks", self._meters.disk_bytes),
            attempt("the use of the network", self._meters.network_bytes),
        )

    def _cpu_s(self) -> Pair:
        if share := attempt("the share of CPU", self._cgroup.cpu):
            return share.used_s, time.monotonic() * share.limit_cores
        return self._meters.cpu_s()

    def _memory(self) -> dict[str, float]:
        used_bytes, total_bytes = self._meters.memory_bytes()
        share = attempt("the share of memory", self._cgroup.memory)
        if share and share.limit_bytes < total_bytes:
            used_bytes, total_bytes = share.used_bytes, share.limit_bytes
        found = {
            "system/memory_used_bytes": float(used_bytes),
            "system/memory_percent": 100.0 * used_bytes / total_bytes,
        }
        rss_bytes = attempt("the process's memory", self._meters.process_rss_bytes)
        return found if rss_bytes is None else found | {"system/process_rss_bytes": rss_bytes}

    def _disk(self) -> dict[str, float]:
        disk = shutil.disk_usage(self._directory)
        # As `df` counts: what is kept for root is neither used nor free.
        return {"system/disk_used_percent": 100.0 * disk.used / (disk.used + disk.free)}


def _rates(before: _Counters, now: _Counters) -> dict[str, float]:
    found: dict[str, float] = {}
    elapsed_s = now.time_s - before.time_s
    if before.cpu_s and now.cpu_s:
        busy_s, all_s = (b - a for a, b in zip(before.cpu_s, now.cpu_s, strict=True))
        found |= _share("system/cpu_percent", busy_s, all_s, most=100.0)
    process_s = now.process_cpu_s - before.process_cpu_s
    found |= _share("system/process_cpu_percent", process_s, elapsed_s)
    flows = [
        ("disk_read", "disk_write", before.disk_bytes, now.disk_bytes),
        ("network_sent", "network_received", before.network_bytes, now.network_bytes),
    ]
    for first, second, old, new in flows:
        if old and new and elapsed_s > 0:
            for name, a, b in zip((first, second), old, new, strict=True):
                if b >= a:  # else a device went away, with its count
                    found[f"system/{name}_bytes_s"] = (b - a) / elapsed_s
    return found


def _share(key: str, part: float, whole: float, most: float = float("inf")) -> dict[str, float]:
    """The part in percent; nothing where the clocks went back or stood still."""
    return {key: min(most, 100.0 * part / whole)} if whole > 0 and part >= 0 else {}


def _gpu(device: nvidia.Device) -> dict[str, float]:
    """What one GPU tells. Each on its own: hardly a model tells all."""
    nvml, handle = nvidia.library(), device.handle
    probes: dict[str, Callable[[], float]] = {
        "utilization_percent": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(handle, TEMPERATURE_OF_GPU),
    }
    found: dict[str, float | None] = {
        name: attempt(f"{name} of a GPU", probe) for name, probe in probes.items()
    }
    memory = attempt("a GPU's memory", lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    if memory and memory.total:
        found["memory_used_bytes"] = memory.used
        found["memory_percent"] = 100.0 * memory.used / memory.total
    told = ((name, value) for name, value in found.items() if value is not None)
    return {f"system/gpu_{device.number}_{name}": float(value) for name, value in told}
