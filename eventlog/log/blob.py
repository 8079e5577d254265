"""Blobs: payloads too long for an event, kept by their digest under ``blobs/<aa>/<sha256>``.

An event whose `data` is longer than `DATA_LIMIT_BYTES` carries a *mark* instead: ``@blob`` and the
blob's key and size. No JSON text starts so. Readers put the payload back.

The collector deletes a blob that no event names once it is old. A writer that meets an equal blob
which is old already must not rely on it, since it may be about to go: it writes
``<sha256>-<nonce>``, and its event names that.
"""

from __future__ import annotations

import hashlib
import io
import re
import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from eventlog.backend import Backend
from eventlog.errors import Damage, Exists, Missing
from eventlog.event import BLOB_MARK, DATA_LIMIT_BYTES
from eventlog.log.claim import ANNOUNCED, Claim, from_json
from eventlog.log.clock import age_s, store_now

if TYPE_CHECKING:
    import pyarrow as pa

PREFIX = "blobs/"
COLLECTION_AGE_S = 7 * 86_400.0  # a blob that no event names is kept this long
CHUNK_BYTES = 1024 * 1024
_KEY = re.compile(r"blobs/([0-9a-f]{2})/(\1[0-9a-f]{62})(-[0-9a-f]+)?")


class Mark(msgspec.Struct, frozen=True):
    """What an event says of its payload."""

    key: str
    size: int

    def to_text(self) -> str:
        """The mark as an event's `data`."""
        return BLOB_MARK + msgspec.json.encode(self).decode()


def parse_mark(text: str) -> Mark:
    """The mark in an event's `data`; `Damage` where the text is none."""
    try:
        return msgspec.json.decode(text.removeprefix(BLOB_MARK), type=Mark)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Damage(text[:80], f"the mark of a blob cannot be read ({error})") from None


def shortened(text: str, keep: Callable[[str, bytes], None]) -> str:
    """``text``, or where it is too long for an event the mark of the blob that now holds it.

    ``keep(key, raw)`` keeps a blob until it is shipped. On a full disk (`OSError`) the text stays
    with its event.
    """
    raw = text.encode()
    if len(raw) <= DATA_LIMIT_BYTES:
        return text
    digest = hashlib.sha256(raw).hexdigest()
    key = f"{PREFIX}{digest[:2]}/{digest}-{secrets.token_hex(8)}"
    try:
        keep(key, raw)
    except OSError:
        return text
    return Mark(key, len(raw)).to_text()


def digest_of(key: str) -> str | None:
    """The SHA-256 that a blob's key promises, or None where it is no blob's key."""
    match = _KEY.fullmatch(key)
    return match[2] if match else None


def put_payload(backend: Backend, data: bytes) -> str:
    """Keep a payload; returns the mark that its event carries instead."""
    digest = hashlib.sha256(data).hexdigest()
    key = f"{PREFIX}{digest[:2]}/{digest}"
    try:
        backend.put_blob(key, io.BytesIO(data))
    except Exists:
        key = _young(backend, key) or _second(backend, key, data)
    return Mark(key, len(data)).to_text()


def _young(backend: Backend, key: str) -> str | None:
    """The key of an equal blob that the collector will not delete soon."""
    now = store_now(backend)
    for entry in backend.list(key):
        young = age_s(entry.modified, now) < COLLECTION_AGE_S / 2
        if young and digest_of(entry.key) == digest_of(key):
            return entry.key
    return None


def _second(backend: Backend, key: str, data: bytes) -> str:
    key = f"{key}-{secrets.token_hex(8)}"
    backend.put_blob(key, io.BytesIO(data))
    return key


def resolve(backend: Backend, mark: str) -> str:
    """The payload that a mark stands for; `Damage` where the store has not what was written."""
    found = parse_mark(mark)
    digest = digest_of(found.key)
    if digest is None:
        raise Damage(found.key, "an event names it as a blob, which it cannot be")
    try:
        data = backend.get(found.key)
    except Missing:
        raise Damage(found.key, "an event names this blob, and it is gone") from None
    if len(data) != found.size or hashlib.sha256(data).hexdigest() != digest:
        raise Damage(found.key, "the blob's bytes do not match its digest")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Damage(found.key, f"the payload is not text ({error})") from None


def check(backend: Backend, key: str) -> int:
    """The size of a blob, whose bytes are read in pieces and checked; `Damage` if they differ."""
    digest, size_bytes = hashlib.sha256(), 0
    with backend.open_blob(key) as source:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    if digest.hexdigest() != digest_of(key):
        raise Damage(key, "the blob's bytes do not match its digest")
    return size_bytes


def named(backend: Backend, table: pa.Table) -> Iterator[Mark]:
    """The payloads that these events name: their own, and those of the claims they announce."""
    import pyarrow.compute as pc

    data = table["data"]
    announced = pc.equal(table["type"], ANNOUNCED)
    marked = pc.starts_with(data, BLOB_MARK)
    wanted = pc.or_kleene(marked, announced)
    chosen = table.select(["type", "data"]).filter(wanted)
    for type_, text in zip(chosen["type"].to_pylist(), chosen["data"].to_pylist(), strict=True):
        if text is not None and text.startswith(BLOB_MARK):
            yield parse_mark(text)
            if type_ == ANNOUNCED:
                text = resolve(backend, text)
        if text is not None and type_ == ANNOUNCED:
            yield from named_by_claim(from_json("an announcement", text))


def named_by_claim(claim: Claim) -> Iterator[Mark]:
    """The payload of a claimed event, where it is a blob."""
    if claim.event.data is not None and claim.event.data.startswith(BLOB_MARK):
        yield parse_mark(claim.event.data)
