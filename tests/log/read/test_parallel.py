"""The same work on many things at once, in order, also where no thread can be had."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from eventlog.errors import Damage
from eventlog.log.read.parallel import in_threads
from tests.fork.scripts import ROOT, environment

AT_EXIT = """
import atexit
from eventlog.log.read.parallel import in_threads
atexit.register(lambda: print(in_threads(lambda a: a * 2, [1, 2, 3]), flush=True))
"""


def test_results_come_in_the_order_of_the_arguments() -> None:
    assert in_threads(lambda a, b: a - b, range(100), range(100, 200)) == [-100] * 100


def test_what_the_work_raises_is_raised() -> None:
    def work(n: int) -> int:
        if n == 3:
            raise Damage("wal/a", "it is cut")
        return n

    with pytest.raises(Damage, match="it is cut"):
        in_threads(work, range(9))


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    in_threads(str, range(9))
    assert threading.active_count() == before


def test_where_no_thread_starts_the_work_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    assert in_threads(str, range(3)) == ["0", "1", "2"]


def test_a_process_that_is_ending_still_reads() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT], cwd=ROOT, env=environment(), capture_output=True
    )
    assert done.stdout.decode().strip() == "[2, 4, 6]", done.stderr.decode()
