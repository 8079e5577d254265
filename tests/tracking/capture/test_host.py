"""The machine says who it is; a machine that does not is no trouble."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path

import pytest

from eventlog.tracking.capture import host


def test_the_machine_is_told(started: list[list[str]]) -> None:
    tags = host.tags()
    assert tags["host.name"] == socket.gethostname()
    assert tags["host.user"] == getpass.getuser()
    assert tags["host.platform"].startswith(os.uname().sysname)
    assert float(tags["host.cpu_cores"]) > 0
    assert int(tags["host.memory_bytes"]) > 2**20
    assert tags["python.version"].count(".") == 2
    assert started == []


def test_a_probe_that_fails_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise OSError("no name")

    monkeypatch.setattr(socket, "gethostname", broken)
    tags = host.tags()
    assert "host.name" not in tags
    assert "host.user" in tags


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4242")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert host.user() == str(os.getuid())


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC 9654\nflags\t: x\n", "AMD EPYC 9654"),
        ("processor : 0\nBogoMIPS : 50\n\nModel : Raspberry Pi 5\n", "Raspberry Pi 5"),
        ("", os.uname().machine),
    ],
)
def test_the_processor_has_a_name(tmp_path: Path, text: str, model: str) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    assert host.cpu_model(path) == model


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("KUBERNETES_SERVICE_HOST", "kubernetes"),
        ("APPTAINER_CONTAINER", "apptainer"),
        ("SINGULARITY_CONTAINER", "apptainer"),
    ],
)
def test_a_container_gives_itself_away(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    monkeypatch.setenv(name, "/images/train.sif")
    assert host.tags()["container.kind"] == kind
