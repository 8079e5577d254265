"""Forked and spawned: every process has a lane of its own, and nothing is lost or doubled."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from tests.fork.scripts import rows, run, words


def by_lane(log: Path) -> dict[str, list[object]]:
    found = defaultdict(list)
    for row in rows(log):
        found[row["lane"]].append(row["step"] if row["type"] == "metric.logged" else row["type"])
    return dict(found)


def test_a_handle_goes_on_in_parent_and_child(tmp_path: Path) -> None:
    run(tmp_path / "log", """
        log = open_log(ship_s=(3600, 3600))
        point, points = log.points("run:1", "loss"), log.points_many("run:1", ["a", "b"])
        log.append("parent", "run:1")
        for n in range(3_000):
            point(1.0, n)
        pid = os.fork()
        base = 10_000 if pid else 100_000
        for n in range(10_000):
            point(1.0, base + n)
        points([1.0, 2.0], base + 50_000)
        log.append("parent" if pid else "child", "run:1")
        log.flush()
        if not pid:
            log.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        log.close()
    """)  # fmt: skip
    lanes = by_lane(tmp_path / "log")
    parent, child = sorted(lanes.values(), key=lambda w: w[0] != "parent")
    assert parent == [
        "parent", *range(3_000), *range(10_000, 20_000), 60_000, 60_000, "parent",
    ]  # fmt: skip
    assert child == [*range(100_000, 110_000), 150_000, 150_000, "child"]


def test_a_child_s_end_leaves_the_parent_its_lock(tmp_path: Path) -> None:
    out = run(tmp_path / "log", """
        log = open_log(ship_s=(3600, 3600))
        log.append("parent", "run:1")
        if not (pid := os.fork()):
            log.append("child", "run:1")
            log.close()
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        from eventlog.log.write.lock import take_lock
        from eventlog.log.keep.recover import lanes_in
        from pathlib import Path
        [spool] = lanes_in(Path(LOG) / "spool")
        print(take_lock(spool))
        other = eventlog.open(LOG, strict=True)
        print(other.sync().alive == [spool.name])
        log.append("still here", "run:1")
    """)  # fmt: skip
    assert out.split() == ["None", "True"]
    assert sorted(map(str, words(tmp_path / "log"))) == ["child", "parent", "still here"]


@pytest.mark.parametrize("ending", ["os._exit(3)", "sys.exit(3)", "os.kill(os.getpid(), 9)"])
def test_however_a_child_ends_what_returned_is_there(tmp_path: Path, ending: str) -> None:
    run(tmp_path / "log", f"""
        log = open_log(ship_s=(3600, 3600))
        point = log.points("run:1", "loss")
        point(1.0, 0)
        if not (pid := os.fork()):
            for n in range(100, 6_000):
                point(1.0, n)
            log.append("child", "run:1")
            {ending}
        os.waitpid(pid, 0)
        point(1.0, 1)
    """)  # fmt: skip
    lanes = sorted(by_lane(tmp_path / "log").values(), key=len)
    assert lanes == [[0, 1], [*range(100, 6_000), "child"]]


def test_a_child_that_never_logs_costs_nothing(tmp_path: Path) -> None:
    run(tmp_path / "log", """
        log = open_log(ship_s=(3600, 3600))
        log.append("parent", "run:1")
        if not (pid := os.fork()):
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert len(os.listdir(LOG + "/spool")) == 1
    """)  # fmt: skip
    assert words(tmp_path / "log") == ["parent"]


def test_a_grandchild_has_a_lane_too(tmp_path: Path) -> None:
    run(tmp_path / "log", """
        log = open_log(ship_s=(3600, 3600))
        point = log.points("run:1", "loss")
        depth = 0
        point(1.0, depth)
        while depth < 3 and not (pid := os.fork()):
            depth += 1
            point(1.0, depth)
        if depth < 3:
            assert os.waitpid(pid, 0)[1] == 0
    """)  # fmt: skip
    assert sorted(by_lane(tmp_path / "log").values()) == [[0], [1], [2], [3]]


@pytest.mark.parametrize("where", ["spool.lock", "spool.sync_lock", "names.lock", "_lock"])
def test_a_fork_while_another_thread_holds_a_lock_does_not_hang(tmp_path: Path, where: str) -> None:
    run(tmp_path / "log", f"""
        log = open_log(ship_s=(3600, 3600))
        point = log.points("run:1", "loss")
        log.append("parent", "run:1")
        writer = log._writer
        held, go = threading.Event(), threading.Event()
        def hold():
            with writer.{where}:
                held.set()
                go.wait()
        threading.Thread(target=hold).start()
        held.wait()
        if not (pid := os.fork()):
            point(1.0, 1)
            log.points("run:1", "other")(1.0, 2)
            log.append("child", "run:1")
            log.flush()
            log.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        go.set()
        log.append("parent", "run:1")
    """, timeout_s=40)  # fmt: skip
    assert sorted(by_lane(tmp_path / "log").values(), key=str) == [
        ["parent", "parent"],
        [1, 2, "child"],
    ]


def test_forks_in_the_middle_of_threads_that_log(tmp_path: Path) -> None:
    run(tmp_path / "log", """
        log = open_log(ship_s=(0.01, 0.01))
        point = log.points("run:1", "loss")
        turns, turn, busy = 0, threading.Condition(), threading.Event()
        def work(base):
            n = 0
            while turns < 12:
                for _ in range(20):
                    point(1.0, base + n)
                    n += 1
                log.append("fact", "run:1")
                busy.set()
                with turn:  # so much for each fork, that the log stays small
                    turn.wait_for(lambda: n < 2_000 * (turns + 1) or turns == 12)
            totals.append(n)
        totals = []
        threads = [threading.Thread(target=work, args=(k * 10**8,)) for k in range(4)]
        for t in threads: t.start()
        for k in range(12):
            busy.wait()
            if not (pid := os.fork()):
                for n in range(500):
                    point(2.0, -1 - n)
                log.append("child", "run:1")
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            busy.clear()
            with turn:
                turns = k + 1
                turn.notify_all()
        for t in threads: t.join()
        log.append("count", "run:1", value=sum(totals))
    """)  # fmt: skip
    found = rows(tmp_path / "log")
    by: dict[str, list[dict[str, object]]] = defaultdict(list)
    for row in found:
        by[row["lane"]].append(row)
    children = [own for own in by.values() if own[-1]["type"] == "child"]
    assert len(children) == 12
    for own in children:
        assert [r["step"] for r in own[:-1]] == [-1 - n for n in range(500)]
    [parent] = [own for own in by.values() if own[-1]["type"] == "count"]
    points = [r["step"] for r in parent if r["type"] == "metric.logged"]
    assert len(points) == len(set(points)) == parent[-1]["value"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_ship_what_they_logged(tmp_path: Path, method: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"""
import multiprocessing, sys
import eventlog

log = eventlog.open(sys.argv[1], ship_s=(3600, 3600))

def work(n):
    point = log.points("run:1", "loss")
    for k in range(200):
        point(1.0, n * 1000 + k)
    log.append(f"worker{{n}}", "run:1")

if __name__ == "__main__":
    log.append("parent", "run:1")
    context = multiprocessing.get_context("{method}")
    workers = [context.Process(target=work, args=(n,)) for n in range(3)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    assert [w.exitcode for w in workers] == [0, 0, 0]
    import os
    print(len(os.listdir(sys.argv[1] + "/spool")))
""")
    import subprocess
    import sys

    from tests.fork.scripts import ROOT, environment

    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path / "log")],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1", "a worker's spool was left to others"
    lanes = sorted(by_lane(tmp_path / "log").values(), key=str)
    assert lanes == [
        ["parent"],
        *([*(n * 1000 + k for k in range(200)), f"worker{n}"] for n in range(3)),
    ]


def test_a_loader_s_worker_logs_after_its_parent_used_polars(tmp_path: Path) -> None:
    """Polars' threads do not survive a fork; so the worker must not touch it."""
    out = run(tmp_path / "log", """
        import multiprocessing
        log = open_log(ship_s=(3600, 3600))
        point = log.points("run:1", "loss")
        log.append("parent", "run:1")
        import polars as pl
        assert log.events().collect().group_by("type").len().height == 1
        before = set(sys.modules)
        def work(n):
            import builtins
            real = builtins.__import__
            def watched(name, *rest):
                assert name.split(".")[0] != "polars", "the worker used polars"
                return real(name, *rest)
            builtins.__import__ = watched
            for k in range(100):
                point(1.0, n * 1000 + k)
            log.append("worker", "run:1")
            log.flush(remote=True)
        workers = [multiprocessing.get_context("fork").Process(target=work, args=(n,))
                   for n in range(2)]
        for w in workers: w.start()
        for w in workers: w.join(50)
        print([w.exitcode for w in workers])
        print(log.events().collect().height)
    """)  # fmt: skip
    assert out.splitlines() == ["[0, 0]", "203"]


def test_a_child_of_a_log_in_memory_leaves_its_parent_s_spool(tmp_path: Path) -> None:
    out = run(tmp_path / "log", """
        log = eventlog.open("memory://here", ship_s=(3600, 3600))
        point = log.points("run:1", "loss")
        point(1.0, 1)
        if not (pid := os.fork()):
            point(1.0, 2)
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        for n in range(3, 10_000):
            point(1.0, n)
        log.flush(remote=True)
        print(log.events().collect()["step"].to_list() == [1, *range(3, 10_000)])
    """)  # fmt: skip
    assert out.strip() == "True"
