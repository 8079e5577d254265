from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.errors import Damage, Missing, NewerFormat, NotALog, UsageError
from eventlog.log import manifest as mf
from eventlog.log.manifest import DataFile, LaneMark, Manifest, Position
from eventlog_backends.memory import MemoryBackend
from tests.log.damage import assert_each_is_named, cuts, flips
from tests.log.hooked import Hooked

FILE = DataFile("data/1-a.parquet", "facts", 9, 99, "ab", 1, 0, (0, 0), ("a", "b"), (1, 2))


def a_manifest(version: int = 4, log_id: str = "log") -> Manifest:
    return Manifest(version, log_id, 2, 7, {"a": LaneMark(1, 3, 40, ended="sealed")}, (FILE,))


def put(backend: MemoryBackend, *versions: int) -> None:
    for version in versions:
        backend.put_new(mf.manifest_key(version), mf.encode(a_manifest(version)))


def test_a_manifest_comes_back_as_it_was_written() -> None:
    assert mf.decode(mf.manifest_key(4), mf.encode(a_manifest())) == a_manifest()


def test_every_flipped_bit_is_named_as_damage_of_the_manifest() -> None:
    key = mf.manifest_key(4)
    assert_each_is_named(flips(mf.encode(a_manifest())), key, partial(mf.decode, key))


def test_a_manifest_cut_at_any_byte_is_named_as_damage() -> None:
    key = mf.manifest_key(4)
    assert_each_is_named(cuts(mf.encode(a_manifest())), key, partial(mf.decode, key))


def test_a_manifest_under_the_name_of_another_version_is_damage() -> None:
    with pytest.raises(Damage, match="version 4"):
        mf.decode(mf.manifest_key(5), mf.encode(a_manifest(4)))


def test_a_manifest_of_a_later_format_asks_for_an_upgrade() -> None:
    raw = mf.encode(Manifest(4, "log", format=mf.FORMAT + 1))
    with pytest.raises(NewerFormat, match="pgrade"):
        mf.decode(mf.manifest_key(4), raw)


def test_a_log_without_manifests_is_at_version_0() -> None:
    assert mf.load(MemoryBackend(), "log") == Manifest(0, "log")


def test_the_largest_version_counts() -> None:
    backend = MemoryBackend()
    put(backend, 2, 10, 9)
    assert mf.load(backend, "log").version == 10


def test_an_older_manifest_than_the_one_known_is_never_taken() -> None:
    backend = MemoryBackend()
    put(backend, 2, 3)
    known = a_manifest(7)
    assert mf.load(backend, "log", known) is known


def test_names_that_are_no_versions_are_passed_over() -> None:
    backend = MemoryBackend()
    put(backend, 2)
    for name in ("9.json", "copy-of-000000000009.json", "000000000009.json.bak"):
        backend.put_new(f"manifest/{name}", b"")
    assert mf.load(backend, "log").version == 2


def test_a_manifest_of_another_log_is_damage() -> None:
    backend = MemoryBackend()
    put(backend, 2)
    with pytest.raises(Damage, match="another log"):
        mf.load(backend, "mine")


def test_a_manifest_that_is_collected_while_it_is_loaded_gives_way_to_the_newer() -> None:
    backend = Hooked()
    put(backend, 2)

    def collect(verb: str, key: str) -> None:
        if verb == "get" and key == mf.manifest_key(2):
            put(backend, 3)
            backend.delete([key])

    backend.hook = collect
    assert mf.load(backend, "log").version == 3


def test_manifests_that_cannot_be_fetched_at_all_end_in_damage() -> None:
    class Vanishing(MemoryBackend):
        def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            raise Missing(key)

    backend = Vanishing()
    put(backend, 2)
    with pytest.raises(Damage, match="manifest/"):
        mf.load(backend, "log")


def test_a_place_without_a_log_is_named() -> None:
    backend = MemoryBackend("memory://nothing-there")
    with pytest.raises(NotALog, match="memory://nothing-there holds no log"):
        mf.read_format(backend)


def test_a_position_comes_back_from_its_text() -> None:
    position = Position(3, {"a": 5, "ü": 0}, 9)
    assert Position.from_json(position.to_json()) == position


@pytest.mark.parametrize("text", ["", "{", "[]", '{"lanes":3}', b"\xff"])
def test_text_that_is_no_position_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="not a position"):
        Position.from_json(text)


def test_a_position_covers_itself_and_the_beginning() -> None:
    position = Position(1, {"a": 5, "b": 1}, 3)
    assert position.covers(position)
    assert position.covers(Position())
    assert not Position().covers(position)


def test_a_position_that_is_behind_in_one_lane_does_not_cover() -> None:
    ahead, behind = Position(1, {"a": 5, "b": 1}, 3), Position(1, {"a": 4, "b": 9}, 3)
    assert not ahead.covers(behind)
    assert not behind.covers(ahead)


def test_a_lane_that_retired_since_is_covered() -> None:
    assert Position(1, {}, 4).covers(Position(0, {"a": 5}, 2))


def test_a_lane_that_is_unseen_under_the_same_manifest_is_not_covered() -> None:
    assert not Position(1, {}, 4).covers(Position(1, {"a": 5}, 4))


def test_a_newer_manifest_alone_is_nothing_new() -> None:
    assert Position(1, {"a": 5}, 2).covers(Position(1, {"a": 5}, 3))


def test_a_lane_numbered_since_may_be_new() -> None:
    assert not Position(1, {"a": 5}, 2).covers(Position(2, {"a": 5}, 3))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=12),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_covers_agrees_with_the_order_of_a_growing_log(
    steps: list[tuple[str, int]], i: int, j: int
) -> None:
    """Lanes a, b, c grow (n > 0), or are compacted and retire (n = 0), one step at a time."""
    seqs: dict[str, int] = {}
    retired: set[str] = set()
    version = lanes_seen = events = 0
    history = [(Position(), 0)]
    for lane, n in steps:
        if lane not in retired and n:
            seqs[lane] = seqs.get(lane, 0) + n
            events += n
        elif lane in seqs:
            del seqs[lane]
            retired.add(lane)
            version, lanes_seen = version + 1, lanes_seen + 1
        history.append((Position(lanes_seen, dict(seqs), version), events))
    (one, count), (other, other_count) = history[i % len(history)], history[j % len(history)]
    covers = one.covers(other)
    assert covers or count < other_count or one.version < other.version
    assert not covers or count >= other_count
