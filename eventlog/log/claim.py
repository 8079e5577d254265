"""Claims: events that need one global order, so that a name, a version or an alias has one winner.

A *chain* is the sequence of claims on one thing. Its n-th claim is the object
``claims/<kind>/<hash>/<n:08d>``, created once: whoever creates it is n-th, whatever the clocks say.
The object contains the event, so a claim whose winner dies at once is not lost. In the log a claim
appears as an event of type `ANNOUNCED` that carries it whole; `unwrap` turns announcements into the
claimed events, whose identity is ``(claim/<kind>/<hash>, n)``.

A chain is dense: nobody creates n without having seen n-1, and claims are never deleted. Whoever
announces n announces what is missing below it first, so that what the log shows of a chain has no
gaps either.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from eventlog.backend import Backend, Range
from eventlog.errors import Damage, UsageError, VersionConflict
from eventlog.event import BLOB_MARK, COLUMNS, Event, schema
from eventlog.log.put import put_or_get

if TYPE_CHECKING:
    import pyarrow as pa

    from eventlog.log.read.reader import Reader

Resolve: TypeAlias = Callable[[str], str]

ANNOUNCED = "claim.announced"
PREFIX = "claims/"
LANE_PREFIX = "claim/"
PLAIN_KIND = "_"  # of streams whose name has no kind in front
_KIND = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_HEAD, _MIDDLE = b'{"sha256":"', b'","body":'


class Chain(NamedTuple):
    """What is claimed: a kind (``model``) and a name within it (``resnet``)."""

    kind: str
    name: str

    @property
    def _place(self) -> str:
        return f"{self.kind}/{hashlib.sha256(self.name.encode()).hexdigest()[:32]}"

    @property
    def prefix(self) -> str:
        """What the keys of its claims start with."""
        return f"{PREFIX}{self._place}/"

    @property
    def lane(self) -> str:
        """The lane that its claimed events have."""
        return f"{LANE_PREFIX}{self._place}"

    def key(self, n: int) -> str:
        """The key of its n-th claim, counted from 0."""
        return f"{self.prefix}{n:08d}"


def chain_of(stream: str) -> Chain:
    """The chain that ``append(…, expected_version=…)`` on a stream claims from.

    ``model:resnet`` is kind ``model``, name ``resnet``.
    """
    kind, colon, name = stream.partition(":")
    if colon and name and _KIND.fullmatch(kind):
        return Chain(kind, name)
    return Chain(PLAIN_KIND, stream)


class _Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """A claim as JSON. ``value`` is `float.hex`, because JSON has no NaN."""

    kind: str
    name: str
    n: int
    nonce: str
    time_us: int
    type: str
    stream: str
    key: str | None = None
    step: int | None = None
    value: str | None = None
    data: str | None = None


class Claim(NamedTuple):
    """One won claim: the n-th of its chain. The nonce tells who created it."""

    chain: Chain
    n: int
    event: Event
    nonce: str

    @property
    def key(self) -> str:
        """Where it lies."""
        return self.chain.key(self.n)

    def to_json(self) -> str:
        """The whole claim as JSON text: the `data` of its announcement."""
        return msgspec.json.encode(self._body()).decode()

    def announcement(self) -> Event:
        """The event that announces it. Whoever appends it gives it a lane and a seq of theirs."""
        return Event(
            lane="",
            seq=0,
            time_us=self.event.time_us,
            type=ANNOUNCED,
            stream=self.event.stream,
            key=self.chain.lane,
            step=self.n,
            value=None,
            data=self.to_json(),
        )

    def _body(self) -> _Body:
        event = self.event
        return _Body(
            kind=self.chain.kind,
            name=self.chain.name,
            n=self.n,
            nonce=self.nonce,
            time_us=event.time_us,
            type=event.type,
            stream=event.stream,
            key=event.key,
            step=event.step,
            value=None if event.value is None else float(event.value).hex(),
            data=event.data,
        )


def from_json(where: str, text: str | bytes) -> Claim:
    """The claim in `Claim.to_json`'s text; `Damage` naming ``where`` if it is none."""
    try:
        body = msgspec.json.decode(text, type=_Body)
        value = None if body.value is None else float.fromhex(body.value)
    except (msgspec.DecodeError, UnicodeError, ValueError) as error:
        raise Damage(where, f"the claim cannot be read ({error})") from None
    chain = Chain(body.kind, body.name)
    event = Event(
        lane=chain.lane,
        seq=body.n,
        time_us=body.time_us,
        type=body.type,
        stream=body.stream,
        key=body.key,
        step=body.step,
        value=value,
        data=body.data,
    )
    return Claim(chain, body.n, event, body.nonce)


def encode(claim: Claim) -> bytes:
    """The claim's object: its JSON with the digest in front."""
    body = claim.to_json().encode()
    digest = hashlib.sha256(body).hexdigest().encode()
    return b"".join((_HEAD, digest, _MIDDLE, body, b"}"))


def decode(key: str, raw: bytes) -> Claim:
    """The claim in an object's bytes; `Damage` where they are not what was written there."""
    at = len(_HEAD) + 64
    body = raw[at + len(_MIDDLE) : -1]
    intact = raw.startswith(_HEAD) and raw[at : at + len(_MIDDLE)] == _MIDDLE and raw[-1:] == b"}"
    if not intact or hashlib.sha256(body).hexdigest().encode() != raw[len(_HEAD) : at]:
        raise Damage(key, "the claim's bytes do not match its digest")
    claim = from_json(key, body)
    if claim.key != key:
        raise Damage(key, f"the claim says that it is {claim.key}")
    return claim


def length(backend: Backend, chain: Chain, known: int = 0) -> int:
    """How many claims the chain has, where ``known`` of them are known to exist."""
    found = known
    after = chain.key(known - 1) if known else ""
    for entry in backend.list(chain.prefix, start_after=after):
        number = entry.key.removeprefix(chain.prefix)
        if number.isdigit():
            found = int(number) + 1
    return found


def read(backend: Backend, chain: Chain, numbers: Iterable[int]) -> list[Claim]:
    """The claims of those numbers, checked."""
    keys = [chain.key(n) for n in numbers]
    found = backend.get_many([Range(key) for key in keys])
    return [decode(key, raw) for key, raw in zip(keys, found, strict=True)]


def claim(
    backend: Backend, kind: str, name: str, event: Event, expected: int | None = None
) -> Claim:
    """Create the chain's next claim with ``event`` (whose lane and seq do not matter yet).

    Args:
        expected: how many claims the chain must have before this one; None takes any number.

    Raises:
        VersionConflict: the chain has more or fewer claims than ``expected``; nothing was written.
        Unavailable: the store did not answer. The claim may have been made all the same: then
            the next one to touch the chain announces it.
    """
    if not (kind == PLAIN_KIND or _KIND.fullmatch(kind)):
        raise UsageError(f"{kind!r} cannot be a kind of claim: use lower case letters and digits.")
    chain = Chain(kind, name)
    n = length(backend, chain) if expected is None else _expected(backend, chain, event, expected)
    nonce = secrets.token_hex(8)
    while True:
        made = Claim(chain, n, event._replace(lane=chain.lane, seq=n), nonce)
        if _create(backend, made):
            return made
        n = length(backend, chain, n + 1)
        if expected is not None:
            raise VersionConflict(event.stream, expected, n)


def _expected(backend: Backend, chain: Chain, event: Event, expected: int) -> int:
    """``expected``, if the chain has that length: all but the end of a long chain is not listed."""
    if expected < 0:
        raise UsageError(f"expected_version is {expected}; versions count from 0, a new stream's.")
    known = max(0, expected - 1)
    actual = length(backend, chain, known)
    if actual == known and expected > 0:  # nothing listed: the chain may be shorter than `known`
        actual = length(backend, chain)
    if actual != expected:
        raise VersionConflict(event.stream, expected, actual)
    return expected


def _create(backend: Backend, made: Claim) -> bool:
    """Whether the claim is ours: created now, or before, by a put whose answer was lost."""
    there = put_or_get(backend, made.key, encode(made))
    return there is None or decode(made.key, there).nonce == made.nonce


def announce_missing(reader: Reader, won: Claim, known: int = 0) -> list[Claim]:
    """The claims below ``won`` that no event of the store announces yet, ascending.

    Their winners died, or have not shipped yet. Append an announcement of each before that of
    ``won``; one that turns out to be a repeat is dropped by `unwrap`.

    Args:
        known: how many of the chain's claims the caller knows to be announced (its own may still
            lie in its spool, where the reader does not see them).
    """
    if known >= won.n:
        return []
    announced: set[int] = set()
    tables = reader.snapshot().tables(types=[ANNOUNCED], keys=[won.chain.lane])
    for table in tables:
        announced.update(n for n in table["step"].to_pylist() if n is not None)
    missing = [n for n in range(known, won.n) if n not in announced]
    return read(reader.backend, won.chain, missing)


def unwrap(
    table: pa.Table, *, resolve: Resolve | None = None, seen: set[str] | None = None
) -> pa.Table:
    """The table with each announced claim in place of its announcements, once.

    Other rows come first, in their order; then the claimed events by (lane, n). Two different
    claims of one number exist only where `copy` merged two logs that had claimed the same name
    apart: both are kept, the order between them is fixed.

    Args:
        table: events, with all columns of `event.schema`.
        resolve: reads an announcement that was so long that it became a blob.
        seen: the claims that earlier tables held; they are left out, and this table's are added.
    """
    import pyarrow.compute as pc

    table = table.select(list(COLUMNS))
    mask = pc.equal(table["type"], ANNOUNCED)
    announcements = table.filter(mask)
    if not announcements.num_rows:
        return table
    fresh: dict[str, Claim] = {}
    for found in carried(announcements, resolve):
        name = f"{found.key}/{found.nonce}"
        if seen is None or name not in seen:
            fresh[name] = found
    if seen is not None:
        seen.update(fresh)
    return _with_claims(table.filter(pc.invert(mask)), sorted(fresh.values(), key=_order))


def _order(found: Claim) -> tuple[str, int, int, str]:
    return found.chain.lane, found.n, found.event.time_us, found.nonce


def carried(announcements: pa.Table, resolve: Resolve | None = None) -> Iterator[Claim]:
    """The claim that each of these announcements carries."""
    rows = zip(
        announcements["lane"].to_pylist(),
        announcements["seq"].to_pylist(),
        announcements["data"].to_pylist(),
        strict=True,
    )
    for lane, seq, data in rows:
        if resolve is not None and data is not None and data.startswith(BLOB_MARK):
            data = resolve(data)
        yield from_json(f"event {seq} of lane {lane}", data or "")


def _with_claims(table: pa.Table, claims: list[Claim]) -> pa.Table:
    import pyarrow as pa

    if not claims:
        return table
    columns = zip(*(found.event for found in claims), strict=True)
    arrays = [
        pa.array(column, type=field.type) for field, column in zip(schema(), columns, strict=True)
    ]
    return pa.concat_tables([table, pa.Table.from_arrays(arrays, schema=schema())])
