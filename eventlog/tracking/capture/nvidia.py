"""NVIDIA's GPUs, as their management library tells; without it, as the driver's files do.

The library (``pip install nvidia-ml-py``) is asked without making a CUDA context, which would take
memory and forbid a later fork.
"""

from __future__ import annotations

import importlib
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from eventlog.tracking.capture.probe import attempt

DRIVER_FILES = Path("/proc/driver/nvidia")


class Device(NamedTuple):
    """A GPU: its number on this machine, and the library's handle for it."""

    number: int
    handle: Any


_library_of: dict[int, Any] = {}  # process to library: a child of fork starts it anew


def library() -> Any:
    """``pynvml``, initialised; None where it, the driver or a GPU is missing."""
    pid = os.getpid()
    if pid not in _library_of:
        _library_of.clear()
        _library_of[pid] = attempt("the GPUs", _initialised)
    return _library_of[pid]


def _initialised() -> Any:
    with warnings.catch_warnings():
        # A package of that name asks, aloud, to be replaced by nvidia-ml-py.
        warnings.simplefilter("ignore")
        nvml = importlib.import_module("pynvml")
    nvml.nvmlInit()
    return nvml


def devices() -> list[Device]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves to this process."""
    nvml = library()
    if nvml is None:
        return []
    every = [
        Device(n, nvml.nvmlDeviceGetHandleByIndex(n)) for n in range(nvml.nvmlDeviceGetCount())
    ]
    chosen = visible()
    if chosen is None:
        return every
    names = {
        device: (str(device.number), text(nvml.nvmlDeviceGetUUID(device.handle)))
        for device in every
    }
    return [device for device in every if _is_chosen(names[device], chosen)]


def visible() -> list[str] | None:
    """What CUDA_VISIBLE_DEVICES names, as CUDA reads it; None for all.

    Numbers count as the library counts, by PCI bus; CUDA itself, unless CUDA_DEVICE_ORDER says so,
    puts a faster model first. Where all are of one model that is the same.
    """
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    if value is None or "MIG-" in value:  # a part of a GPU: which, the library does not tell
        return None
    chosen = []
    for name in value.split(","):
        if name.strip() in ("", "-1"):  # CUDA reads no further
            break
        chosen.append(name.strip())
    return chosen


def _is_chosen(names: tuple[str, str], chosen: list[str]) -> bool:
    number, uuid = names
    return any(name == number or (name[:4] == "GPU-" and uuid.startswith(name)) for name in chosen)


def tags() -> dict[str, str]:
    """``accelerator.*`` of NVIDIA's GPUs; empty where there are none."""
    nvml = library()
    if nvml is None:
        return _tags_of_driver_files()
    found = devices()
    if not found:
        return {}
    models = [text(nvml.nvmlDeviceGetName(device.handle)) for device in found]
    memory_bytes = [nvml.nvmlDeviceGetMemoryInfo(device.handle).total for device in found]
    cuda = attempt("the CUDA version", nvml.nvmlSystemGetCudaDriverVersion)
    known = {
        "accelerator.count": str(len(found)),
        "accelerator.model": _distinct(models),
        "accelerator.memory_bytes": _distinct(map(str, memory_bytes)),
        "accelerator.driver": text(nvml.nvmlSystemGetDriverVersion()),
        "accelerator.driver_cuda": f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else "",
    }
    return {tag: value for tag, value in known.items() if value}


def _tags_of_driver_files() -> dict[str, str]:
    cards = sorted((DRIVER_FILES / "gpus").glob("*/information"))
    if not cards:
        return {}
    models = [_field(card.read_text(errors="replace"), "Model") for card in cards]
    words = (DRIVER_FILES / "version").read_text(errors="replace").partition("\n")[0].split()
    version = next((word for word in words if word[0].isdigit() and "." in word), "")
    known = {
        "accelerator.count": str(len(cards)),
        "accelerator.model": _distinct(models),
        "accelerator.driver": version,
    }
    return {tag: value for tag, value in known.items() if value}


def text(value: str | bytes) -> str:
    """What the library says: old versions of it say it in bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _field(information: str, name: str) -> str:
    pairs = (line.partition(":") for line in information.splitlines())
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")


def _distinct(values: Any) -> str:
    return ", ".join(dict.fromkeys(value for value in values if value))
