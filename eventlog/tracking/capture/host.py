"""The machine, who uses it, and which Python: what no run of a process sees change."""

from __future__ import annotations

import functools
import getpass
import os
import platform
import re
import socket
import sys
from pathlib import Path

from eventlog.tracking.capture.cgroup import Cgroup
from eventlog.tracking.capture.probe import answers, attempt

_container_id = re.compile(r"\b[0-9a-f]{64}\b")


@functools.cache
def tags() -> dict[str, str]:
    """``host.*``, ``python.*`` and ``container.*``."""
    return answers(
        {
            "host.name": socket.gethostname,
            "host.user": user,
            "host.platform": _platform,
            "host.os": _os,
            "host.cpu_model": cpu_model,
            "host.cpu_cores": lambda: f"{cpu_cores():g}",
            "host.memory_bytes": memory_bytes,
            "python.version": platform.python_version,
            "python.implementation": platform.python_implementation,
            "python.executable": lambda: sys.executable,
            "container.kind": _container_kind,
            "container.id": _container_id_here,
            "container.image": lambda: _first_of("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"),
        }
    )


def user() -> str:
    """The name of who runs this; the number where it has none, as in many a container."""
    return attempt("the user's name", getpass.getuser) or str(os.getuid())


def cpu_model(path: Path = Path("/proc/cpuinfo")) -> str:
    """What the maker calls the processor; where the system does not say, its architecture."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:  # the file is made as it is read: stop at the first
                key, _, value = line.partition(":")
                if key.strip() in ("model name", "Model", "cpu model"):
                    return value.strip()
    except OSError:
        pass
    return platform.machine()


def cpu_cores(cgroup: Cgroup | None = None) -> float:
    """How many cores' time this process may use; a container's share can be a part of one."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        allowed = os.cpu_count() or 1
    share = attempt("the share of CPU", (cgroup or Cgroup()).cpu)
    return min(allowed, share.limit_cores) if share else allowed


def memory_bytes(cgroup: Cgroup | None = None) -> int:
    """How much memory this process may use."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    share = attempt("the share of memory", (cgroup or Cgroup()).memory)
    return min(installed, share.limit_bytes) if share else installed


def _platform() -> str:
    # platform.platform() starts a process (`uname -p`) where it could ask the kernel.
    if not hasattr(os, "uname"):
        return platform.platform()
    uname = os.uname()
    return f"{uname.sysname}-{uname.release}-{uname.machine}"


def _os() -> str:
    return platform.freedesktop_os_release()["PRETTY_NAME"]


def _container_kind() -> str:
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    if _first_of("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        return "apptainer"
    if os.path.exists("/.dockerenv"):
        return "docker"
    if os.path.exists("/run/.containerenv"):
        return "podman"
    return os.environ.get("container", "")  # noqa: SIM112 - systemd spells it so


def _container_id_here() -> str:
    """As `docker ps` shows it, where the kernel's tables give it away."""
    if not _container_kind():
        return ""
    for table in ("/proc/self/cgroup", "/proc/self/mountinfo"):
        text = Path(table).read_text(encoding="utf-8", errors="replace")
        # In the second only lines of the container's own files name it: /containers/<id>/hostname
        lines = [line for line in text.splitlines() if "overlay" not in line]
        if found := _container_id.search("\n".join(lines)):
            return found[0][:12]
    return ""


def _first_of(*names: str) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")
