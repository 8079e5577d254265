"""The examples in the docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import polars as pl
import pytest

from eventlog.query import filter as face

MODULES = [module.name for module in pkgutil.iter_modules(face.__path__)]


class Known:
    """Columns named as the query layer names them."""

    def names(self, kind: face.Kind) -> list[str]:
        return []

    def resolve(self, kind: face.Kind, key: str) -> face.Resolved | None:
        name = key if kind == "attributes" else f"{kind}.{key}"
        return face.Resolved(name, "time" if key == "start_time" else "number")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    module = importlib.import_module(f"{face.__name__}.{name}")
    given = {key: getattr(face, key) for key in face.__all__}
    frame = pl.DataFrame({"metrics.acc": [0.9, 0.95, 0.5]}).with_columns(
        start_time=pl.lit(None, pl.Datetime("us", "UTC"))
    )
    failed, _ = doctest.testmod(
        module,
        extraglobs=given | {"frame": frame, "columns": Known()},
        optionflags=doctest.NORMALIZE_WHITESPACE,
    )
    assert failed == 0


def test_every_public_name_has_a_docstring_with_an_example_or_is_a_part_of_a_tree() -> None:
    of_trees = {"And", "Or", "Not", "In", "Between", "IsNull", "Like", "Matches", "Literal", "Now"}
    of_trees |= {"Place", "Order", "Kind", "Node", "Dtype"}
    without = {
        name
        for name in set(face.__all__) - of_trees
        if ">>>" not in (getattr(face, name).__doc__ or "")
    }
    assert without == set()
