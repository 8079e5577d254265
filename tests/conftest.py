"""What every test shares. Fixtures live beside what they serve: see `s3server`, `resources`."""

from __future__ import annotations

import pytest

from tests import resources

pytest_plugins = ["tests.s3server"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    resources.setup(item)
