"""It works from a wheel, an sdist and an editable install, on every Python that we promise."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import eventlog
from tests import tree
from tests.tree import ROOT

SUPPORTED = ((3, 11), (3, 12), (3, 13))
PACKAGES = ("eventlog", "eventlog_backends", "eventlog_views")
SITE = sysconfig.get_path("purelib")  # where the dependencies are
BUILD = "import sys; from hatchling import build; print(build.build_wheel(sys.argv[1]))"
LOOK = """
import importlib.metadata, sys, eventlog
dist = importlib.metadata.distribution("eventlog-ml")
points = {(p.group, p.name): p.value for p in dist.entry_points}
assert points == {
    ("console_scripts", "eventlog"): "eventlog.cli:main",
    ("eventlog", "backends"): "eventlog_backends.hooks",
    ("eventlog", "tracking"): "eventlog.tracking.hooks",
    ("eventlog", "views"): "eventlog_views.hooks",
}
assert dist.version == eventlog.__version__
assert eventlog.UsageError.__module__ == "eventlog.errors"
print(eventlog.__file__)
"""


def run(*command: str | Path, cwd: Path, path: str = "") -> str:
    """What the command prints; only ``path`` is on its import path, besides its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP"))}
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**environment, "PYTHONPATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy of the checkout: what a fresh clone holds."""
    copy = tmp_path_factory.mktemp("source") / "eventlog"
    copy.mkdir()
    for entry in ROOT.iterdir():
        if tree.ignored(entry.name) or entry.name == ".git":
            continue
        if entry.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(entry, copy / entry.name, ignore=ignore)
        else:
            shutil.copy(entry, copy)
    return copy


@pytest.fixture(scope="session")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist, and the wheel that was made from the sdist."""
    place = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "-n", "-o", place, source, cwd=place)
    return place


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    [found] = built.glob("eventlog_ml-*-py3-none-any.whl")
    return found


def relative_files(place: Path) -> set[str]:
    return {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()}


def fresh_venv(place: Path, python: str | Path = sys.executable) -> Path:
    """The interpreter of a new, empty virtual environment."""
    run(python, "-m", "venv", "--without-pip", place, cwd=place.parent)
    return place / ("Scripts" if os.name == "nt" else "bin") / "python"


def pip_install(python: Path, *what: str | Path, cwd: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-index")
    run(*pip, "--no-deps", "--no-build-isolation", *what, cwd=cwd, path=SITE)


def test_the_sdist_holds_every_file_of_the_checkout(built: Path, source: Path) -> None:
    [sdist] = built.glob("eventlog_ml-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    assert names - {"PKG-INFO"} == relative_files(source) - {"PKG-INFO"}


def test_the_wheel_holds_our_packages_and_nothing_else(wheel: Path, source: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    rooms = (source, source / "backends", source / "views")
    assert names == {
        f"{package}/{name}"
        for package, room in zip(PACKAGES, rooms, strict=True)
        for name in relative_files(room / package)
    }
    assert "eventlog/py.typed" in names


def test_an_installed_wheel_is_imported_from_the_site(wheel: Path, tmp_path: Path) -> None:
    python = fresh_venv(tmp_path / "venv")
    pip_install(python, wheel, cwd=tmp_path)
    assert run(python, "-c", LOOK, cwd=tmp_path).startswith(str(tmp_path / "venv"))


def test_an_installed_wheel_writes_and_reads_a_log(wheel: Path, tmp_path: Path) -> None:
    python = fresh_venv(tmp_path / "venv")
    pip_install(python, wheel, cwd=tmp_path)
    code = (
        "import eventlog\n"
        "with eventlog.open('log') as log:\n"
        "    log.append('lamp.lit', 'lamp:1')\n"
        "    print(log.events().collect()['type'].to_list())"
    )
    # The dependencies are ours; appended, so that a `.pth` of an editable install is not read.
    code = f"import sys; sys.path.append({SITE!r})\n{code}"
    assert run(python, "-c", code, cwd=tmp_path) == "['lamp.lit']"


def test_an_editable_install_is_imported_from_the_checkout(source: Path, tmp_path: Path) -> None:
    python = fresh_venv(tmp_path / "venv")
    pip_install(python, "-e", source, cwd=tmp_path)
    assert Path(run(python, "-c", LOOK, cwd=tmp_path)).is_relative_to(source)
    code = "import eventlog_backends, eventlog_views; print('there')"
    assert run(python, "-c", code, cwd=tmp_path) == "there"


def interpreters() -> Iterator[tuple[str, str]]:
    """(version, path) of every supported Python on this machine, one of each version."""
    seen: set[tuple[int, int]] = set()
    places = [*Path.home().glob(".pyenv/versions/*/bin")]
    places += map(Path, os.environ.get("PATH", "").split(os.pathsep))
    for version in SUPPORTED:
        for place in places:
            python = place / f"python{version[0]}.{version[1]}"
            if version not in seen and _runs_as(python, version):
                seen.add(version)
                yield f"{version[0]}.{version[1]}", str(python)


def _runs_as(python: Path, version: tuple[int, int]) -> bool:
    """Whether it is that Python indeed (a pyenv shim may lead nowhere), with venv."""
    code = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60)
    except OSError:
        return False
    return done.stdout.split() == [*map(str, version)]


FOUND = dict(interpreters())


def test_this_interpreter_is_a_supported_one() -> None:
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in FOUND


@pytest.mark.parametrize("version", FOUND)
def test_each_python_builds_and_imports_it(source: Path, tmp_path: Path, version: str) -> None:
    # hatchling and all that it needs are pure Python, so ours serves every interpreter.
    name = run(FOUND[version], "-c", BUILD, tmp_path, cwd=source, path=SITE)
    python = fresh_venv(tmp_path / "venv", FOUND[version])
    pip_install(python, tmp_path / name.split()[-1], cwd=tmp_path)
    assert f"python{version}" in run(python, "-c", LOOK, cwd=tmp_path)


@pytest.mark.parametrize("version", FOUND)
def test_each_python_can_read_all_our_source(version: str, tmp_path: Path) -> None:
    code = "import sys, ast; [ast.parse(open(p, 'rb').read()) for p in sys.argv[1:]]"
    files = [*tree.product_files(), *tree.test_files()]
    assert run(FOUND[version], "-W", "error", "-c", code, *files, cwd=tmp_path) == ""


def project() -> dict[str, list[str]]:
    """Requirement lists by extra; "" is the core."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": found["dependencies"], **found["optional-dependencies"]}


def test_the_core_needs_nothing_but_what_the_house_allows() -> None:
    allowed = "click fsspec msgspec numpy platformdirs pluggy polars pyarrow rich".split()
    assert sorted(Requirement(line).name for line in project()[""]) == allowed


def test_everything_that_ci_installs_is_pinned() -> None:
    lines = (ROOT / "tests" / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lines if "==" in line}
    todo = [(Requirement(line), "") for lines in project().values() for line in lines]
    needed: set[str] = set()
    while todo:
        requirement, extra = todo.pop()
        name = canonicalize_name(requirement.name)
        if name == "eventlog-ml" or (requirement.marker and not _applies(requirement, extra)):
            continue
        new = name not in needed or requirement.extras
        needed.add(name)
        below = importlib.metadata.distribution(name).requires if new else None
        for line in below or []:
            todo += [(Requirement(line), extra) for extra in ("", *requirement.extras)]
    assert needed <= pinned


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def test_every_pin_is_exact_and_within_our_bounds() -> None:
    lines = (ROOT / "tests" / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all([spec.operator for spec in pin.specifier] == ["=="] for pin in pins)
    versions = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}
    for line in [line for lines in project().values() for line in lines]:
        ours = Requirement(line)
        if ours.name != "eventlog-ml":
            assert ours.specifier.contains(versions[canonicalize_name(ours.name)]), line


def test_the_version_has_an_entry_in_the_changelog() -> None:
    assert f"## {eventlog.__version__}" in (ROOT / "CHANGELOG.md").read_text()
