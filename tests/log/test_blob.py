"""Blobs: long payloads by digest, and none that a collector may be about to take."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator

import pytest

from eventlog.backend import Entry
from eventlog.errors import Damage
from eventlog.event import BLOB_MARK
from eventlog.log import blob
from eventlog.log import claim as cl
from tests.log.claim_stores import LossyBackend, an_event, announced
from tests.log.lanes import table_of

PAYLOAD = ('{"text":"' + "ä" * 70_000 + '"}').encode()


class AgingBackend(LossyBackend):
    """A store whose objects can be made older."""

    older_s = 0.0

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        for entry in super().list(prefix, start_after):
            age = dt.timedelta(seconds=self.older_s if entry.key.startswith("blobs/") else 0)
            yield entry._replace(modified=entry.modified - age)


def test_a_payload_comes_back_by_its_mark() -> None:
    backend = LossyBackend()
    mark = blob.put_payload(backend, PAYLOAD)
    assert mark.startswith(BLOB_MARK)
    assert len(mark) < 200
    assert blob.resolve(backend, mark).encode() == PAYLOAD


def test_equal_payloads_share_one_blob() -> None:
    backend = LossyBackend()
    assert blob.put_payload(backend, PAYLOAD) == blob.put_payload(backend, PAYLOAD)
    assert len(list(backend.list("blobs/"))) == 1


def test_a_payload_does_not_rely_on_an_equal_blob_that_may_be_collected_soon() -> None:
    backend = AgingBackend()
    old = blob.put_payload(backend, PAYLOAD)
    backend.older_s = 0.6 * blob.COLLECTION_AGE_S
    new = blob.put_payload(backend, PAYLOAD)
    backend.delete([blob.parse_mark(old).key])
    assert new != old
    assert blob.resolve(backend, new).encode() == PAYLOAD


def test_looking_at_the_age_of_a_blob_leaves_nothing_behind() -> None:
    backend = LossyBackend()
    for _ in range(2):
        blob.put_payload(backend, PAYLOAD)
    assert [e.key for e in backend.list()] == [e.key for e in backend.list("blobs/")]


@pytest.mark.parametrize("at", [0, 5000, -1])
def test_a_flipped_bit_in_a_blob_is_damage(at: int) -> None:
    backend = LossyBackend()
    mark = blob.put_payload(backend, PAYLOAD)
    key = blob.parse_mark(mark).key

    def flip(raw: bytes) -> bytes:
        changed = bytearray(raw)
        changed[at] ^= 1
        return bytes(changed)

    backend.corrupt(key, flip)
    with pytest.raises(Damage, match=key):
        blob.resolve(backend, mark)
    with pytest.raises(Damage, match=key):
        blob.check(backend, key)


def test_a_blob_that_is_gone_is_damage() -> None:
    backend = LossyBackend()
    mark = blob.put_payload(backend, PAYLOAD)
    backend.delete([blob.parse_mark(mark).key])
    with pytest.raises(Damage, match="gone"):
        blob.resolve(backend, mark)


@pytest.mark.parametrize("text", ["@blob ", "@blob {}", '@blob {"key":"format.json","size":1}'])
def test_a_forged_mark_is_damage(text: str) -> None:
    with pytest.raises(Damage):
        blob.resolve(LossyBackend(), text)


def test_a_blob_key_promises_its_digest() -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    assert blob.digest_of(f"blobs/{digest[:2]}/{digest}") == digest
    assert blob.digest_of(f"blobs/{digest[:2]}/{digest}-00ff") == digest
    assert blob.digest_of(f"blobs/00/{digest}") is None


def test_the_payloads_of_claims_are_named_too() -> None:
    backend = LossyBackend()
    own, claimed = (blob.put_payload(backend, PAYLOAD + text) for text in (b"1", b"2"))
    made = cl.claim(backend, "model", "resnet", an_event(data=claimed))
    events = [an_event(data=own)._replace(lane="a"), announced(made, "a", 1)]
    found = {mark.to_text() for mark in blob.named(backend, table_of(events))}
    assert found == {own, claimed}


def test_what_an_announcement_in_a_blob_names_is_named() -> None:
    backend = LossyBackend()
    claimed = blob.put_payload(backend, PAYLOAD)
    made = cl.claim(backend, "model", "resnet", an_event(data=claimed))
    whole = blob.put_payload(backend, made.to_json().encode())
    event = announced(made, "a", 0)._replace(data=whole)
    found = {mark.to_text() for mark in blob.named(backend, table_of([event]))}
    assert found == {whole, claimed}
