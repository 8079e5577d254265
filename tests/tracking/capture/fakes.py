"""Stand-ins for libraries and machines that the tests' own has not."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest


class NvmlError(Exception):
    """What pynvml raises where a GPU does not tell."""


class Nvml(types.ModuleType):
    """``pynvml`` with as many GPUs as are given; the last one tells hardly anything."""

    def __init__(self, models: list[str | bytes], driver: bool = True) -> None:
        super().__init__("pynvml")
        self.models = models
        self.driver = driver
        self.started_count = 0

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.driver:
            raise NvmlError("Driver Not Loaded")
        self.started_count += 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.models)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:  # noqa: N802
        return number

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return f"GPU-{handle}{handle}{handle}-aaaa"

    def nvmlDeviceGetName(self, handle: int) -> str | bytes:  # noqa: N802
        return self.models[handle]

    def nvmlSystemGetDriverVersion(self) -> bytes:  # noqa: N802
        return b"550.54.15"

    def nvmlSystemGetCudaDriverVersion(self) -> int:  # noqa: N802
        return 12040

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        return types.SimpleNamespace(total=1000, used=250 * handle)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        return types.SimpleNamespace(gpu=40 + handle, memory=3)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        if handle == len(self.models) - 1:
            raise NvmlError("Not Supported")
        return 71_500

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:  # noqa: N802
        assert sensor == 0
        if handle == len(self.models) - 1:
            raise NvmlError("Not Supported")
        return 55


def no_module(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Importing these fails, though they may be installed."""
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


def module(monkeypatch: pytest.MonkeyPatch, name: str, **attributes: object) -> types.ModuleType:
    """A module that holds these attributes, as if imported."""
    made = types.ModuleType(name)
    vars(made).update(attributes)
    monkeypatch.setitem(sys.modules, name, made)
    return made


def files(root: Path, texts: dict[str, str]) -> Path:
    """A tree of files, as the kernel would show it."""
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
