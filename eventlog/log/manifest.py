"""The manifest chain: what is compacted, and how far each lane has come.

``manifest/<v>.json`` is created once and never overwritten; version v is made from v-1. The
largest version is the truth. `Position` says how far a reader has come; it stays exact while lanes
are compacted, retired and forgotten (see DESIGN.md).
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from eventlog.backend import Backend
from eventlog.errors import Damage, Missing, NewerFormat, NotALog, UsageError

FORMAT = 1
_HEAD, _MIDDLE = b'{"sha256":"', b'","body":'


class Format(msgspec.Struct, frozen=True):
    """``format.json``: what makes a place a log."""

    format: int
    log_id: str
    created: str = ""
    by: str = ""


class LaneMark(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far one lane is compacted.

    Attributes:
        number: the chain's number of the lane, counted from 0 as lanes were first named.
        slot, seq: the first slot and the first seq that are not compacted yet.
        newest_us: the largest time of its compacted facts.
        ended: "closed" by its owner, "sealed" by somebody else, or "" while it may go on.
        landed_us: when its last compacted segment was written, by the store's clock.
    """

    number: int
    slot: int
    seq: int
    newest_us: int = 0
    ended: Literal["", "closed", "sealed"] = ""
    landed_us: int = 0


class DataFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One Parquet file, sorted: facts by (stream, lane, seq), points by (stream, key, step).

    Attributes:
        key: ``data/<v>-<uuid>.parquet``; its index is the same key with ``.idx``.
        index_sha256: digest of the index, which holds the digests of all other byte ranges.
        version: the manifest version it was made for.
        tier: how often its rows were merged.
        lanes: smallest and largest lane number in it.
        streams: smallest and largest stream in it.
        times_us: smallest and largest time in it.
        types: the types in it (at most 64; empty means any).
    """

    key: str
    kind: Literal["facts", "points"]
    rows: int
    size_bytes: int
    index_sha256: str
    version: int
    tier: int
    lanes: tuple[int, int]
    streams: tuple[str, str]
    times_us: tuple[int, int]
    types: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of the chain. ``lanes`` lists the lanes that are not retired."""

    version: int
    log_id: str
    lanes_seen: int = 0
    newest_us: int = 0
    lanes: dict[str, LaneMark] = {}
    files: tuple[DataFile, ...] = ()
    format: int = FORMAT


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a reader has come: a set of events, exactly.

    An event (lane, seq) is below the position if ``lanes`` lists its lane with a larger seq, or
    does not list it and the lane's number is below ``lanes_seen``.

    Attributes:
        lanes_seen: lanes numbered below it and not in ``lanes`` are read whole.
        lanes: the next seq to read of every lane that had not retired.
        version: the manifest then; data files made for it or before hold nothing unread.
    """

    lanes_seen: int = 0
    lanes: dict[str, int] = {}
    version: int = 0

    def covers(self, other: Position) -> bool:
        """Whether every event below ``other`` is below this position, as far as both can tell.

        Exact for positions that snapshots and tails of one log gave, except that False may be
        said where ``other`` belongs to a newer manifest and holds nothing more.

        A snapshot lists the store while its manifest is the newest. So one with a newer manifest
        saw all that one with an older manifest saw, and a lane it does not list has retired.
        """
        for lane, seq in other.lanes.items():
            mine = self.lanes.get(lane)
            if mine is None and other.version >= self.version and seq > 0:
                return False
            if mine is not None and mine < seq:
                return False
        if other.version <= self.version:
            return other.lanes_seen <= self.lanes_seen
        # No lane may have been numbered, or have retired, that we read a part of.
        return other.lanes_seen == self.lanes_seen and self.lanes.keys() <= other.lanes.keys()

    def to_json(self) -> str:
        """As text that `from_json` reads."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Position:
        """A position from `to_json`'s text; `UsageError` where it is none."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise UsageError(f"not a position: {error}") from None


def checked_position(what: str, given: object) -> Position | None:
    """``given`` if it is a position, or None; `UsageError` otherwise."""
    if given is None or isinstance(given, Position):
        return given
    raise UsageError(f"{what} must be a position, as Log.position() gives, not {given!r:.80}.")


def manifest_key(version: int) -> str:
    """The key of a version."""
    return f"manifest/{version:012d}.json"


def encode(manifest: Manifest) -> bytes:
    """The manifest as JSON with the digest of its body in front."""
    body = msgspec.json.encode(manifest)
    digest = hashlib.sha256(body).hexdigest().encode()
    return b"".join((_HEAD, digest, _MIDDLE, body, b"}"))


def decode(key: str, raw: bytes) -> Manifest:
    """The manifest in ``raw``; `Damage` where the bytes are not what was written."""
    at = len(_HEAD) + 64
    body = raw[at + len(_MIDDLE) : -1]
    intact = raw.startswith(_HEAD) and raw[at : at + len(_MIDDLE)] == _MIDDLE and raw[-1:] == b"}"
    if not intact or hashlib.sha256(body).hexdigest().encode() != raw[len(_HEAD) : at]:
        raise Damage(key, "the manifest's bytes do not match its digest")
    try:
        made_for = msgspec.json.decode(body, type=_FormatOnly).format
        if made_for > FORMAT:
            raise NewerFormat(
                f"{key} has format {made_for}; this eventlog reads up to {FORMAT}. "
                "Upgrade with `pip install --upgrade eventlog-ml`."
            )
        manifest = msgspec.json.decode(body, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damage(key, f"the manifest cannot be read ({error})") from None
    if manifest_key(manifest.version) != key:
        raise Damage(key, f"the manifest says it is version {manifest.version}")
    return manifest


class _FormatOnly(msgspec.Struct):
    format: int = FORMAT


def newest(backend: Backend, after: int = 0) -> int | None:
    """The largest version that the store holds beyond ``after``; None where it holds none."""
    keys = list(backend.keys("manifest/", start_after=manifest_key(after)))
    for key in reversed(keys):
        name = key.removeprefix("manifest/").removesuffix(".json")
        # A name that we would spell otherwise (a person's copy) is no version.
        if name.isascii() and name.isdigit() and manifest_key(int(name)) == key:
            return int(name)
    return None


def load(backend: Backend, log_id: str, known: Manifest | None = None) -> Manifest:
    """The newest manifest; ``known`` (whose version is never gone below) if there is no newer.

    A log that was never compacted has none: then version 0, empty.
    """
    for _ in range(8):
        newer = newest(backend, known.version if known else 0)
        if newer is None:
            return known or Manifest(version=0, log_id=log_id)
        key = manifest_key(newer)
        try:
            manifest = decode(key, backend.get(key))
        except Missing:  # collected between list and get: a newer one exists
            continue
        if manifest.log_id != log_id:
            raise Damage(key, f"the manifest belongs to another log ({manifest.log_id})")
        return manifest
    raise Damage("manifest/", "manifests vanish faster than they can be read")


def id_in_manifests(backend: Backend) -> str | None:
    """The log's id as its newest manifest tells it; None where there is none."""
    version = newest(backend, 0)
    return (
        decode(manifest_key(version), backend.get(manifest_key(version))).log_id
        if version
        else None
    )


def lost_format(backend: Backend) -> bool:
    """Whether a store without ``format.json`` holds what only a log has."""
    return any(True for prefix in ("manifest/", "wal/") for _ in backend.list(prefix))


def read_format(backend: Backend) -> Format:
    """What log lies there; `NotALog` where none does, `NewerFormat` where a newer one does."""
    raw = _format_bytes(backend)
    if raw is None and lost_format(backend):
        raw = _format_bytes(backend)  # somebody may have made the log since we looked
        if raw is None:
            raise NotALog(
                f"{backend.url} holds a log whose format.json is gone. Restore it from a copy, or "
                f"let `eventlog init --restore --log {backend.url}` make it anew.",
                lost_format=True,
            )
    if raw is None:
        if backend.local_root is not None and backend.local_root.is_file():
            raise NotALog(f"{backend.url} is a file, not a log. Name a directory.")
        raise NotALog(
            f"{backend.url} holds no log. Check the path; the first write makes one, "
            f"or `eventlog init --log {backend.url}`."
        )
    return _decoded_format(backend, raw)


def _format_bytes(backend: Backend) -> bytes | None:
    try:
        return backend.get("format.json")
    except Missing:
        return None


def _decoded_format(backend: Backend, raw: bytes) -> Format:
    try:
        found = msgspec.json.decode(raw, type=Format)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Damage("format.json", "it is not the format file of a log") from None
    if found.format > FORMAT:
        raise NewerFormat(
            f"{backend.url} has format {found.format}; this eventlog reads up to {FORMAT}. "
            "Upgrade with `pip install --upgrade eventlog-ml`."
        )
    return found
