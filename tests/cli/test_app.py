"""Errors in two lines, help without heavy imports, progress only where somebody sees it."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eventlog import errors
from eventlog.cli import progress as bar
from eventlog.cli.errors import split
from eventlog.cli.text import as_json, count, plain, print_table, size
from tests.cli.calls import a_log, call, environment, start


def test_what_is_no_log_is_said_in_two_lines(tmp_path: Path) -> None:
    result = call("events", "--log", str(tmp_path / "none"))
    what, todo = result.stderr.splitlines()
    assert result.exit_code == 1
    assert what.startswith("error: ")
    assert "holds no log" in what
    assert "eventlog init" in todo


@pytest.mark.parametrize("words", [("nope",), ("events", "--nope"), ("copy", "one"), ("--nope",)])
def test_a_wrong_use_is_said_in_two_lines_and_is_2(words: tuple[str, ...]) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2
    assert "--help" in result.stderr


def test_an_unknown_store_is_a_wrong_use() -> None:
    result = call("verify", "--log", "memry://x")
    assert result.exit_code == 2
    assert "memory" in result.stderr


def test_an_error_is_json_where_json_was_asked_for(tmp_path: Path) -> None:
    result = call("verify", "--log", str(tmp_path / "none"), "--json")
    told = json.loads(result.stderr)
    assert (result.stdout, told["error"]) == ("", "NotALog")
    assert json.loads(call("--json", "nope").stderr)["error"] == "UsageError"


def test_a_wrong_use_is_json_wherever_json_stands() -> None:
    for words in (("events", "--limit", "x", "--json"), ("--json", "events", "--nope")):
        result = call(*words)
        assert result.exit_code == 2
        assert json.loads(result.stderr)["error"] == "UsageError"


def test_nothing_but_the_name_shows_the_help() -> None:
    result = call()
    assert result.exit_code in (0, 2)  # by click's version
    assert "\nCommands:\n" in result.output


def test_no_log_can_have_an_empty_url() -> None:
    assert call("events", "--log", "").exit_code == 2


@pytest.mark.parametrize("words", [("copy", "a", "memory://b"), ("copy", "--log", "c", "a", "b")])
def test_a_copy_that_cannot_be_meant_is_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    assert call(*words).exit_code == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    url = a_log(tmp_path / "log")
    with (
        open("/dev/full", "w") as full,
        start("events", "--log", url, stdout=full, stderr=subprocess.PIPE) as process,
    ):
        said = process.communicate()[1].decode()
    assert process.returncode == 1
    assert said.splitlines()[0] == "error: No space left on device, while the output was written."
    assert len(said.splitlines()) == 2


def test_on_a_phone_events_and_tables_are_stacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = a_log(tmp_path / "log", 1)
    wide = call("events", "--log", url).stdout.splitlines()
    monkeypatch.setattr("eventlog.cli.text.room", lambda: 40)
    stacked = call("events", "--log", url).stdout.splitlines()
    assert len(stacked) == 3 * len(wide)
    assert stacked[1:3] == ["  run.ended  run:0", '  {"n": 0}']
    assert "\nmodule: eventlog_backends.hooks\n" in call("plugins").stdout


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (None, ["name  number", "----  ------", "a     1", "世界  \\x1b"]),
        (12, ["name  number", "----  ------", "a     1", "世界  \\x1b"]),
        (11, ["name: a", "number: 1", "", "name: 世界", "number: \\x1b"]),
    ],
)
def test_a_table_is_stacked_where_it_has_no_room(
    columns: int | None,
    shown: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("eventlog.cli.text.room", lambda: columns)
    print_table(("name", "number"), [("a", "1"), ("世界", "\x1b")])
    assert capsys.readouterr().out.splitlines() == shown


def test_what_the_library_logs_is_json_where_json_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def warn() -> list[object]:
        logging.getLogger("eventlog.x").warning("look out")
        return []

    monkeypatch.setattr("eventlog.plugin.installed", warn)
    assert json.loads(call("plugins", "--json").stderr) == {"warning": "look out"}


def broken(*_: object) -> None:
    raise ZeroDivisionError("a bug")


def test_a_bug_shows_no_traceback_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = a_log(tmp_path / "log")
    monkeypatch.setattr("eventlog.log.keep.verify._claims", broken)
    quiet = call("verify", "--log", url)
    assert quiet.exit_code == 1
    assert "ZeroDivisionError" in quiet.stderr
    assert "EVENTLOG_DEBUG=1" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in call("verify", "--log", url, env={"EVENTLOG_DEBUG": "1"}).stderr


def test_an_interrupt_is_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    url = a_log(tmp_path / "log")
    monkeypatch.setattr("eventlog.log.keep.verify._claims", interrupted)
    result = call("verify", "--log", url)
    assert (result.exit_code, result.stderr) == (130, "\ninterrupted\n")


def test_what_the_library_logs_is_shown_as_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def warn() -> list[object]:
        logging.getLogger("eventlog.x").warning("look\x1b out", exc_info=ValueError("no"))
        return []

    monkeypatch.setattr("eventlog.plugin.installed", warn)
    assert call("plugins").stderr == "warning: look\\x1b out\n"


@pytest.mark.parametrize(
    ("error", "what", "todo"),
    [
        (errors.NotALog("../x is no log. Make one."), "../x is no log.", "Make one."),
        (errors.UsageError("no such scheme: x"), "no such scheme: x.", "`eventlog --help`"),
        (errors.Unavailable("no answer"), "no answer.", "try again"),
        (errors.SpoolError("x is broken (EIO): mend it."), "x is broken (EIO).", "Mend it."),
        (PermissionError(13, "Permission denied", "/x"), "Permission denied: /x.", "access"),
        (errors.Damage("k", "it is cut", "Restore it."), "k: it is cut.", "Restore it."),
        (errors.Damage("k", "it is cut"), "k: it is cut.", "`eventlog events --skip-damage`"),
        (ValueError("v. W"), "unexpected ValueError: v. W", "EVENTLOG_DEBUG=1"),
    ],
)
def test_every_error_says_what_and_what_to_do(error: Exception, what: str, todo: str) -> None:
    said = split(error)
    assert said[0] == what
    assert todo in said[1]


@pytest.mark.parametrize("words", [["--help"], ["events", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom eventlog.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        "print(sorted({'rich', 'pyarrow', 'polars', 'numpy', 's3fs'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, check=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_output_that_a_terminal_cannot_encode_is_escaped() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eventlog", "plugins"],
        env=environment(PYTHONIOENCODING="ascii"),
        capture_output=True,
        check=True,
    )
    assert b"backends" in done.stdout
    assert done.stderr == b""


def test_text_is_escaped_only_where_it_must_be() -> None:
    assert plain("Grüße, 世界 🎉") == "Grüße, 世界 🎉"
    assert plain("a\tb\nc\x00\ud800") == "a\\tb\\nc\\x00\\ud800"


def test_json_holds_what_json_has_no_numbers_for() -> None:
    found = json.loads(as_json({"a": float("inf"), "b": (1, None), "c": errors.Damage("k", "w")}))
    assert (found["a"], found["b"], found["c"]["key"]) == ("Infinity", [1, None], "k")


def test_amounts_are_for_people() -> None:
    assert [size(n) for n in (0, 999, 1500, 2e9, 3e15)] == [
        "0 B", "999 B", "1.5 kB", "2.0 GB", "3000.0 TB"
    ]  # fmt: skip
    assert [count(n, "event") for n in (0, 1, 2000)] == ["0 events", "1 event", "2,000 events"]


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_once_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(bar, "PATIENCE_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    with bar.progress("working") as tell:
        tell("really working", 1, 2)
        while "really working" not in terminal.getvalue():
            os.sched_yield()
    assert "50%" in terminal.getvalue()


def test_progress_towards_an_unknown_end_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(bar, "PATIENCE_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    with bar.progress("reading") as tell:
        tell("reading", 1234, 0)
        while "reading: 1,234" not in terminal.getvalue():
            os.sched_yield()


def test_progress_of_quick_work_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with bar.progress("working") as tell:
        tell("working", 1, 2)
    assert terminal.getvalue() == ""


def test_progress_is_not_shown_to_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    monkeypatch.setattr(bar, "PATIENCE_S", 0.0)
    with bar.progress("working") as tell:
        tell("working", 1, 2)
    assert pipe.getvalue() == ""
