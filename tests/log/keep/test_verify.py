"""Verifying: all damage is named, and an intact log has none."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from eventlog.backend import Backend
from eventlog.errors import NotALog
from eventlog.log import blob, manifest
from eventlog.log import claim as cl
from eventlog.log.keep.compact import compact
from eventlog.log.keep.lane_sums import LaneSums
from eventlog.log.keep.verify import Report, verify
from eventlog.log.read.reader import Reader
from eventlog.log.write.facts import frame
from eventlog_backends.local import LocalBackend
from tests.log.claim_stores import BIG, LossyBackend, an_event
from tests.log.lanes import a_log, an_event_of, forge, retire, seal, table_of, write


def a_full_log() -> LossyBackend:
    """Retired, sealed and live lanes, data files, claims and a blob that a claim names."""
    backend = a_log()
    write(backend, "lane-a", 0, 6, final=True)
    write(backend, "lane-b", 0, 7)
    retire(backend)
    write(backend, "lane-b", 7, 9, slot=1)
    write(backend, "lane-b", 9, 12, slot=2)
    write(backend, "lane-c", 0, 4)
    seal(backend, "lane-c", 4, slot=1)
    for _ in range(3):
        mark = blob.put_payload(backend, BIG)
        cl.claim(backend, "model", "resnet", an_event(data=mark))
    return backend


def check(backend: Backend) -> Report:
    return verify(Reader(backend))


def damaged(backend: Backend) -> list[str]:
    return [damage.key for damage in check(backend).damage]


def test_an_intact_log_is_sound() -> None:
    backend = a_full_log()
    report = check(backend)
    assert (report.damage, report.events) == ([], 22)
    assert report.objects == len(list(backend.list()))
    assert report.size_bytes == sum(e.size_bytes for e in backend.list())


def test_an_empty_log_is_sound() -> None:
    assert check(a_log()).sound


def test_nothing_is_no_log() -> None:
    with pytest.raises(NotALog):
        check(LossyBackend())


PREFIXES = ("wal/lane-b/000000000001", "wal/lane-c/000000000000", "claims/", "blobs/", "data/")


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("kind", ["flip", "cut"])
def test_any_damaged_object_is_named(prefix: str, kind: str) -> None:
    dice = random.Random(7)
    keys = [e.key for e in a_full_log().list() if e.key.startswith(prefix)]
    for key_number in range(len(keys)):
        for _ in range(6):
            backend = a_full_log()
            key = [e.key for e in backend.list() if e.key.startswith(prefix)][key_number]
            at = dice.randrange(len(backend.get(key)))

            def change(raw: bytes, at: int = at) -> bytes:
                return (
                    raw[:at] if kind == "cut" else raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1 :]
                )

            backend.corrupt(key, change)
            found = damaged(backend)
            assert any(key.removesuffix(".idx") in name for name in found), (key, at, found)


def test_all_damage_is_named_at_once() -> None:
    backend = a_full_log()
    keys = ["wal/lane-b/000000000001.arrow", "wal/lane-c/000000000000.arrow"]
    keys += [e.key for e in backend.list("blobs/")]
    for key in keys:
        backend.corrupt(key, lambda raw: raw[:-1])
    assert set(keys) <= set(damaged(backend))


def test_a_damaged_manifest_is_named_and_the_rest_is_checked() -> None:
    backend = a_full_log()
    [*_, newest] = [e.key for e in backend.list("manifest/")]
    backend.corrupt(newest, lambda raw: raw[:-1])
    assert newest in damaged(backend)


def test_a_lost_slot_is_named() -> None:
    backend = a_full_log()
    backend.delete(["wal/lane-b/000000000001.arrow"])
    assert damaged(backend) == ["wal/lane-b/000000000001.arrow"]


def test_a_lost_first_slot_is_named() -> None:
    backend = a_full_log()
    backend.delete(["wal/lane-c/000000000000.arrow"])
    assert "wal/lane-c/000000000000.arrow" in damaged(backend)


def test_a_forged_segment_is_named() -> None:
    backend = a_full_log()
    write(backend, "lane-f", 0, 3)
    key = "wal/lane-f/000000000000.arrow"
    forge(backend, key, first_seq=1)
    assert key in damaged(backend)


def test_a_lane_that_begins_late_is_named() -> None:
    backend = a_full_log()
    write(backend, "lane-f", 2, 5)
    assert "wal/lane-f/000000000000.arrow" in damaged(backend)


def test_a_lost_data_file_is_named() -> None:
    backend = a_full_log()
    lost = next(e.key for e in backend.list("data/") if e.key.endswith(".parquet"))
    backend.delete([lost])
    assert damaged(backend) == [lost]


def test_a_lost_claim_is_named() -> None:
    backend = a_full_log()
    key = cl.Chain("model", "resnet").key(1)
    backend.delete([key])
    assert damaged(backend) == [key]


def test_a_lost_blob_is_named() -> None:
    backend = a_full_log()
    [entry] = backend.list("blobs/")
    backend.delete([entry.key])
    assert damaged(backend) == [entry.key]


def test_something_else_among_our_objects_is_named() -> None:
    backend = a_full_log()
    backend.put_new("wal/notes.txt", b"hello")
    backend.put_new("blobs/notes.txt", b"hello")
    assert damaged(backend) == ["wal/notes.txt", "blobs/notes.txt"]


def test_compaction_meanwhile_is_no_damage() -> None:
    class Busy(LossyBackend):
        compacted = False

        def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            if key.startswith("wal/lane-b/") and not self.compacted:
                self.compacted = True
                retire(self)
            return super().get(key, start, end)

    backend = Busy()
    a_log(backend)
    write(backend, "lane-b", 0, 7)
    write(backend, "lane-b", 7, 9, slot=1, final=True)
    report = check(backend)
    assert backend.compacted
    assert (report.damage, report.events) == ([], 9)


def sums_of(seqs: list[int]) -> list[str]:
    import pyarrow as pa

    table = table_of([an_event_of("lane-a", seq) for seq in seqs])
    numbers = pa.array([0] * len(seqs), pa.int32())
    sums = LaneSums()
    sums.add(table.append_column("lane_number", numbers))
    mark = manifest.LaneMark(0, 1, 5)
    newest = manifest.Manifest(1, "x", 1, lanes={"lane-a": mark})
    return [damage.what for damage in sums.compare(newest)]


@pytest.mark.parametrize("seqs", [[0, 1, 2, 3], [0, 1, 2, 3, 3], [0, 1, 1, 4, 4], [0, 1, 2, 3, 5]])
def test_rows_that_are_missing_or_doubled_in_data_files_are_seen(seqs: list[int]) -> None:
    assert sums_of([4, 2, 0, 1, 3]) == []
    assert len(sums_of(seqs)) == 1


def test_a_compacted_log_is_sound_again_and_again() -> None:
    backend = a_full_log()
    for _ in range(3):
        assert check(backend).sound
        compact(Reader(backend))


def a_spool(root: Path, facts: bytes, posted: bytes) -> Path:
    """A dead writer's spool in a local log."""
    lane = root / "spool" / "lane-z"
    (lane / "out").mkdir(parents=True)
    (lane / "lock").write_bytes(b"{}")
    (lane / "facts-00000000").write_bytes(facts)
    (lane / "out" / "000000-000000000000").write_bytes(posted)
    return lane


def test_intact_spools_are_sound_and_torn_ones_are_named(tmp_path: Path) -> None:
    backend = LocalBackend(str(tmp_path / "log"))
    a_log(backend)
    write(backend, "lane-z", 0, 3)
    posted = backend.get("wal/lane-z/000000000000.arrow")
    whole = frame([1, 0, 1, "run:1"])
    lane = a_spool(tmp_path / "log", whole * 3, posted)
    assert damaged(backend) == []
    (lane / "facts-00000000").write_bytes(whole * 2 + whole[:-1])
    (lane / "out" / "000000-000000000000").write_bytes(posted[:-1])
    assert damaged(backend) == [
        str(lane / "facts-00000000"),
        str(lane / "out" / "000000-000000000000"),
    ]
