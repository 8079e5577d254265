"""Every way out of the interpreter: what returned is in the log afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fork.scripts import run, words

SAY = """
log = open_log(ship_s=(3600, 3600))
point = log.points("run:1", "loss")
point(1.0, 1)
log.append("noted", "run:1")
"""


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("log.close()", 0),
        ("sys.exit(0)", 0),
        ("raise RuntimeError('in main')", 1),
        ("raise KeyboardInterrupt", (1, -2)),
        ("os._exit(4)", 4),
        ("os.kill(os.getpid(), 9)", -9),
        ("os.kill(os.getpid(), 15)", -15),
        ("os.abort()", -6),
        ("del log, point", 0),
        ("import gc; log.self = log; del log; gc.collect()", 0),
        ("threading.Thread(target=lambda: log.append('late', 'run:1') or sys.exit()).start()", 0),
        ("log.__enter__(); log.__exit__(None, None, None)", 0),
        ("os.execv('/bin/true', ['true'])", 0),
    ],
)
def test_whatever_ends_the_process(
    tmp_path: Path, ending: str, code: int | tuple[int, ...]
) -> None:
    run(tmp_path / "log", SAY + ending, code=code)
    found = words(tmp_path / "log")
    assert found[:2] == [1, "noted"]
    assert set(found[2:]) <= {"late"}


@pytest.mark.parametrize("ending", ["", "sys.exit(0)", "raise RuntimeError('in main')"])
def test_an_orderly_end_leaves_no_spool(tmp_path: Path, ending: str) -> None:
    run(tmp_path / "log", SAY + ending, code=1 if "raise" in ending else 0)
    assert list((tmp_path / "log" / "spool").iterdir()) == []


def test_a_daemon_thread_that_logs_at_shutdown_loses_nothing_that_returned(
    tmp_path: Path,
) -> None:
    out = run(tmp_path / "log", SAY + """
def work():
    n = 1
    while True:
        try:
            point(1.0, n + 1)
        except eventlog.LogClosed:
            return
        n += 1
        last[0] = n
last = [1]
threading.Thread(target=work, daemon=True).start()
while last[0] < 5_000:
    pass
import atexit
atexit.register(lambda: print(last[0], flush=True))
""")  # fmt: skip
    steps = [w for w in words(tmp_path / "log") if isinstance(w, int)]
    assert steps[:5_000] == list(range(1, 5_001))
    assert steps == list(range(1, len(steps) + 1))
    assert int(out) <= len(steps) + 1_000_000


def test_an_atexit_function_may_still_log(tmp_path: Path) -> None:
    run(tmp_path / "log", """
        import atexit
        log = open_log(ship_s=(3600, 3600))
        log.append("first", "run:1")
        atexit.register(lambda: log.append("last words", "run:1"))
    """)  # fmt: skip
    assert words(tmp_path / "log") == ["first", "last words"]


def test_a_log_whose_first_word_comes_at_exit(tmp_path: Path) -> None:
    run(tmp_path / "log", """
        import atexit
        log = open_log(ship_s=(3600, 3600))
        atexit.register(lambda: log.append("only words", "run:1"))
        log.reader
        import eventlog.log.shared
    """)  # fmt: skip
    assert words(tmp_path / "log") in (["only words"], [])


def test_a_log_in_memory_leaves_nothing_on_disk(tmp_path: Path) -> None:
    out = run(tmp_path / "log", """
        import tempfile
        tempfile.tempdir = os.path.dirname(LOG)
        log = eventlog.open("memory://here", ship_s=(3600, 3600))
        log.append("noted", "run:1")
        log.points("run:1", "loss")(1.0, 1)
    """)  # fmt: skip
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_close_in_a_thread_at_exit(tmp_path: Path) -> None:
    run(tmp_path / "log", SAY + "threading.Thread(target=log.close).start()")
    assert words(tmp_path / "log") == [1, "noted"]
