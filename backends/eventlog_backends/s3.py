"""S3, and every server that speaks it and honours ``If-None-Match: *`` on PUT.

``s3://bucket/prefix``, with the options of `S3Options`. Needs ``pip install 'eventlog-ml[s3]'``.
"""

from __future__ import annotations

import base64
import builtins
import datetime as dt
import hashlib
import importlib.util
import io
import re
import weakref
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from eventlog.backend import Backend, Entry, Range, RangeReader, check_key, is_key, is_prefix
from eventlog.errors import Exists, Missing, UsageError
from eventlog_backends import event_loop
from eventlog_backends.s3_connection import Connection
from eventlog_backends.s3_errors import Busy, refusal
from eventlog_backends.s3_options import S3Options
from eventlog_backends.s3_upload import PART_BYTES, read_part, upload

DELETE_LIMIT = 1000
INLINE_BYTES = 64 << 10  # so much goes out with a request's head; more waits for a first answer
ONE_PUT_BYTES = 100 << 20  # more goes in parts, which count only when the last has come
READ_AHEAD_BYTES = 1 << 20
# Sorted as whole keys these come before the slash; some servers (SeaweedFS) sort by folders.
_BEFORE_SLASH = re.compile(r"[+,\-.]|$")
_UP_TO_SLASH = re.compile(r"[+,\-./]")


class S3Backend(Backend):
    """A store in a bucket, below a prefix.

    `put_blob` of more than a part is create-only where the server honours ``If-None-Match`` when
    a multipart upload completes, as S3 and SeaweedFS do. Elsewhere two writers who begin one blob
    at the same time both succeed; its name is its digest, so their bytes are the same.
    """

    def __init__(self, url: str) -> None:
        if importlib.util.find_spec("s3fs") is None:
            raise UsageError(
                "s3:// needs s3fs, which is not installed. `pip install 'eventlog-ml[s3]'` does it."
            )
        self.options = S3Options.parse(url)
        self.url = self.options.url.shown
        # Now, as no thread can be started when a script's end ships its last events.
        event_loop.running_loop()
        self._connection = Connection(self.options)
        weakref.finalize(self, self._connection.close).atexit = False

    def __repr__(self) -> str:
        return f"<S3Backend {self.url}>"

    def put_new(self, key: str, data: bytes) -> None:
        name = self._path(key)
        path = f"{self.options.bucket}/{name}"
        # Who dies behind the request's head must leave nothing: without a digest in it, SeaweedFS
        # takes that for an empty object.
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()

        def request(filesystem: Any) -> Awaitable[Any]:
            if len(data) > ONE_PUT_BYTES:
                return cast(Awaitable[Any], filesystem._pipe_file(path, data, mode="create"))
            # Of bytes botocore makes a file, and before it sends a file it asks "100-continue".
            body = bytearray(data) if len(data) <= INLINE_BYTES else data
            what = {"Bucket": self.options.bucket, "Key": name, "Body": body, "ContentMD5": md5}
            return cast(Awaitable[Any], filesystem._call_s3("put_object", IfNoneMatch="*", **what))

        self._connection.call(f"put s3://{path}", request, size_bytes=len(data), again=Busy)

    def put_new_file(self, key: str, path: Path) -> None:
        if path.stat().st_size < PART_BYTES:
            self.put_new(key, path.read_bytes())
            return
        with open(path, "rb") as source:
            self.put_blob(key, source)

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        return self.get_many([Range(key, start, end)])[0]

    def get_many(self, ranges: Iterable[Range]) -> builtins.list[bytes]:
        wanted = [Range(*one) for one in ranges]
        for one in wanted:
            check_key(one.key)
        return self._connection.fetch(wanted)

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[Entry]:
        beyond = start_after > prefix and not start_after.startswith(prefix)
        if beyond or not is_prefix(prefix):
            return
        below = prefix.rpartition("/")[0]
        skipped = len(below) + 1 if below else 0
        group: list[Entry] = []
        stem = ""
        # Whatever a server's order, keys of one stem come together: put these in ours.
        for entry in self._entries(prefix, start_after):
            here = _UP_TO_SLASH.split(entry.key[skipped:], maxsplit=1)[0]
            if here != stem:
                yield from sorted(group)
                group, stem = [], here
            group.append(entry)
        yield from sorted(group)

    def delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), DELETE_LIMIT):
            batch = [{"Key": self._path(key)} for key in keys[start : start + DELETE_LIMIT]]
            what = f"delete {len(batch)} objects of {self.url}"
            objects = {"Objects": batch, "Quiet": True}
            answer = self._request(what, "delete_objects", Delete=objects)
            for failed in answer.get("Errors") or ():
                if failed.get("Code") not in ("NoSuchKey", "404"):
                    raise refusal(failed, self.options, what)

    def put_blob(self, key: str, source: BinaryIO) -> None:
        path = self._path(key)
        first = read_part(source)
        if len(first) < PART_BYTES:
            self.put_new(key, first)
            return
        # Refused now rather than after the upload; its completion asks again, atomically.
        if self._size_bytes(key) is not None:
            raise Exists(f"Cannot put s3://{self.options.bucket}/{path}: it already exists")
        upload(self._connection, path, first, source)

    def open_blob(self, key: str) -> BinaryIO:
        size_bytes = self._size_bytes(key)
        if size_bytes is None:
            path = self._path(key)
            raise Missing(f"Cannot get s3://{self.options.bucket}/{path}: it does not exist")
        reader = RangeReader(self, key, size_bytes)
        return cast(BinaryIO, io.BufferedReader(reader, READ_AHEAD_BYTES))

    def close(self) -> None:
        self._connection.close()

    def _path(self, key: str) -> str:
        return self.options.root + check_key(key)

    def _request(self, what: str, method: str, **arguments: Any) -> dict[str, Any]:
        bucket = self.options.bucket
        answer: dict[str, Any] = self._connection.call(
            what, lambda fs: fs._call_s3(method, Bucket=bucket, **arguments)
        )
        return answer

    def _size_bytes(self, key: str) -> int | None:
        path = self._path(key)
        what = f"get s3://{self.options.bucket}/{path}"
        try:
            return int(self._request(what, "head_object", Key=path)["ContentLength"])
        except Missing:
            return None

    def _entries(self, prefix: str, start_after: str) -> Iterator[Entry]:
        root = self.options.root
        agreed = _agreed(start_after)
        more = {"StartAfter": root + agreed} if agreed and agreed.startswith(prefix) else {}
        while True:
            answer = self._request(
                f"list {self.url}", "list_objects_v2", Prefix=root + prefix, **more
            )
            for found in answer.get("Contents") or ():
                key = found["Key"][len(root) :]
                if key > start_after and is_key(key):
                    yield Entry(key, found["Size"], found["LastModified"].astimezone(dt.UTC))
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}


def _agreed(start_after: str) -> str:
    """A key to begin after that skips nothing, whatever a server's order; "" where there is none.

    It ends before the first character that orders disagree upon, and one earlier: a server that
    sorts by folders takes a folder's name for all that is in it. What comes too much is dropped.
    """
    path = start_after.rstrip("/")
    found = _BEFORE_SLASH.search(path)
    folder, slash, name = path[: found.start() if found else 0].rpartition("/")
    return folder + slash + name[:-1] if len(name) > 1 else ""
