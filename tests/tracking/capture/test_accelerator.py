"""GPUs are told by NVIDIA's library, by the driver's files, or not at all."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest

from eventlog.tracking.capture import accelerator, nvidia
from tests.tracking.capture import fakes

A100 = "NVIDIA A100-SXM4-80GB"


@pytest.fixture(autouse=True)
def nothing_but_what_a_test_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(nvidia, "DRIVER_FILES", tmp_path / "driver")
    monkeypatch.delitem(sys.modules, "torch", raising=False)


def with_gpus(monkeypatch: pytest.MonkeyPatch, *models: str | bytes) -> fakes.Nvml:
    nvml = fakes.Nvml(list(models))
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return nvml


def test_gpus_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = with_gpus(monkeypatch, A100, A100.encode())
    told = {
        "accelerator.count": "2",
        "accelerator.model": A100,
        "accelerator.memory_bytes": "1000",
        "accelerator.driver": "550.54.15",
        "accelerator.driver_cuda": "12.4",
    }
    assert accelerator.tags() == told
    assert accelerator.tags() == told
    assert nvml.started_count == 1


def test_different_models_are_all_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, A100, "NVIDIA T4", A100)
    assert accelerator.tags()["accelerator.model"] == f"{A100}, NVIDIA T4"


@pytest.mark.parametrize(
    ("visible", "numbers"),
    [
        (None, [0, 1, 2]),
        ("1", [1]),
        ("2, 0", [0, 2]),
        ("GPU-111", [1]),
        ("GPU-222-aaaa,0", [0, 2]),
        ("", []),
        ("-1", []),
        ("0,-1,1", [0]),
        ("MIG-aaaa", [0, 1, 2]),
        ("nonsense", []),
    ],
)
def test_only_visible_gpus_count(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, numbers: list[int]
) -> None:
    with_gpus(monkeypatch, A100, A100, A100)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [device.number for device in nvidia.devices()] == numbers
    tags = accelerator.tags()
    assert tags.get("accelerator.count") == (str(len(numbers)) if numbers else None)
    assert tags.get("accelerator.visible") == (visible or None)


def test_without_the_library_the_drivers_files_tell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fakes.no_module(monkeypatch, "pynvml")
    card = f"Model: \t\t {A100}\nIRQ:   \t\t 44\n"
    version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\nGCC: 12.2\n"
    fakes.files(
        tmp_path / "driver",
        {
            "gpus/0000:01:00.0/information": card,
            "gpus/0000:02:00.0/information": card,
            "version": version,
        },
    )
    assert accelerator.tags() == {
        "accelerator.count": "2",
        "accelerator.model": A100,
        "accelerator.driver": "550.54.15",
    }


def test_a_machine_without_gpus_tells_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fakes.Nvml([], driver=False))
    assert accelerator.tags() == {}
    assert nvidia.devices() == []


def test_a_child_of_fork_starts_the_library_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = with_gpus(monkeypatch, A100)
    nvidia.devices()
    nvidia.devices()
    assert nvml.started_count == 1
    monkeypatch.setattr(os, "getpid", lambda: 1)
    nvidia.devices()
    assert nvml.started_count == 2


def test_torch_is_told_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.no_module(monkeypatch, "pynvml")
    version = types.SimpleNamespace(cuda="12.6", hip=None)
    fakes.module(monkeypatch, "torch", __version__="2.13.0", version=version)  # no backends
    assert accelerator.tags() == {"torch.version": "2.13.0", "torch.cuda": "12.6"}
