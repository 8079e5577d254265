"""Making a log: once, only where nothing else lies, and only in a store that keeps its word."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog.errors import Exists, NotALog, NotCreateOnly, Unavailable
from eventlog.log.create import ensure_log
from eventlog.log.manifest import read_format
from eventlog_backends.local import LocalBackend
from eventlog_backends.memory import MemoryBackend


def test_a_log_is_made_once() -> None:
    backend = MemoryBackend()
    assert ensure_log(backend) == ensure_log(backend) == read_format(backend)


def test_nothing_but_the_format_is_left() -> None:
    backend = MemoryBackend()
    ensure_log(backend)
    assert [entry.key for entry in backend.list()] == ["format.json"]


def test_who_comes_second_takes_the_log_of_the_first() -> None:
    backend = MemoryBackend()
    put = backend.put_new
    others: list[object] = []

    def overtaken(key: str, data: bytes) -> None:
        if key == "format.json" and not others:
            others.append(1)
            others[0] = ensure_log(backend)
        put(key, data)

    backend.put_new = overtaken  # type: ignore[method-assign]
    assert ensure_log(backend) == others[0]


def test_a_lost_answer_makes_no_second_log() -> None:
    backend = MemoryBackend()
    put = backend.put_new

    def forgetful(key: str, data: bytes) -> None:
        put(key, data)
        if key == "format.json":
            raise Unavailable("no answer")

    backend.put_new = forgetful  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        ensure_log(backend)
    assert ensure_log(backend) == read_format(backend)


@pytest.mark.parametrize("name", ["spool", "tmp", "probe"])
def test_what_a_dead_maker_left_is_no_obstacle(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "left").write_text("")
    assert ensure_log(LocalBackend(tmp_path)).format == 1


def test_anything_else_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(NotALog, match=r"notes\.txt"):
        ensure_log(LocalBackend(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_is_no_place_for_a_log(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotALog, match="is a file"):
        ensure_log(LocalBackend(tmp_path / "file"))


def test_a_log_that_somebody_makes_meanwhile_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eventlog.log import create

    backend, look = LocalBackend(tmp_path), create.read_format
    made: list[object] = []

    def late(of: LocalBackend) -> object:
        if not made:
            made.append(None)
            made[0] = ensure_log(LocalBackend(tmp_path))
            LocalBackend(tmp_path).put_new("wal/lane/000000000000.arrow", b"")
            raise NotALog("not yet")
        return look(of)

    monkeypatch.setattr(create, "read_format", late)
    assert ensure_log(backend) == made[0]


class Twice(MemoryBackend):
    def put_new(self, key: str, data: bytes) -> None:
        self.delete([key])
        super().put_new(key, data)


class Replacing(Twice):
    def put_new(self, key: str, data: bytes) -> None:
        there = any(entry.key == key for entry in self.list(key))
        super().put_new(key, data)
        if there:
            raise Exists(key)


@pytest.mark.parametrize("kind", [Twice, Replacing])
def test_a_store_that_overwrites_is_refused(kind: type[MemoryBackend]) -> None:
    backend = kind()
    with pytest.raises(NotCreateOnly, match="two writers would destroy"):
        ensure_log(backend)
    assert list(backend.list()) == []
