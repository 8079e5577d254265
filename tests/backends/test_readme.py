"""The backend that backends/README.md shows is a real one: it passes the kit and registers."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from eventlog import hookspecs
from eventlog.testing import BackendTests

README = Path(__file__).parents[2] / "backends" / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S
    )


def example() -> ModuleType:
    """All of the README's Python, as the one module that it tells to write."""
    module = ModuleType("eventlog_readme_backend")
    for source in blocks("python"):
        exec(compile(source, str(README), "exec"), module.__dict__)
    return module


shown: Any = example()


class TestTheExample(shown.TestSQLite):
    """As the README's reader would run it."""


def test_the_example_uses_the_kit() -> None:
    assert issubclass(shown.TestSQLite, BackendTests)


def test_the_example_registers() -> None:
    manager = pluggy.PluginManager("eventlog")
    manager.add_hookspecs(hookspecs)
    manager.register(shown)
    assert manager.hook.register_backends() == [{"sqlite": shown.SQLiteBackend}]


def test_the_entry_point_is_of_the_group_that_eventlog_loads() -> None:
    (source,) = blocks("toml")
    assert list(tomllib.loads(source)["project"]["entry-points"]) == ["eventlog"]


def test_every_built_in_module_is_in_the_table() -> None:
    named = set(re.findall(r"^\|[^|]*\| `(\w+)` \|", README.read_text(encoding="utf-8"), re.M))
    assert named == {"local", "s3", "memory", "fsspec_generic"}
