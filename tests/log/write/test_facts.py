"""Framed facts: whole or not there, whatever happens to the writer or the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventlog.log.write import facts as ff
from eventlog.log.write.facts import FactFile, Facts, frame, parse
from tests.log.damage import cuts, flips

RECORDS: list[ff.Record] = [
    [ff.NAME, ff.STREAM, 1, "run:1"],
    [ff.EVENT, 10, "noted", "run:1", None, -(2**63), float("inf"), '{"a":"\x00é"}', 0],
    [ff.DURABLE, 12, "boot"],
]
RAW = b"".join(map(frame, RECORDS))


def a_file(path: Path) -> FactFile:
    return FactFile(path / "facts-00000000", create=True)


def records(raw: bytes) -> list[ff.Record]:
    return [record for record, _ in parse(raw)[0]]


def test_records_come_back_as_they_were() -> None:
    assert records(RAW) == RECORDS
    assert parse(RAW)[1] == len(RAW)


def test_a_cut_hides_only_what_it_cuts() -> None:
    ends = [end for _, end in parse(RAW)[0]]
    for cut in cuts(RAW):
        whole = [record for record, end in zip(RECORDS, ends, strict=True) if end <= len(cut)]
        assert records(cut) == whole
        assert parse(cut)[1] == max((end for end in ends if end <= len(cut)), default=0)


def test_a_flipped_bit_never_yields_another_record() -> None:
    for damaged in flips(RAW):
        found = records(damaged)
        assert found == RECORDS[: len(found)]
        assert len(found) < len(RECORDS)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = a_file(tmp_path)
    file.append(frame(RECORDS[0]))
    write = os.write
    answers: Iterator[Any] = iter([3, OSError(28, "No space left on device")])

    def short(fd: int, data: bytes) -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return write(fd, data[:answer])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", short)
        with pytest.raises(OSError, match="No space"):
            file.append(frame(RECORDS[1]))
    file.append(frame(RECORDS[2]))
    assert records(file.path.read_bytes()) == [RECORDS[0], RECORDS[2]]
    assert file.size == file.path.stat().st_size


def test_a_short_write_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    file = a_file(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
        file.append(RAW)
    assert records(file.path.read_bytes()) == RECORDS


def test_a_torn_frame_that_cannot_be_cut_off_ends_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = a_file(tmp_path)
    write = os.write

    def torn(fd: int, data: bytes) -> int:
        write(fd, data[:3])
        raise OSError(5, "Input/output error")

    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", torn)
        patched.setattr(os, "ftruncate", failing)
        with pytest.raises(OSError, match="Input/output"):
            file.append(RAW)
    assert file.full


def test_ctrl_c_after_the_write_takes_the_frame_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = a_file(tmp_path)
    write = os.write

    def interrupted(fd: int, data: bytes) -> int:
        write(fd, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            file.append(RAW)
    file.append(frame(RECORDS[0]))
    assert records(file.path.read_bytes()) == [RECORDS[0]]
    assert file.size == file.path.stat().st_size


def test_a_file_is_full_by_what_came_after_its_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a process with very many names would begin a file for every event."""
    monkeypatch.setattr(ff, "ROLL_BYTES", 100)
    facts = Facts(tmp_path)
    facts.begin(b"n" * 1_000)
    assert not facts.last.full
    facts.last.append(b"e" * 101)
    assert facts.last.full


def test_a_file_that_is_written_to_is_full_for_a_signal_handler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = a_file(tmp_path)
    seen: list[bool] = []
    write = os.write

    def look(fd: int, data: bytes) -> int:
        seen.append(file.full)
        return write(fd, data)

    monkeypatch.setattr(os, "write", look)
    file.append(RAW)
    assert seen == [True]
    assert not file.full


def test_a_birth_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Facts(tmp_path)

    def full(self: FactFile, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(FactFile, "append", full)
        with pytest.raises(OSError, match="No space"):
            facts.begin(b"head")
    assert list(tmp_path.iterdir()) == []
    facts.begin(b"head")
    assert facts.last.number == 0


def test_what_an_interrupted_birth_left_is_in_nobody_s_way(tmp_path: Path) -> None:
    (tmp_path / "facts-00000000").write_bytes(b"left over")
    facts = Facts(tmp_path)
    facts.begin(b"")
    assert facts.last.path.read_bytes() == b""


def test_files_below_a_mark_are_deleted_but_for_the_last(tmp_path: Path) -> None:
    facts = Facts(tmp_path)
    for _ in range(3):
        facts.begin(b"")
    facts.drop_below(99)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["facts-00000002"]
