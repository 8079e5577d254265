"""``events`` and ``tail``: exactly the events asked for, as lines that nothing can abuse."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

import eventlog
from eventlog.cli import events as ev
from tests.cli.calls import a_log, call, environment, lines, start


def test_events_are_shown_oldest_first(tmp_path: Path) -> None:
    result = call("events", "--log", a_log(tmp_path / "log"))
    shown = result.stdout.splitlines()
    assert result.exit_code == 0
    assert len(shown) == 9
    assert shown == sorted(shown, key=lambda line: line[:27])
    assert shown[0].endswith('Z  run.ended  run:0  {"n": 0}')


def test_events_as_json_are_lines_and_the_last_is_the_position(tmp_path: Path) -> None:
    *found, last = lines("events", "--log", a_log(tmp_path / "log"))
    assert len(found) == 9
    assert list(found[0]) == list(eventlog.event.COLUMNS)
    assert list(last) == ["position"]
    assert [row["value"] for row in found if row["type"] == "metric.logged"][:2] == [0.0, "NaN"]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--type", "run.created"), 1),
        (("--type", "run.created", "--type", "run.ended"), 3),
        (("--stream", "run:1"), 7),
        (("--key", "loss"), 6),
        (("--stream", "run:1", "--type", "run.created"), 1),
        (("--limit", "4"), 4),
        (("--limit", "4000"), 9),
    ],
)
@pytest.mark.parametrize("compacted", [False, True])
def test_filters_leave_what_was_asked_for(
    words: tuple[str, ...], count: int, compacted: bool, tmp_path: Path
) -> None:
    url = a_log(tmp_path / "log")
    if compacted:
        call("compact", "--log", url)
    assert len(lines("events", "--log", url, *words)) == count + 1


def test_a_limit_shows_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ev, "SORT_ROWS", 2)
    url = a_log(tmp_path / "log", 20)
    everything = [row["seq"] for row in lines("events", "--log", url)[:-1]]
    newest = [row["seq"] for row in lines("events", "--log", url, "--limit", "5")[:-1]]
    assert newest == sorted(everything)[-5:]


def test_more_than_can_be_sorted_are_all_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ev, "SORT_ROWS", 2)
    url = a_log(tmp_path / "log", 20)
    call("compact", "--log", url)
    a_log(tmp_path / "log", 3)
    assert len(lines("events", "--log", url)) == 60 + 9 + 1


def test_reading_goes_on_after_a_position(tmp_path: Path) -> None:
    url = a_log(tmp_path / "log")
    last = json.dumps(lines("events", "--log", url)[-1])
    assert call("events", "--log", url, "--after", last).exit_code == 1
    with eventlog.open(url) as log:
        log.append("later", "x")
    (tmp_path / "position.json").write_text(last)
    for after in (last, str(tmp_path / "position.json")):
        found = lines("events", "--log", url, "--after", after)[:-1]
        assert [row["type"] for row in found] == ["later"]


@pytest.mark.parametrize("text", ["{", "[]", "nowhere.json", '{"lanes": 1}'])
def test_what_is_no_position_is_a_wrong_use(text: str, tmp_path: Path) -> None:
    result = call("events", "--log", a_log(tmp_path / "log"), "--after", text)
    assert result.exit_code == 2
    assert "position" in result.stderr


def test_no_events_found_is_1(tmp_path: Path) -> None:
    result = call("events", "--log", a_log(tmp_path / "log"), "--type", "never")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "no events match\n")


def test_nothing_in_an_event_reaches_the_terminal_as_a_command(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "log") as log:
        log.append("t\x1b[31m", "s\x07\n", key="k\u202e\x9b", data={"d": "\x1b]0;x\x07\u2028"})
    shown = call("events", "--log", str(tmp_path / "log")).stdout
    assert shown.count("\n") == 1
    assert not set(shown) & set("\x1b\x07\x9b\u202e\u2028")
    assert "t\\x1b[31m  s\\x07\\n  k\\u202e\\x9b" in shown


def test_a_long_payload_is_shown_whole(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "log") as log:
        log.append("t", "s", data={"text": "x" * 100_000})
    row = lines("events", "--log", str(tmp_path / "log"))[0]
    assert row["data"] == {"text": "x" * 100_000}


def test_a_time_beyond_the_calendar_is_shown_as_a_number() -> None:
    assert ev._time(-(2**62)) == f"{-(2**62)}us"


def test_damage_is_an_error_or_skipped(tmp_path: Path) -> None:
    url = a_log(tmp_path / "log")
    a_log(tmp_path / "log")
    key = sorted((tmp_path / "log" / "wal").rglob("*.arrow"))[0]
    raw = key.read_bytes()
    key.unlink()
    key.write_bytes(raw[:-1])
    failed = call("events", "--log", url)
    assert failed.exit_code == 1
    assert key.name in failed.stderr
    rest = call("events", "--log", url, "--skip-damage")
    assert rest.exit_code == 0
    assert "left out: wal/" in rest.stderr


def test_a_reader_that_hangs_up_is_no_error(tmp_path: Path) -> None:
    url = a_log(tmp_path / "log", 20_000)
    pipe = subprocess.PIPE
    with start("events", "--log", url, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_tail_shows_what_comes_until_interrupted(tmp_path: Path) -> None:
    url = a_log(tmp_path / "log")
    with start("tail", "--log", url, "--json", "-n", "2", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        shown = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert [row["seq"] for row in shown] == [7, 8]
        with eventlog.open(url) as log:
            log.append("later", "x")
        assert json.loads(process.stdout.readline())["type"] == "later"
        assert "position" in json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0


def test_lines_fit_a_narrow_terminal_and_no_colour_is_shown_where_none_is_wanted(
    tmp_path: Path,
) -> None:
    url = a_log(tmp_path / "log")
    plain = on_a_terminal(environment(NO_COLOR="1", COLUMNS="70", LINES="20"), url)
    assert "\x1b" not in plain
    assert plain.count("\n") == 9
    assert max(len(line.rstrip("\r")) for line in plain.split("\n")) <= 70
    assert "\x1b[2m" in on_a_terminal(environment(COLUMNS="40", LINES="20"), url)


def on_a_terminal(env: dict[str, str], url: str) -> str:
    """What ``eventlog events`` prints where its output is a terminal."""
    import os
    import pty

    ours, theirs = pty.openpty()
    with start("events", "--log", url, env=env, stdout=theirs) as process:
        os.close(theirs)
        told = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the terminal's other side is closed
                break
            if not piece:
                break
            told += piece
        process.wait()
    os.close(ours)
    return told.decode()
