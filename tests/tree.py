"""Where the project's files are: for tests that look at the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("eventlog", "backends", "views", "plugins")  # of product code
IMPORT_ROOTS = (ROOT, ROOT / "backends", ROOT / "views", ROOT / "plugins")


def product_files() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def test_files() -> list[Path]:
    return sorted((ROOT / "tests").rglob("*.py"))


test_files.__test__ = False  # type: ignore[attr-defined]


def ignored(name: str) -> bool:
    """Whether .gitignore names an entry of the root."""
    patterns = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()]
    return any(fnmatch(name, pattern) for pattern in patterns)


def source_of(module: str) -> Path | None:
    """The file of one of our modules; None for anybody else's."""
    for root in IMPORT_ROOTS:
        place = root.joinpath(*module.split("."))
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if module.startswith("eventlog") and path.is_file():
                return path
    return None


def imported_on_import(path: Path) -> Iterator[str]:
    """What a module imports as it is imported itself; also ``a.b`` for ``from a import b``."""
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo.extend(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo.extend(ast.iter_child_nodes(node))


def run_python(code: str, *arguments: str, before: Sequence[Path] = ()) -> str:
    """What the code prints in a fresh interpreter that sees the checkout (and ``before`` first)."""
    paths = [str(path) for path in (*before, *IMPORT_ROOTS)]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n{code}", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
