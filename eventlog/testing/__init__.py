"""What eventlog tests itself with and offers to those who extend it.

`BackendTests` is the conformance kit for backends. Nothing here is imported before it is asked
for, and pytest only then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventlog.testing.backend_tests import BackendTests

__all__ = ["BackendTests"]


def __getattr__(name: str) -> object:
    if name != "BackendTests":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    # As for tests: a failing assert then shows the values that it compared.
    pytest.register_assert_rewrite("eventlog.testing.backend_tests", "eventlog.testing.blob_tests")
    from eventlog.testing.backend_tests import BackendTests

    return BackendTests
