"""The part of the conformance kit about large objects that are streamed."""

from __future__ import annotations

import abc
import contextlib
import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from eventlog.backend import Backend
from eventlog.errors import Exists, Missing
from eventlog.testing.store_work import BLOB_BYTES, Stream, keys_of, stream


class StoreTests(abc.ABC):
    """What every part of the kit needs: a backend.

    Attributes:
        between_processes: whether processes share the store (False for one in memory).
        race_rounds: how often writers race for a key; fewer where a race takes seconds.
    """

    between_processes = True
    race_rounds = 10

    @abc.abstractmethod
    def make_backend(self, tmp_path: Path) -> Backend:
        """A backend; each call of one test gives an instance on the same store, empty at first."""

    def make_silent_backend(self, tmp_path: Path) -> Backend | None:
        """A backend whose store never answers, with a deadline of about a second; None: not tested.

        For stores behind a network, where a listener that accepts and keeps silent will do.
        """
        return None

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[Backend]:
        backend = self.make_backend(tmp_path)
        yield backend
        backend.close()


class BlobTests(StoreTests):
    """`put_blob` and `open_blob`."""

    def test_no_reader_sees_a_part_of_a_blob(self, backend: Backend) -> None:
        def look() -> None:
            assert keys_of(backend) == [], "a blob is listed while it is being written"
            with pytest.raises(Missing):
                backend.get("blobs/aa/b")

        source = Stream(BLOB_BYTES, on_read=look)
        backend.put_blob("blobs/aa/b", cast(BinaryIO, source))
        assert source.looks > 1
        assert [e.size_bytes for e in backend.list("blobs/")] == [BLOB_BYTES]

    def test_a_blob_whose_source_fails_leaves_nothing(self, backend: Backend) -> None:
        def fail() -> None:
            raise OSError("the source failed")

        with pytest.raises(Exception, match="the source failed"):
            backend.put_blob("blobs/aa/b", stream(BLOB_BYTES, on_read=fail))
        assert keys_of(backend) == []
        backend.put_blob("blobs/aa/b", io.BytesIO(b"again"))
        assert backend.get("blobs/aa/b") == b"again"

    def test_a_blob_is_created_once(self, backend: Backend) -> None:
        backend.put_blob("blobs/aa/b", io.BytesIO(b"first"))
        with pytest.raises(Exists):
            backend.put_blob("blobs/aa/b", io.BytesIO(b"second"))
        with pytest.raises(Exists):
            backend.put_new("blobs/aa/b", b"third")
        assert backend.get("blobs/aa/b") == b"first"

    def test_a_large_blob_is_created_once(self, backend: Backend) -> None:
        backend.put_blob("blobs/aa/b", stream(BLOB_BYTES))
        with pytest.raises(Exists):
            backend.put_blob("blobs/aa/b", stream(BLOB_BYTES))
        assert [e.size_bytes for e in backend.list()] == [BLOB_BYTES]

    def test_an_empty_blob_is_one(self, backend: Backend) -> None:
        backend.put_blob("blobs/aa/b", io.BytesIO())
        with contextlib.closing(backend.open_blob("blobs/aa/b")) as reader:
            assert reader.read() == b""

    def test_a_blob_streams_in_and_out(self, backend: Backend) -> None:
        backend.put_blob("blobs/aa/b", stream(BLOB_BYTES))
        expected = Stream(BLOB_BYTES)
        with contextlib.closing(backend.open_blob("blobs/aa/b")) as reader:
            while piece := reader.read(3_000_001):
                assert piece == expected.read_exactly(len(piece))
        assert expected.read(1) == b""

    def test_a_blob_can_be_sought(self, backend: Backend) -> None:
        data = random.Random(7).randbytes(300_000)
        backend.put_blob("blobs/aa/b", io.BytesIO(data))
        with contextlib.closing(backend.open_blob("blobs/aa/b")) as reader:
            assert reader.seekable()
            assert reader.seek(-1_000, io.SEEK_END) == len(data) - 1_000
            assert reader.read() == data[-1_000:]
            assert reader.seek(123_456) == reader.tell() == 123_456
            assert reader.read(10) == data[123_456:123_466]
            reader.seek(5, io.SEEK_CUR)
            assert reader.read(10) == data[123_471:123_481]
            reader.seek(0)
            assert reader.read() == data
