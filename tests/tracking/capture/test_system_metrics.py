"""The sampler tells how busy the machine is, with psutil or without."""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from eventlog.tracking.capture import readings
from eventlog.tracking.capture.cgroup import Cgroup
from eventlog.tracking.capture.readings import Pair, ProcMeters, PsutilMeters
from eventlog.tracking.capture.system_metrics import SystemSampler
from tests.tracking.capture import fakes

ALWAYS = {
    *("system/cpu_percent", "system/memory_used_bytes", "system/memory_percent"),
    *("system/process_cpu_percent", "system/process_rss_bytes", "system/disk_used_percent"),
    *("system/network_sent_bytes_s", "system/network_received_bytes_s"),
    *("system/disk_read_bytes_s", "system/disk_write_bytes_s"),
}
NO_CGROUP = Cgroup(Path("/nowhere"), Path("/nowhere"))
needs_proc = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs /proc")


@pytest.fixture(autouse=True)
def no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.no_module(monkeypatch, "pynvml")


def burn_cpu(for_s: float) -> None:
    until_s = time.process_time() + for_s
    while time.process_time() < until_s:
        pass


@needs_proc
def test_this_machine_is_sampled_without_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.no_module(monkeypatch, "psutil")
    assert isinstance(readings.meters(), ProcMeters)
    sampler = SystemSampler()
    burn_cpu(0.1)
    sampled = sampler.sample()
    assert set(sampled) == ALWAYS
    assert 0 < sampled["system/cpu_percent"] <= 100
    assert 0 < sampled["system/process_cpu_percent"] < 150
    assert 0 < sampled["system/memory_percent"] < 100
    assert sampled["system/process_rss_bytes"] > 2**20
    assert 0 < sampled["system/disk_used_percent"] <= 100


@needs_proc
def test_psutil_and_proc_agree() -> None:
    psutil = PsutilMeters(pytest.importorskip("psutil"))
    proc = ProcMeters()
    assert psutil.cpu_s() == pytest.approx(proc.cpu_s(), rel=0.01)
    assert psutil.memory_bytes() == pytest.approx(proc.memory_bytes(), rel=0.1)
    assert psutil.process_rss_bytes() == pytest.approx(proc.process_rss_bytes(), rel=0.1)
    assert psutil.network_bytes() == pytest.approx(proc.network_bytes(), rel=0.1)
    assert psutil.disk_bytes() == pytest.approx(proc.disk_bytes(), rel=0.1)


class Row:
    """A named tuple as psutil makes them."""

    def __init__(self, **fields: float) -> None:
        vars(self).update(fields)

    def __getattr__(self, name: str) -> float:
        raise AttributeError(name)

    def _asdict(self) -> dict[str, float]:
        return dict(vars(self))


def psutil_of(monkeypatch: pytest.MonkeyPatch, **functions: Any) -> None:
    process = Row()
    vars(process)["memory_info"] = lambda: Row(rss=4096)
    known = {
        "cpu_times": lambda: Row(user=10.0, system=5.0, idle=80.0, iowait=5.0, guest=9.0),
        "virtual_memory": lambda: Row(total=1000, available=400),
        "Process": lambda pid: process if pid == os.getpid() else None,
        "disk_io_counters": lambda perdisk: {
            "nvme0n1": Row(read_bytes=100, write_bytes=200),
            "loop0": Row(read_bytes=7, write_bytes=7),
        },
        "net_io_counters": lambda pernic: {
            "eth0": Row(bytes_sent=10, bytes_recv=20),
            "lo": Row(bytes_sent=7, bytes_recv=7),
            "docker0": Row(bytes_sent=7, bytes_recv=7),
        },
    }
    fakes.module(monkeypatch, "psutil", **known | functions)


def test_psutil_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    psutil_of(monkeypatch)
    monkeypatch.setattr(readings, "_is_whole_disk", lambda name: name == "nvme0n1")
    meters = readings.meters()
    assert isinstance(meters, PsutilMeters)
    assert meters.cpu_s() == (15.0, 100.0)
    assert meters.memory_bytes() == (600, 1000)
    assert meters.process_rss_bytes() == 4096
    assert meters.disk_bytes() == (100, 200)
    assert meters.network_bytes() == (10, 20)


def test_a_psutil_that_tells_no_disk_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    psutil_of(monkeypatch, disk_io_counters=lambda perdisk: None)
    sampled = SystemSampler(cgroup=NO_CGROUP).sample()
    assert "system/disk_read_bytes_s" not in sampled
    assert sampled["system/memory_percent"] == 60.0


class Dials:
    """Meters that show what the test sets."""

    def __init__(self) -> None:
        self.cpu: Pair = (0.0, 0.0)
        self.disk: Pair = (0.0, 0.0)
        self.network: Pair = (0.0, 0.0)
        self.memory: Pair = (300.0, 1000.0)

    def cpu_s(self) -> Pair:
        return self.cpu

    def memory_bytes(self) -> Pair:
        return self.memory

    def process_rss_bytes(self) -> float:
        raise OSError("not told")

    def disk_bytes(self) -> Pair:
        return self.disk

    def network_bytes(self) -> Pair:
        return self.network


@pytest.fixture
def clock_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    return now_s


def test_what_is_counted_becomes_a_rate_between_calls(clock_s: list[float]) -> None:
    dials = Dials()
    sampler = SystemSampler(source=dials, cgroup=NO_CGROUP)
    dials.cpu, dials.disk, dials.network = (2.0, 8.0), (100.0, 400.0), (50.0, 0.0)
    clock_s[0] += 2.0
    first = sampler.sample()
    assert first["system/cpu_percent"] == 25.0
    assert first["system/disk_read_bytes_s"] == 50.0
    assert first["system/disk_write_bytes_s"] == 200.0
    assert first["system/network_sent_bytes_s"] == 25.0
    dials.cpu, dials.disk = (4.0, 10.0), (100.0, 400.0)
    clock_s[0] += 1.0
    second = sampler.sample()
    assert second["system/cpu_percent"] == 100.0
    assert second["system/disk_read_bytes_s"] == 0.0


def test_what_is_not_told_or_makes_no_sense_is_left_out(clock_s: list[float]) -> None:
    dials = Dials()
    dials.disk = (500.0, 500.0)
    sampler = SystemSampler(source=dials, cgroup=NO_CGROUP)
    dials.disk = (100.0, 600.0)  # a disk was taken out
    clock_s[0] += 1.0
    sampled = sampler.sample()
    assert "system/disk_read_bytes_s" not in sampled
    assert sampled["system/disk_write_bytes_s"] == 100.0
    assert "system/process_rss_bytes" not in sampled
    assert "system/cpu_percent" not in sampled  # the clock stood still


def test_two_calls_at_one_moment_are_no_division_by_zero(clock_s: list[float]) -> None:
    sampler = SystemSampler(source=Dials(), cgroup=NO_CGROUP)
    assert "system/network_sent_bytes_s" not in sampler.sample()


def test_a_directory_that_is_gone_leaves_its_disk_out(tmp_path: Path) -> None:
    sampler = SystemSampler(tmp_path / "gone", source=Dials(), cgroup=NO_CGROUP)
    assert "system/disk_used_percent" not in sampler.sample()


def test_in_a_container_its_limits_are_the_whole(tmp_path: Path, clock_s: list[float]) -> None:
    texts = {
        "cpu.max": "50000 100000",
        "cpu.stat": "usage_usec 1000000",
        "memory.max": "400",
        "memory.current": "100",
        "membership": "0::/\n",
    }
    root = fakes.files(tmp_path, texts)
    sampler = SystemSampler(source=Dials(), cgroup=Cgroup(root, root / "membership"))
    (root / "cpu.stat").write_text("usage_usec 2500000")
    clock_s[0] += 4.0
    sampled = sampler.sample()
    assert sampled["system/cpu_percent"] == 75.0
    assert sampled["system/memory_used_bytes"] == 100.0
    assert sampled["system/memory_percent"] == 25.0


def test_gpus_are_sampled_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fakes.Nvml(["A", "B", "C"]))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    sampled = SystemSampler(source=Dials(), cgroup=NO_CGROUP).sample()
    assert {key: value for key, value in sampled.items() if "gpu" in key} == {
        "system/gpu_1_utilization_percent": 41.0,
        "system/gpu_1_memory_used_bytes": 250.0,
        "system/gpu_1_memory_percent": 25.0,
        "system/gpu_1_power_w": 71.5,
        "system/gpu_1_temperature_c": 55.0,
        "system/gpu_2_utilization_percent": 42.0,
        "system/gpu_2_memory_used_bytes": 500.0,
        "system/gpu_2_memory_percent": 50.0,
    }


def test_every_value_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fakes.Nvml(["A"]))
    sampler = SystemSampler()
    assert {type(value) for value in sampler.sample().values()} == {float}


def test_proc_files_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    network = (
        "Inter-|   Receive\n face |bytes packets\n"
        "    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n"
        "  eth0:100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n"
        "veth1a: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n"
    )
    texts = {
        "stat": "cpu  100 0 50 800 50 0 0 0 70 0\ncpu0 1 2 3\n",
        "meminfo": "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\nHugePages_Total: 0\n",
        "self/statm": "900 20 3 4 0 6 0\n",
        "net/dev": network,
        "diskstats": "",
    }
    meters = ProcMeters(fakes.files(tmp_path, texts))
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    assert meters.cpu_s() == pytest.approx((150 * tick_s, 1000 * tick_s))
    assert meters.memory_bytes() == (750 * 1024, 1000 * 1024)
    assert meters.process_rss_bytes() == 20 * os.sysconf("SC_PAGE_SIZE")
    assert meters.network_bytes() == (200, 100)
    assert meters.disk_bytes() == (0, 0)


def test_only_whole_disks_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "8 0 sda 1 0 10 0 1 0 20 0 0 0 0",
        "8 1 sda1 1 0 10 0 1 0 20 0 0 0 0",
        "7 0 loop0 1 0 10 0 1 0 20 0 0 0 0",
        "253 0 dm-0 1 0 10 0 1 0 20 0 0 0 0",
    ]
    meters = ProcMeters(fakes.files(tmp_path, {"diskstats": "\n".join(lines)}))
    blocks = fakes.files(tmp_path / "block", {"sda/x": "", "loop0/x": "", "dm-0/x": ""})
    monkeypatch.setattr(readings, "BLOCKS", blocks)
    assert meters.disk_bytes() == (10 * 512, 20 * 512)


def test_the_module_loads_neither_psutil_nor_pynvml() -> None:
    source = Path(importlib.import_module("eventlog.tracking.capture.readings").__file__ or "")
    assert "import psutil" not in source.read_text()
