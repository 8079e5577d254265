"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import errors, hookspecs
from tests import tree
from tests.resources import RESOURCES
from tests.tree import ROOT, run_python

FUNCTION_LINES = 50
PRODUCT_FILE_LINES = 400
TEST_FILE_LINES = 600
HEAVY = {"polars", "pyarrow", "torch", "ray", "s3fs", "pandas", "mlflow"}
AT_THE_ROOT = {
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore", ".git", ".ci"),
    *("eventlog", "backends", "views", "plugins", "examples", "tests"),
    "PKG-INFO",  # of an sdist
}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
APPEND_PATH = [
    *("eventlog", "eventlog.tracking.fluent", "eventlog.plugin", "eventlog_backends.hooks"),
    *("eventlog_backends.local", "eventlog_backends.memory", "eventlog_backends.s3"),
]


def documented_names() -> set[str]:
    """The public names that the package's docstring lists."""
    text = inspect.cleandoc(eventlog.__doc__ or "").partition("The public names:")[2]
    listed = text.partition("Importing this module")[0]
    names = set(re.findall(r"^    (\w+) ", listed, re.MULTILINE))
    return names | set(re.findall(r"\b[A-Z]\w+\b", listed.partition("errors ")[2]))


def test_the_public_face_is_what_its_docstring_lists() -> None:
    assert set(eventlog.__all__) == documented_names() == set(dir(eventlog))


def test_every_error_is_public() -> None:
    assert {n for n, c in vars(errors).items() if inspect.isclass(c)} <= set(eventlog.__all__)


def test_every_error_is_drawn_in_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    defined = [n for n, c in vars(errors).items() if inspect.isclass(c)]
    assert sorted(["EventlogError", *drawn]) == sorted(defined)


@pytest.mark.parametrize("name", eventlog.__all__)
def test_a_public_name_loads(name: str) -> None:
    assert getattr(eventlog, name) is not None


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = eventlog.no_such_name


def test_importing_eventlog_is_cheap_and_loads_nothing_else() -> None:
    code = (
        "import time; began = time.process_time(); before = set(sys.modules)\n"
        "import eventlog\n"
        "print(time.process_time() - began, *sorted(set(sys.modules) - before))"
    )
    cpu_s, *loaded = run_python(code).split()
    third_party = {m.partition(".")[0] for m in loaded} - sys.stdlib_module_names
    assert third_party == {"eventlog"}
    assert float(cpu_s) <= 0.15


def test_appending_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import eventlog\n"
        "log = eventlog.open(sys.argv[1], ship_s=(3600, 3600))\n"
        "log.append('lamp.lit', 'lamp:1', data={'by': 'me'})\n"
        "log.points('lamp:1', 'watts')(7.5, 1)\n"
        "print(*sys.modules)\n"
        "log.close()\n"
    )
    loaded = {m.partition(".")[0] for m in run_python(code, str(tmp_path / "log")).split()}
    assert "eventlog_backends" in loaded
    assert not loaded & HEAVY


def test_the_append_path_imports_nothing_heavy_at_module_level() -> None:
    todo, seen = list(APPEND_PATH), set()
    guilty = []
    while todo:
        path = tree.source_of(todo.pop())
        if path is None or path in seen:
            continue
        seen.add(path)
        for module in tree.imported_on_import(path):
            todo.append(module)
            if module.partition(".")[0] in HEAVY:
                guilty.append(f"{path.relative_to(ROOT)} imports {module}")
    assert {"spool.py", "lane.py", "local.py"} <= {path.name for path in seen}
    assert not guilty


def test_a_heavy_import_at_module_level_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "guilty.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "def later():\n    import ray\n"
        "try:\n    from polars import DataFrame\nexcept ImportError:\n    pass\n"
    )
    assert {m.partition(".")[0] for m in tree.imported_on_import(path)} == {"typing", "polars"}


def hook_table() -> dict[str, tuple[set[str], str]]:
    """Hook name to (arguments, what it returns) of the table in plugins/README.md."""
    rows = re.findall(
        r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|", (ROOT / "plugins/README.md").read_text(), re.MULTILINE
    )
    return {name: (set(re.findall(r"`(\w+)`", args)), returns) for name, args, returns in rows}


def specified_hooks() -> dict[str, inspect.Signature]:
    found = vars(hookspecs).items()
    return {n: inspect.signature(f) for n, f in found if hasattr(f, "eventlog_spec")}


def test_the_table_of_hooks_is_complete() -> None:
    assert set(hook_table()) == set(specified_hooks())


@pytest.mark.parametrize("name", specified_hooks())
def test_a_hook_is_documented_as_it_is_specified(name: str) -> None:
    arguments, returns = hook_table()[name]
    signature = specified_hooks()[name]
    assert arguments == set(signature.parameters)
    if name.startswith("register_"):
        assert f"`{signature.return_annotation}`" in returns
    else:
        assert not returns.strip()


@pytest.mark.parametrize("name", specified_hooks())
def test_a_hook_has_a_caller(name: str) -> None:
    callers = [
        path
        for path in tree.product_files()
        if path.name != "hookspecs.py" and f'"{name}"' in path.read_text()
    ]
    assert callers, f"nothing calls the hook {name}: remove it"


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_functions_are_short() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}:{f.lineno} {f.name}": (f.end_lineno or 0) - f.lineno + 1
        for path in [*tree.product_files(), *tree.test_files()]
        for f in functions(path)
    }
    assert {name: n for name, n in lengths.items() if n >= FUNCTION_LINES} == {}


def test_files_are_short() -> None:
    limits = dict.fromkeys(tree.product_files(), PRODUCT_FILE_LINES)
    limits |= dict.fromkeys(tree.test_files(), TEST_FILE_LINES)
    lengths = {path: path.read_text(encoding="utf-8").count("\n") for path in limits}
    too_long = {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n >= limits[p]}
    assert too_long == {}


def test_nothing_lies_at_the_root_that_does_not_belong() -> None:
    there = {path.name for path in ROOT.iterdir()}
    assert {name for name in there - AT_THE_ROOT if not tree.ignored(name)} == set()


def test_no_module_has_a_vague_name() -> None:
    parts = {part for path in tree.product_files() for part in path.relative_to(ROOT).parts}
    assert {part.removesuffix(".py") for part in parts} & VAGUE_NAMES == set()


def test_product_code_is_finished() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{n}: {line.strip()}"
        for path in tree.product_files()
        for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert found == []


def test_every_folder_says_what_it_holds() -> None:
    for folder in ("backends", "views", "plugins"):
        assert (ROOT / folder / "README.md").is_file()


def test_links_in_the_readmes_lead_somewhere() -> None:
    dead = []
    for readme in [ROOT / "README.md", *ROOT.glob("*/README.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)\)", readme.read_text(encoding="utf-8")):
            if "://" not in target and not (readme.parent / target).exists():
                dead.append(f"{readme.relative_to(ROOT)}: {target}")
    assert dead == []


@pytest.mark.parametrize("readme", ["README.md", "views/README.md"])
def test_the_program_in_a_readme_runs(readme: str, tmp_path: Path) -> None:
    found = re.search(r"^```python\n(.*?)^```", (ROOT / readme).read_text(), re.S | re.M)
    assert found
    seed = "import eventlog\nwith eventlog.open() as log: log.append('lamp.lit', 'lamp:1')\n"
    run_python(f"import os; os.chdir({str(tmp_path)!r})\n{seed}{found[1]}")


def test_each_resource_has_its_marker(pytestconfig: pytest.Config) -> None:
    markers = {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    assert set(RESOURCES) <= markers
