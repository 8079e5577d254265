"""Each verb does its work, says so, and means it by its exit code."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import eventlog
from eventlog.cli import main
from eventlog.log.progress import Progress
from eventlog.log.read.reader import Reader
from eventlog_backends.local import LocalBackend
from tests.cli.calls import a_log, call, call_json, environment, lines
from tests.rights import as_another_user

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
    assert call("gc", "--log", url).stdout == "deleted nothing\n"


def test_verify_of_an_intact_log_is_0(tmp_path: Path) -> None:
    result = call("verify", "--log", a_log(tmp_path / "log"))
    assert result.exit_code == 0
    assert result.stdout.startswith("checked 9 events in ")


def test_what_counts_is_said_while_compacting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    @contextlib.contextmanager
    def told(_what: str) -> Iterator[Progress]:
        yield lambda what, _done, _total: said.append(what)

    monkeypatch.setattr("eventlog.cli.store.progress", told)
    url = a_log(tmp_path / "log")
    call("compact", "--log", url)
    call("compact", "--log", url)
    assert said == ["compacting 9 events", "compacting 0 events"]


@pytest.mark.parametrize("part", ["format.json", "manifest/"])
def test_what_no_log_is_read_without_is_restored_not_skipped(part: str, tmp_path: Path) -> None:
    url = a_log(tmp_path / "log")
    call("compact", "--log", url)
    damage(url, part)
    for verb in ("events", "verify"):
        said = call(verb, "--log", url)
        assert said.exit_code == 1
        assert "untouched" in said.output
        assert "skip" not in said.output


def test_a_damaged_format_can_be_made_anew_as_the_error_says(tmp_path: Path) -> None:
    url = a_log(tmp_path / "log")
    damage(url, "format.json")
    (tmp_path / "log" / "format.json").write_bytes(b"{")
    assert "delete it and let `eventlog init --restore`" in call("events", "--log", url).stderr
    (tmp_path / "log" / "format.json").unlink()
    assert call("init", "--restore", "--log", url).exit_code == 0
    assert len(lines("events", "--log", url)) == 10


def test_a_file_is_said_to_be_no_log(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    for verb in ("init", "events", "verify"):
        assert call(verb, "--log", str(tmp_path / "README.md")).stderr.splitlines() == [
            f"error: {tmp_path / 'README.md'} is a file, not a log.",
            "Name a directory.",
        ]


def test_a_directory_without_permission_is_said_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0)
    for verb in ("init", "demo", "verify"):  # imports what another user may not be able to
        assert call(verb, "--log", str(tmp_path / "open")).exit_code == 0
    with as_another_user():
        for verb in ("init", "demo", "verify"):
            said = call(verb, "--log", str(tmp_path / "shut" / "log"))
            assert said.exit_code == 1
            assert "permission denied" in said.stderr
            assert said.stderr.endswith(
                "\nAsk its owner for access, or log to another directory.\n"
            )


def test_verify_names_damage_and_is_1(tmp_path: Path) -> None:
    url = a_log(tmp_path / "log")
    key = damage(url, "wal/")
    result = call("verify", "--log", url)
    assert result.exit_code == 1
    assert key in result.stdout
    [found] = call_json("verify", "--log", url)["damage"]
    assert found["key"] == key
    for remedy in (result.stdout, found["todo"]):
        assert "`eventlog events --skip-damage`" in remedy
        assert "eventlog verify" not in remedy


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


def test_the_demo_s_tables_fit_a_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventlog.cli.text.room", lambda: 40)
    shown = call("demo", "--log", str(tmp_path / "log")).stdout
    assert "rank: 1\nstream: run:" in shown
    assert max(map(len, shown.partition("It lies")[0].splitlines()[:7])) <= 40


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
