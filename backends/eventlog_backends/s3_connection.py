"""Calls of an S3 server: each with a deadline of ours, retried where that is safe.

s3fs does the work, on our own event loop. Its own retries are off and its timeouts are not relied
upon: a put to a server that accepts the connection and then keeps silent would wait for ever.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import random
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from eventlog.backend import Range
from eventlog.errors import Unavailable
from eventlog_backends import event_loop
from eventlog_backends.s3_errors import Busy, meaning
from eventlog_backends.s3_options import S3Options

T = TypeVar("T")

READ_TRIES = 4
BUSY_TRIES = 8
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 2.0
SLOWEST_BYTES_PER_S = 1 << 20
CHUNK_BYTES = 1 << 20
FETCHES_AT_ONCE = 16
CLOSE_TIMEOUT_S = 2.0

_open: weakref.WeakSet[Connection] = weakref.WeakSet()


class Connection:
    """One backend's s3fs file system, made at first use and anew in a forked child."""

    def __init__(self, options: S3Options) -> None:
        self.options = options
        self._pid = os.getpid()
        self._filesystem: Any = None

    def call(
        self,
        what: str,
        request: Callable[[Any], Awaitable[T]],
        *,
        size_bytes: int = 0,
        again: type[Unavailable] = Unavailable,
    ) -> T:
        """The request's result; repeated while its error is an ``again`` and time is left."""
        return self._run(self._call(what, request, size_bytes, again))

    def start(
        self, what: str, request: Callable[[Any], Awaitable[T]], size_bytes: int = 0
    ) -> concurrent.futures.Future[T]:
        """As `call`, without waiting: a future."""
        self._prepare()
        return event_loop.submit(self._call(what, request, size_bytes, Unavailable))

    def fetch(self, ranges: Sequence[Range]) -> list[bytes]:
        """The bytes of each range, some of them at a time."""
        return self._run(self._fetch(ranges))

    def close(self) -> None:
        """Close the sockets, if this process opened any."""
        filesystem, self._filesystem = self._filesystem, None
        if filesystem is None:
            return
        if self._pid != os.getpid():
            event_loop.keep_unused(filesystem)
            return
        _open.discard(self)
        with contextlib.suppress(Exception):  # a connection that cannot be closed is closed
            event_loop.submit(_close(filesystem)).result(CLOSE_TIMEOUT_S)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            self._prepare()
        except BaseException:
            work.close()
            raise
        return event_loop.run(work)

    def _prepare(self) -> None:
        if self._pid != os.getpid():
            event_loop.keep_unused(self._filesystem)
            self._pid, self._filesystem = os.getpid(), None
        if self._filesystem is None:
            import s3fs  # noqa: F401  takes half a second, which no deadline should pay

    async def _connected(self) -> Any:
        if self._filesystem is None:
            self._filesystem = self.options.filesystem()
            _open.add(self)
        # Looks for keys: files, or the instance's metadata, which may not answer.
        await self._filesystem.set_session()
        return self._filesystem

    async def _call(
        self,
        what: str,
        request: Callable[[Any], Awaitable[T]],
        size_bytes: int,
        again: type[Unavailable],
    ) -> T:
        deadline_s = self.options.deadline_s + size_bytes / SLOWEST_BYTES_PER_S
        end = asyncio.get_running_loop().time() + deadline_s
        wait_s = FIRST_WAIT_S
        tries = READ_TRIES if again is Unavailable else BUSY_TRIES
        while True:
            tries -= 1
            try:
                async with asyncio.timeout_at(end):
                    return await request(await self._connected())
            except Exception as e:
                error = meaning(e, self.options, what)
                left_s = end - asyncio.get_running_loop().time()
                if not isinstance(error, again | Busy) or tries <= 0 or left_s <= wait_s:
                    raise error from e
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _fetch(self, ranges: Sequence[Range]) -> list[bytes]:
        turn = asyncio.Semaphore(FETCHES_AT_ONCE)

        async def one(wanted: Range) -> bytes:
            async with turn:
                return await self._fetch_one(wanted)

        tasks = [asyncio.ensure_future(one(wanted)) for wanted in ranges]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch_one(self, wanted: Range) -> bytes:
        key = self.options.root + wanted.key
        what = f"get s3://{self.options.bucket}/{key}"
        limits = {} if wanted.start == 0 and wanted.end is None else {"Range": _header(wanted)}

        async def request(filesystem: Any) -> bytes:
            try:
                answer = await filesystem._call_s3(
                    "get_object", Bucket=self.options.bucket, Key=key, **limits
                )
            except OSError as e:
                if _is_beyond_the_end(e):
                    return b""
                raise
            return await self._body(answer)

        data = await self._call(what, request, _size(wanted), Unavailable)
        return data if wanted.end is None else data[: max(0, wanted.end - wanted.start)]

    async def _body(self, answer: dict[str, Any]) -> bytes:
        """Read it all; each piece, not the whole of unknown size, has a deadline."""
        now = asyncio.get_running_loop().time
        parts: list[bytes] = []
        body = answer["Body"]
        try:
            async with asyncio.timeout(self.options.deadline_s) as limit:
                while part := await body.read(CHUNK_BYTES):
                    parts.append(part)
                    limit.reschedule(now() + self.options.deadline_s)
        finally:
            body.close()
        data = b"".join(parts)
        if len(data) != answer["ContentLength"]:
            raise ConnectionError(f"{len(data)} of {answer['ContentLength']} bytes came")
        return data


def _header(wanted: Range) -> str:
    if wanted.end is None:
        return f"bytes={wanted.start}-"
    return f"bytes={wanted.start}-{max(wanted.start, wanted.end - 1)}"


def _size(wanted: Range) -> int:
    return 0 if wanted.end is None else max(0, wanted.end - wanted.start)


def _is_beyond_the_end(error: OSError) -> bool:
    response = getattr(error.__cause__, "response", None) or {}
    return bool(response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 416)


async def _close(filesystem: Any) -> None:
    if filesystem._s3 is not None:
        await filesystem._s3.close()


@atexit.register
def _close_all() -> None:
    for connection in list(_open):
        connection.close()
