"""The installed packages, in a form that pip understands."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from eventlog.tracking.capture import packages


def install(place: Path, name: str, version: str, origin: dict[str, object] | None = None) -> None:
    folder = place / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: of the text\n"
    (folder / "METADATA").write_text(text)
    if origin is not None:
        (folder / "direct_url.json").write_text(json.dumps(origin))


def lines() -> list[str]:
    return packages.requirements().splitlines()[1:]


def test_what_is_installed_here_is_listed() -> None:
    listed = {Requirement(line.partition("  #")[0]).name: line for line in lines()}
    version = importlib.metadata.version("numpy")
    assert listed["numpy"] == f"numpy=={version}"
    assert packages.requirements().startswith(f"# python {sys.version.split()[0]}\n")


def test_lines_are_sorted_and_the_first_on_the_path_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    install(first, "Zebra", "1.0")
    install(first, "a-lib", "2.0+cu121")
    install(second, "zebra", "9.0")
    install(second, "a_b", "1")
    monkeypatch.setattr(sys, "path", [str(first), str(second), str(tmp_path / "absent")])
    assert lines() == ["a_b==1", "a-lib==2.0+cu121", "Zebra==1.0"]


def test_where_a_package_came_from_is_told_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vcs = {"vcs": "git", "commit_id": "abc"}
    install(tmp_path, "a", "1", {"url": "https://ada:hunter2@h/a.git", "vcs_info": vcs})
    install(tmp_path, "b", "1", {"url": "file:///src/b", "dir_info": {"editable": True}})
    install(tmp_path, "c", "1", {"url": "https://h/c.whl", "archive_info": {}})
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert lines() == [
        "a @ git+https://[redacted]@h/a.git@abc",
        "b==1  # editable, from file:///src/b",
        "c==1  # from https://h/c.whl",
    ]


def test_a_broken_package_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "fine", "1")
    install(tmp_path, "odd", "1", {})
    (tmp_path / "bare-1.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert lines() == ["fine==1"]


def test_what_is_installed_later_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "a", "1")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert packages.requirements() is packages.requirements()
    install(tmp_path, "b", "1")
    assert lines() == ["a==1", "b==1"]
