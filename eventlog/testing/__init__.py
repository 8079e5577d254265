"""What eventlog tests itself with and offers to those who extend it.

`BackendTests` is the conformance kit for backends, `ViewTests` that for views. Nothing here is
imported before it is asked for, and pytest only then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventlog.testing.backend_tests import BackendTests
    from eventlog.testing.view_tests import ViewTests

__all__ = ["BackendTests", "ViewTests"]

_HOMES = {"BackendTests": ("backend_tests", "blob_tests"), "ViewTests": ("view_tests",)}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib
    import sys

    import pytest

    modules = [f"{__name__}.{module}" for module in _HOMES[name]]
    # As for tests: a failing assert then shows the values that it compared.
    pytest.register_assert_rewrite(*(each for each in modules if each not in sys.modules))
    return getattr(importlib.import_module(modules[0]), name)
