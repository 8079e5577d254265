"""What a container allows, whichever way the kernel shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog.tracking.capture import host
from eventlog.tracking.capture.cgroup import Cgroup, CpuShare, MemoryShare
from tests.tracking.capture import fakes

GIB = 1024**3


def v2(tmp_path: Path, path: str, texts: dict[str, str]) -> Cgroup:
    root = fakes.files(tmp_path, texts | {"membership": f"0::{path}\n"})
    return Cgroup(root, root / "membership")


def v1(tmp_path: Path, path: str, texts: dict[str, str]) -> Cgroup:
    lines = f"9:memory:{path}\n4:cpu,cpuacct:{path}\n1:name=systemd:/x\n"
    root = fakes.files(tmp_path, texts | {"membership": lines})
    return Cgroup(root, root / "membership")


def test_v2_limits_are_read(tmp_path: Path) -> None:
    texts = {
        "job/cpu.max": "150000 100000\n",
        "job/cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
        "job/memory.max": f"{GIB}\n",
        "job/memory.current": "5000\n",
        "job/memory.stat": "anon 1\ninactive_file 2000\n",
    }
    cgroup = v2(tmp_path, "/job", texts)
    assert cgroup.cpu() == CpuShare(1.5, 2.5)
    assert cgroup.memory() == MemoryShare(GIB, 3000)


def test_the_smallest_limit_above_holds(tmp_path: Path) -> None:
    texts = {
        "job/cpu.max": "100000 100000",
        "job/cpu.stat": "usage_usec 7000000",
        "job/task/cpu.max": "max 100000",
        "job/task/memory.max": "max",
        "job/memory.max": str(2 * GIB),
        "job/memory.current": "10",
        "memory.max": str(4 * GIB),
    }
    cgroup = v2(tmp_path, "/job/task", texts)
    assert cgroup.cpu() == CpuShare(1.0, 7.0)
    assert cgroup.memory() == MemoryShare(2 * GIB, 10)


def test_in_a_container_what_is_visible_counts(tmp_path: Path) -> None:
    texts = {"memory.max": str(GIB), "memory.current": "10"}
    assert v2(tmp_path, "/kubepods/pod1/c2", texts).memory() == MemoryShare(GIB, 10)


def test_v1_limits_are_read(tmp_path: Path) -> None:
    texts = {
        "cpu,cpuacct/docker/cpu.cfs_quota_us": "50000\n",
        "cpu,cpuacct/docker/cpu.cfs_period_us": "100000\n",
        "cpu,cpuacct/docker/cpuacct.usage": "3000000000\n",
        "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "memory/docker/memory.limit_in_bytes": f"{GIB}\n",
        "memory/docker/memory.usage_in_bytes": "700\n",
        "memory/docker/memory.stat": "inactive_file 1\ntotal_inactive_file 200\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    cgroup = v1(tmp_path, "/docker", texts)
    assert cgroup.cpu() == CpuShare(0.5, 3.0)
    assert cgroup.memory() == MemoryShare(GIB, 500)


def test_v1_may_count_time_beside(tmp_path: Path) -> None:
    texts = {
        "cpu/j/cpu.cfs_quota_us": "50000",
        "cpu/j/cpu.cfs_period_us": "100000",
        "cpuacct/j/cpuacct.usage": "1000000000",
        "membership": "4:cpu:/j\n5:cpuacct:/j\n",
    }
    root = fakes.files(tmp_path, texts)
    assert Cgroup(root, root / "membership").cpu() == CpuShare(0.5, 1.0)


@pytest.mark.parametrize("membership", ["", "0::/\n", "9:memory:/\n4:cpu:/\n"])
def test_where_nothing_is_limited_there_is_no_share(tmp_path: Path, membership: str) -> None:
    root = fakes.files(tmp_path, {"membership": membership})
    cgroup = Cgroup(root, root / "membership")
    assert (cgroup.cpu(), cgroup.memory()) == (None, None)


def test_cores_and_memory_are_what_is_allowed(tmp_path: Path) -> None:
    texts = {"cpu.max": "25000 100000", "cpu.stat": "usage_usec 1"}
    texts |= {"memory.max": "4096", "memory.current": "1"}
    cgroup = v2(tmp_path, "/", texts)
    assert host.cpu_cores(cgroup) == 0.25
    assert host.memory_bytes(cgroup) == 4096
