"""What is particular to the store in memory."""

from __future__ import annotations

import pytest

from eventlog.errors import UsageError
from eventlog.testing.processes import in_forks
from eventlog.testing.store_work import keys_of
from eventlog_backends.memory import MemoryBackend


def test_one_name_is_one_store() -> None:
    MemoryBackend("memory://shared-by-two").put_new("a", b"x")
    assert MemoryBackend("shared-by-two").get("a") == b"x"
    assert keys_of(MemoryBackend("memory://another")) == []


def test_without_a_name_each_has_a_store_of_its_own() -> None:
    one, other = MemoryBackend(), MemoryBackend("memory://")
    one.put_new("a", b"x")
    assert keys_of(other) == []
    assert MemoryBackend(one.url).get("a") == b"x"


def test_a_child_has_a_copy_that_goes_its_own_way() -> None:
    backend = MemoryBackend()
    backend.put_new("a", b"x")
    in_forks([lambda: backend.put_new("b", b"y")])
    assert keys_of(backend) == ["a"]


def test_what_is_put_is_kept_when_the_caller_changes_it() -> None:
    backend = MemoryBackend()
    data = bytearray(b"before")
    backend.put_new("a", data)  # type: ignore[arg-type]
    data[:] = b"after."
    assert backend.get("a") == b"before"


def test_options_are_refused() -> None:
    with pytest.raises(UsageError):
        MemoryBackend("memory://name?x=1")
