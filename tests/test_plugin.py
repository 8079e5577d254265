"""Plugins are found, a broken one stops nobody, and URLs find their backend."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import re
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import backend, plugin
from eventlog.errors import UsageError
from tests.tree import ROOT, run_python

Install = Callable[[str, str], None]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path whose plugins a new manager finds."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugin, "_state", None)
    return tmp_path


@pytest.fixture
def install(site: Path) -> Install:
    """Install a plugin: its entry point's name (and module: ``test_<name>``) and its source."""

    def install(name: str, source: str) -> None:
        (site / f"test_{name}.py").write_text(textwrap.dedent(source))
        info = site / f"{name}_dist-2.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 2.5\n")
        (info / "entry_points.txt").write_text(f"[eventlog]\n{name} = test_{name}\n")

    return install


def opened(url: str | Path) -> Any:
    """What the factory made: in these tests a string."""
    return backend.open_backend(url)


def factories() -> dict[str, Any]:
    return {**backend.backend_factories()}


def info_of(name: str) -> plugin.PluginInfo:
    return {info.name: info for info in plugin.installed()}[name]


BACKENDS = """
    import eventlog
    @eventlog.hookimpl
    def register_backends():
        return {scheme: str.upper for scheme in %r}
"""


def test_an_installed_plugin_is_found(install: Install) -> None:
    install("lamps", BACKENDS % ["lamp"])
    assert opened("lamp://desk") == "LAMP://DESK"
    assert info_of("lamps") == (
        "lamps",
        "lamps-dist",
        "2.5",
        "test_lamps",
        ("register_backends",),
        None,
    )


def test_built_in_plugins_are_found_without_metadata(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    assert info_of("backends").hooks == ("register_backends",)
    assert {"file", "memory", "s3"} <= set(factories())


def test_a_plugin_that_cannot_be_imported_is_a_warning_that_names_it(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("dark", "raise RuntimeError('no bulb')")
    install("lamps", BACKENDS % ["lamp"])
    with caplog.at_level(logging.WARNING):
        assert "lamp" in factories()
    assert "plugin dark (test_dark) is broken: loading it: RuntimeError: no bulb" in caplog.text
    assert "dark-dist" in caplog.text
    assert info_of("dark").error == "loading it: RuntimeError: no bulb"


def test_a_plugin_that_exits_at_import_ends_nothing(install: Install) -> None:
    install("quitter", "raise SystemExit(3)")
    assert "SystemExit" in (info_of("quitter").error or "")


def test_a_hook_with_unknown_arguments_is_listed_as_broken(install: Install) -> None:
    install("odd", "import eventlog\n@eventlog.hookimpl\ndef events_shipped(nobody): ...")
    assert "nobody" in (info_of("odd").error or "")
    assert info_of("odd").hooks == ()


def test_a_hook_that_this_version_lacks_is_listed_as_broken(install: Install) -> None:
    install("newer", "import eventlog\n@eventlog.hookimpl\ndef lamp_broke(): ...")
    assert "no hook lamp_broke" in (info_of("newer").error or "")


def test_a_broken_observer_stops_no_other(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    observer = "import eventlog\nseen = []\n@eventlog.hookimpl\ndef events_shipped(events):\n    "
    install("before", observer + "seen.append(events)")
    install("broken", observer + "raise ValueError('ouch')")
    install("zealous", observer + "seen.append(events)")
    for n in range(2):
        plugin.call_observers("events_shipped", log=None, events=n)
    assert [sys.modules[f"test_{name}"].seen for name in ("before", "zealous")] == [[0, 1]] * 2
    assert info_of("broken").error == "events_shipped: ValueError: ouch"
    assert caplog.text.count("plugin broken (test_broken) is broken") == 1


def test_what_no_specification_allows_is_left_out(install: Install) -> None:
    install("none", "import eventlog\n@eventlog.hookimpl\ndef register_event_types(): ...")
    assert "none" not in dict(plugin.contributions("register_event_types"))
    assert info_of("none").error == "register_event_types: it returned a NoneType"


def test_a_scheme_stays_with_the_first_plugin_and_the_built_in_ones_come_first(
    install: Install,
) -> None:
    install("thief", BACKENDS % ["memory", "lamp"])
    assert factories()["memory"] is not str.upper
    assert factories()["lamp"] is str.upper
    assert info_of("thief").error == "register_backends: memory:// is already taken"


def test_two_plugins_of_one_name_are_both_loaded(install: Install, site: Path) -> None:
    install("lamps", BACKENDS % ["lamp"])
    install("candles", BACKENDS % ["candle"])
    entry = site / "candles_dist-2.5.dist-info" / "entry_points.txt"
    entry.write_text("[eventlog]\nlamps = test_candles\n")
    assert {"lamp", "candle"} <= set(factories())
    assert {"lamps", "lamps (lamps-dist)"} <= {info.name for info in plugin.installed()}


def test_a_foreign_plugin_cannot_take_the_name_of_a_built_in_one(
    install: Install, site: Path
) -> None:
    install("backends", BACKENDS % ["lamp"])
    assert {"lamp", "memory"} <= set(factories())
    assert info_of("backends").module == "eventlog_backends.hooks"
    assert info_of("backends (backends-dist)").module == "test_backends"


def test_a_plugin_can_be_registered_by_hand(site: Path) -> None:
    own = types.ModuleType("by_hand")
    own.register_backends = eventlog.hookimpl(lambda: {"hand": str.upper})  # type: ignore[attr-defined]
    plugin.plugins().register(own, "mine")
    assert info_of("mine") == ("mine", None, None, "by_hand", ("register_backends",), None)


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("runs", "file"),
        ("./a/b", "file"),
        ("/data/log", "file"),
        ("file:///data/log", "file"),
        (r"C:\runs", "file"),
        ("S3://bucket/prefix", "s3"),
        ("memory://x", "memory"),
        ("simplecache::s3://bucket", "simplecache::s3"),
        ("abfs+dev://x", "abfs+dev"),
    ],
)
def test_the_scheme_of_a_url(url: str, scheme: str) -> None:
    assert backend.scheme_of(url) == scheme


def only(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
    monkeypatch.setattr(backend, "backend_factories", lambda: given)


def test_a_path_opens_the_backend_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, {"file": str.upper, "*": str.lower})
    assert opened(Path("runs")) == "RUNS"


def test_a_scheme_that_nobody_registered_goes_to_the_fallback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, {"file": str.lower, "*": str.upper})
    assert opened("sftp://host") == "SFTP://HOST"


def refuse(url: str) -> None:
    raise LookupError(url)


@pytest.mark.parametrize("fallback", [{}, {"*": refuse}], ids=["alone", "with fallback"])
def test_an_unknown_scheme_is_refused_with_the_nearest_and_all_known(
    monkeypatch: pytest.MonkeyPatch, fallback: dict[str, Any]
) -> None:
    only(monkeypatch, {"file": str, "memory": str, "s3": str, **fallback})
    with pytest.raises(UsageError) as caught:
        backend.open_backend("memroy://x?secret=hush")
    assert "Did you mean memory://?" in str(caught.value)
    assert "file://, memory://, s3://" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_an_unknown_scheme_is_refused_by_the_built_in_backends_too() -> None:
    with pytest.raises(UsageError, match=r"Did you mean memory://\?"):
        eventlog.open("memroy://x")


def test_a_missing_package_is_a_usage_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def needs_one(url: str) -> None:
        raise ModuleNotFoundError("No module named 'lamplib'", name="lamplib")

    only(monkeypatch, {"lamp": needs_one})
    with pytest.raises(UsageError, match="pip install lamplib"):
        backend.open_backend("lamp://desk")


def test_a_missing_s3fs_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UsageError, match=re.escape("pip install 'eventlog-ml[s3]'")):
        backend.open_backend("s3://bucket/prefix")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_while_plugins_load_is_not_stuck() -> None:
    code = (
        "import os, threading\n"
        "from eventlog import plugin\n"
        "holder = threading.Thread(target=plugin._lock.acquire)\n"
        "holder.start(); holder.join()\n"
        "pid = os.fork()\n"
        "if not pid:\n    plugin.plugins(); os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert run_python(code) == "7\n"


def test_the_plugin_in_the_readme_works(tmp_path: Path) -> None:
    readme = (ROOT / "plugins" / "README.md").read_text()
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "eventlog_notes.py"):
        found = re.search(rf"^`{re.escape(name)}`:\n\n```\w+\n(.*?)^```", readme, re.S | re.M)
        assert found
        (source / name).write_text(found[1])
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*pip, "--no-index", "--target", str(target), str(source)], check=True, timeout=120
    )
    url = str(tmp_path / "log")
    call = "import eventlog.cli; eventlog.cli.main(sys.argv[1:])"
    run_python(call, "note", "run:42", "looks good", "--log", url, before=[target])
    code = """
        import json
        import eventlog
        from eventlog import plugin
        [info] = [i for i in plugin.installed() if i.name == "notes"]
        data = eventlog.open(sys.argv[1]).events().collect()["data"].to_list()
        print(json.dumps([info.distribution, info.version, info.error, *map(json.loads, data)]))
    """
    out = run_python(textwrap.dedent(code), url, before=[target])
    assert json.loads(out) == ["eventlog-notes", "1.0", None, {"text": "looks good"}]
