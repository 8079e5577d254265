"""A large object in parts, without holding it in memory, create-only when it completes."""

from __future__ import annotations

import concurrent.futures
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO

from eventlog_backends.s3_connection import Connection
from eventlog_backends.s3_errors import Busy

PART_BYTES = 16 << 20
PARTS_PER_DOUBLING = 1000  # of the part size: so the 10,000 parts that S3 takes reach its 5 TB
PARTS_AT_ONCE = 4


def read_part(source: BinaryIO, size_bytes: int = PART_BYTES) -> bytes:
    """The next ``size_bytes`` of the stream, fewer only at its end."""
    parts: list[bytes] = []
    left = size_bytes
    while left and (part := source.read(left)):
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def upload(connection: Connection, key: str, first: bytes, source: BinaryIO) -> None:
    """Create ``key``, prefix included, from ``first`` and what is left of ``source``."""
    place = {"Bucket": connection.options.bucket, "Key": key}
    what = f"put s3://{place['Bucket']}/{key}"
    begun = connection.call(what, lambda fs: fs._call_s3("create_multipart_upload", **place))
    place["UploadId"] = begun["UploadId"]
    try:
        parts = {"Parts": _send(connection, what, place, _parts(first, source))}
        connection.call(
            what,
            lambda fs: fs._call_s3(
                "complete_multipart_upload", MultipartUpload=parts, IfNoneMatch="*", **place
            ),
            again=Busy,
        )
    except BaseException:
        # Not waited for: a store that does not answer would hold us up a second time.
        connection.start(what, lambda fs: fs._call_s3("abort_multipart_upload", **place))
        raise


def _parts(first: bytes, source: BinaryIO) -> Iterator[bytes]:
    number, part = 1, first
    while part:
        yield part
        number += 1
        part = read_part(source, PART_BYTES << (number // PARTS_PER_DOUBLING))


def _send(
    connection: Connection, what: str, place: dict[str, str], parts: Iterator[bytes]
) -> list[dict[str, Any]]:
    """Send the parts, a few at a time; what the completion has to name."""
    sent: list[dict[str, Any]] = []
    under_way: deque[concurrent.futures.Future[Any]] = deque()
    try:
        for number, part in enumerate(parts, start=1):
            if len(under_way) == PARTS_AT_ONCE:
                sent.append(_named(len(sent) + 1, under_way.popleft()))
            under_way.append(_send_part(connection, what, place, number, part))
        while under_way:
            sent.append(_named(len(sent) + 1, under_way.popleft()))
        return sent
    finally:
        for future in under_way:
            future.cancel()


def _send_part(
    connection: Connection, what: str, place: dict[str, str], number: int, part: bytes
) -> concurrent.futures.Future[Any]:
    return connection.start(
        what,
        lambda fs: fs._call_s3("upload_part", PartNumber=number, Body=part, **place),
        size_bytes=PARTS_AT_ONCE * len(part),
    )


def _named(number: int, future: concurrent.futures.Future[Any]) -> dict[str, Any]:
    return {"PartNumber": number, "ETag": future.result()["ETag"]}
