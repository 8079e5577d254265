"""Each verb does its work, says so, and means it by its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

import eventlog
from eventlog.cli import main
from eventlog.log.read.reader import Reader
from eventlog_backends.local import LocalBackend
from tests.cli.calls import a_log, call, call_json, environment, lines

BUILT_IN = [
    "compact", "copy", "demo", "events", "gc", "init", "plugins", "sync", "tail", "verify",
]  # fmt: skip


def damage(url: str, part: str) -> str:
    """Flip a byte of the first object whose name has ``part`` in it."""
    path = next(p for p in sorted(Path(url).rglob("*")) if part in str(p) and p.is_file())
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(raw)
    return str(path.relative_to(url))


def test_help_names_every_verb() -> None:
    result = call("--help")
    assert result.exit_code == 0
    assert sorted(main.commands) == BUILT_IN
    assert all(f"\n  {verb} " in result.stdout for verb in BUILT_IN)


@pytest.mark.parametrize("verb", BUILT_IN)
def test_every_verb_takes_log_and_json_and_explains_itself(verb: str) -> None:
    result = call(verb, "--help")
    assert result.exit_code == 0
    assert "--log URL" in result.stdout
    assert "--json" in result.stdout


def test_the_version_is_told() -> None:
    assert eventlog.__version__ in call("--version").stdout


def test_init_makes_a_log_once(tmp_path: Path) -> None:
    url = str(tmp_path / "log")
    first = call_json("init", "--log", url)
    second = call_json("init", "--log", url)
    assert (first["made"], second["made"]) == (True, False)
    assert first["log_id"] == second["log_id"] == Reader(LocalBackend(url)).format.log_id


@pytest.mark.parametrize("words", [("--log", "{}", "verify"), ("verify", "--log", "{}")])
def test_the_log_may_be_named_before_or_after_the_verb(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    url = a_log(tmp_path / "log")
    assert call(*(word.format(url) for word in words)).exit_code == 0


def test_the_log_named_after_the_verb_counts(tmp_path: Path) -> None:
    url = a_log(tmp_path / "log")
    assert call("--log", str(tmp_path / "none"), "verify", "--log", url).exit_code == 0


def test_the_log_may_be_named_by_the_environment(tmp_path: Path) -> None:
    url = a_log(tmp_path / "log")
    assert call("verify", env={"EVENTLOG_URL": url}).exit_code == 0


def test_the_default_log_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVENTLOG_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    assert call("init").exit_code == 0
    assert (tmp_path / ".eventlog" / "format.json").exists()


def test_json_may_stand_before_the_verb(tmp_path: Path) -> None:
    url = a_log(tmp_path / "log")
    assert json.loads(call("--json", "verify", "--log", url).stdout)["damage"] == []


def test_compact_and_gc_say_what_they_did(tmp_path: Path) -> None:
    url = a_log(tmp_path / "log")
    compacted = call("compact", "--log", url)
    assert (compacted.exit_code, compacted.stdout[:19]) == (0, "compacted 9 events ")
    assert len(call_json("gc", "--log", url, "--dry-run")["segments"]) >= 1
    gone = call("gc", "--log", url)
    assert (gone.exit_code, gone.stdout[:8]) == (0, "deleted ")
    assert call_json("gc", "--log", url)["segments"] == []


def test_verify_of_an_intact_log_is_0(tmp_path: Path) -> None:
    result = call("verify", "--log", a_log(tmp_path / "log"))
    assert result.exit_code == 0
    assert result.stdout.startswith("checked 9 events in ")


def test_verify_names_damage_and_is_1(tmp_path: Path) -> None:
    url = a_log(tmp_path / "log")
    key = damage(url, "wal/")
    result = call("verify", "--log", url)
    assert result.exit_code == 1
    assert key in result.stdout
    assert call_json("verify", "--log", url)["damage"][0]["key"] == key


def test_copy_brings_everything_then_nothing(tmp_path: Path) -> None:
    source, copied = a_log(tmp_path / "log"), str(tmp_path / "copy")
    assert call_json("copy", source, copied)["events"] == 9
    assert call_json("copy", source, copied)["events"] == 0
    assert call("verify", "--log", copied).exit_code == 0


def test_copy_of_a_damaged_log_is_1(tmp_path: Path) -> None:
    source = a_log(tmp_path / "log")
    key = damage(source, "wal/")
    result = call("copy", source, str(tmp_path / "copy"))
    assert result.exit_code == 1
    assert key in result.stdout


def test_sync_without_dead_writers_ships_nothing(tmp_path: Path) -> None:
    assert call_json("sync", "--log", a_log(tmp_path / "log"))["recovered"] == []


def test_plugins_are_shown() -> None:
    result = call("plugins")
    assert result.exit_code == 0
    assert "eventlog_backends.hooks" in result.stdout
    assert "eventlog_backends.hooks" in {p["module"] for p in call_json("plugins")}


class Greeting:
    """A plugin with one verb."""

    @eventlog.hookimpl
    def register_commands(self) -> list[click.Command]:
        @click.command()
        def greet() -> None:
            """Say hello."""
            click.echo("hello")

        return [greet]


class Rude(Greeting):
    """A plugin that breaks its contract."""

    @eventlog.hookimpl
    def register_commands(self) -> list[click.Command]:
        raise RuntimeError("no")


def test_a_plugin_brings_a_verb() -> None:
    from eventlog.plugin import plugins

    plugins().register(Greeting(), "greeting")
    try:
        assert call("greet").stdout == "hello\n"
        assert "Say hello." in call("--help").stdout
    finally:
        plugins().unregister(name="greeting")


def test_a_broken_plugin_leaves_the_verbs_usable() -> None:
    from eventlog.plugin import plugins

    plugins().register(Rude(), "rude")
    try:
        result = call("--help")
        assert result.exit_code == 0
        assert "plugin rude" in result.stderr
        assert "Traceback" not in result.stderr
    finally:
        plugins().unregister(name="rude")


def test_the_demo_logs_real_training_and_reads_it_back(tmp_path: Path) -> None:
    url = str(tmp_path / "log")
    shown = call("demo", "--log", url)
    assert shown.exit_code == 0, shown.output
    assert f"eventlog tail --log {url}" in shown.stdout
    report = call_json("demo", "--log", url)
    assert report["missing"] == []
    assert report["types"] == {
        "metric.logged": 720, "param.set": 24, "run.created": 12, "run.ended": 12
    }  # fmt: skip
    best, *_, worst = report["leaderboard"]
    assert best["accuracy"] > 0.95 > worst["accuracy"]


def test_a_demo_that_finds_something_missing_is_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.demo._missing", lambda *_: ["run:1: a point"])
    result = call("demo", "--log", str(tmp_path / "log"))
    assert result.exit_code == 1
    assert "MISSING: run:1: a point" in result.stdout


DYING = """
import os, signal, sys, eventlog
log = eventlog.open(sys.argv[1], ship_s=(3600, 3600))
loss = log.points("run:1", "loss")
for step in range(1000):
    loss(1 / (step + 1), step)
log.append("run.ended", "run:1")
os.kill(os.getpid(), signal.SIGKILL)
"""


def a_dead_writer(url: str) -> None:
    command = [sys.executable, "-c", DYING, url]
    assert subprocess.run(command, env=environment(), check=False).returncode == -9


def test_what_a_killed_training_logged_is_shown(tmp_path: Path) -> None:
    url = str(tmp_path / "log")
    call("init", "--log", url)
    a_dead_writer(url)
    found = lines("events", "--log", url)[:-1]
    assert [row["step"] for row in found if row["key"] == "loss"] == list(range(1000))
    assert [row["type"] for row in found][-2:] == ["run.ended", "writer.died"]


def test_sync_ships_what_a_killed_training_left(tmp_path: Path) -> None:
    url = str(tmp_path / "log")
    call("init", "--log", url)
    a_dead_writer(url)
    assert len(call_json("sync", "--log", url)["recovered"]) == 1
    assert call_json("verify", "--log", url)["events"] == 1002
    assert call_json("sync", "--log", url)["recovered"] == []
