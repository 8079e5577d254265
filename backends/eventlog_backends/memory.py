"""``memory://name``: a store that lives as long as the process, for tests and for trying things.

Backends of one name share one store, process-wide. A forked child has a copy of it, as it was at
the fork, which goes its own way.
"""

from __future__ import annotations

import bisect
import datetime as dt
import io
import itertools
import os
import threading
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from eventlog.backend import Backend, Entry, check_key
from eventlog.errors import Exists, Missing, UsageError

PAGE = 1000

_lock = threading.Lock()
_stores: dict[str, _Store] = {}
_unnamed = itertools.count()

if hasattr(os, "register_at_fork"):
    # Held over the fork, so that no child gets a store that another thread has half changed.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


class _Store:
    """Objects by key, and the keys in order."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, dt.datetime]] = {}
        self.keys: list[str] = []

    def page(self, prefix: str, after: str) -> list[Entry]:
        page: list[Entry] = []
        at = max(bisect.bisect_left(self.keys, prefix), bisect.bisect_right(self.keys, after))
        for key in itertools.islice(self.keys, at, at + PAGE):
            if not key.startswith(prefix):
                break
            data, modified = self.objects[key]
            page.append(Entry(key, len(data), modified))
        return page


class MemoryBackend(Backend):
    """A store in this process's memory.

    Args:
        url: ``memory://name``, or the bare name; without a name a store of its own.
    """

    late_put_s = 0.0
    poll_s = 0.05
    ship_s = (0.05, 0.05)
    volatile = True

    def __init__(self, url: str = "") -> None:
        name = url.removeprefix("memory://").strip("/")
        if "?" in name or "://" in name:
            raise UsageError(f"{url!r} is no memory URL. Write memory://name, without options.")
        self.url = f"memory://{name or f'unnamed-{next(_unnamed)}'}"

    def __repr__(self) -> str:
        return f"<MemoryBackend {self.url}>"

    def put_new(self, key: str, data: bytes) -> None:
        check_key(key)
        held = bytes(data)
        with _lock:
            store = self._store()
            if key in store.objects:
                raise Exists(f"{self.url} already holds {key}")
            store.objects[key] = (held, dt.datetime.now(dt.UTC))
            bisect.insort(store.keys, key)

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        return self._held(key)[start:end]

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        after = start_after
        while True:
            # A page at a time, so that a long listing neither holds the lock nor copies the store.
            with _lock:
                page = self._store().page(prefix, after)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].key

    def delete(self, keys: Sequence[str]) -> None:
        with _lock:
            store = self._store()
            for key in keys:
                if store.objects.pop(key, None) is not None:
                    del store.keys[bisect.bisect_left(store.keys, key)]

    def put_blob(self, key: str, source: BinaryIO) -> None:
        self.put_new(key, source.read())

    def open_blob(self, key: str) -> BinaryIO:
        return io.BytesIO(self._held(key))

    def _store(self) -> _Store:
        return _stores.setdefault(self.url, _Store())

    def _held(self, key: str) -> bytes:
        with _lock:
            found = self._store().objects.get(check_key(key))
        if found is None:
            raise Missing(f"{self.url} holds no {key}")
        return found[0]
