"""URLs lead to the backends that register for their schemes."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog.backend import Backend, open_backend
from eventlog.errors import UsageError
from eventlog_backends.fsspec_generic import FsspecBackend
from eventlog_backends.local import LocalBackend
from eventlog_backends.memory import MemoryBackend
from eventlog_backends.s3 import S3Backend


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("some/path", LocalBackend),
        ("file:///some/path", LocalBackend),
        ("memory://name", MemoryBackend),
        ("s3://bucket/prefix", S3Backend),
        ("ftp://host/path", FsspecBackend),
    ],
)
def test_a_url_leads_to_its_backend(url: str, expected: type[Backend]) -> None:
    assert type(open_backend(url)) is expected


def test_a_path_object_will_do(tmp_path: Path) -> None:
    backend = open_backend(tmp_path)
    assert isinstance(backend, LocalBackend)
    assert backend.root == str(tmp_path)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(UsageError, match="nonesuch"):
        open_backend("nonesuch://x")
