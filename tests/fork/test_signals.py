"""Ctrl-C at any moment, and signal handlers that log: nothing that returned is lost."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fork.scripts import rows, run

STORM = """
        import json
        log = open_log(ship_s=(0.01, 0.01))
        point = log.points("run:1", "loss")
        points = log.points_many("run:1", ["a", "b", "c"])
        returned, interrupted, n = [], 0, 0

        def work():
            global n
            while thread.is_alive():
                n += 1
                point(1.0, n)
                returned.append(n)
                if n % 7 == 0:
                    points([1.0, 2.0, 3.0], -n)
                    returned.append(-n)
                if n % 50 == 0:
                    log.append(f"fact{n}", "run:1", data={"n": n})
                    returned.append(f"fact{n}")
                if n % 501 == 0:
                    log.points("run:1", f"key{n}")(1.0, 10**9 + n)
                    returned.append(10**9 + n)
                if n % 1009 == 0:
                    log.flush()

        def ctrl_c(number, frame):
            while frame is not None:
                if frame.f_code is work.__code__:  # else there is nobody to catch it
                    raise KeyboardInterrupt
                frame = frame.f_back

        def storm():
            for _ in range(2_000):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.0004)

        signal.signal(signal.SIGINT, ctrl_c)
        thread = threading.Thread(target=storm)
        thread.start()
        while thread.is_alive():
            try:
                work()
            except KeyboardInterrupt:
                interrupted += 1
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        log.flush(remote=True)
        log.close()
        assert interrupted > 100, interrupted
        with open(LOG + "-truth", "w") as f:
            json.dump(returned, f)
"""


def test_a_storm_of_ctrl_c_loses_nothing_that_returned(tmp_path: Path) -> None:
    run(tmp_path / "log", STORM, timeout_s=60)
    returned = json.loads((tmp_path / "log-truth").read_text())
    found: dict[object, int] = {}
    for row in rows(tmp_path / "log"):
        word = row["step"] if row["type"] == "metric.logged" else row["type"]
        found[word] = found.get(word, 0) + 1
    said = set(returned)
    whole = {word: 3 if isinstance(word, int) and word < 0 else 1 for word in {*found, *said}}
    assert {word for word in said if found.get(word) != whole[word]} == set()
    assert all(count <= whole[word] for word, count in found.items())
    assert len(found) - len(said) <= 2_000


def test_a_handler_that_logs_and_flushes_at_any_moment(tmp_path: Path) -> None:
    out = run(tmp_path / "log", """
        log = open_log(ship_s=(0.01, 0.01))
        point = log.points("run:1", "loss")
        handled, new = 0, 0
        def handler(number, frame):
            global handled, new
            handled += 1
            point(1.0, -handled)
            log.append(f"handled{handled}", "run:1", data={"by": "handler"})
            if handled % 10 == 0:
                new += 1
                log.points("run:1", f"handler{new}")(1.0, 10**9 + new)
            log.flush()
            signal.setitimer(signal.ITIMER_REAL, 0.0001 + handled % 7 * 0.0001)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        done = n = 0
        while handled < 500:
            n += 1
            point(1.0, n)
            log.append(f"fact{n}", "run:1")
            if n % 10 == 0:
                log.points("run:1", f"main{n}")(1.0, 10**10 + n)
            if n % 100 == 0:
                log.flush()
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        log.flush(remote=True)
        log.close()
        print(n, handled, new)
    """, timeout_s=60)  # fmt: skip
    n, handled, new = map(int, out.split())
    found = rows(tmp_path / "log")
    words = [r["step"] if r["type"] == "metric.logged" else r["type"] for r in found]
    assert len(words) == len(set(words))
    expected = {*range(1, n + 1), *(f"fact{k}" for k in range(1, n + 1))}
    expected |= {-k for k in range(1, handled + 1)}
    expected |= {f"handled{k}" for k in range(1, handled + 1)}
    expected |= {10**9 + k for k in range(1, new + 1)}
    expected |= {10**10 + k for k in range(10, n + 1, 10)}
    assert set(words) == expected
    keys = {r["step"]: r["key"] for r in found if r["type"] == "metric.logged"}
    assert all(keys[10**9 + k] == f"handler{k}" for k in range(1, new + 1))
    assert all(keys[10**10 + k] == f"main{k}" for k in range(10, n + 1, 10))
    for own in (range(1, n + 1), range(-1, -handled - 1, -1)):
        wanted = set(own)
        assert [w for w in words if w in wanted] == list(own)


def test_a_handler_that_says_goodbye_and_exits(tmp_path: Path) -> None:
    for moment in range(6):
        log = tmp_path / f"log{moment}"
        out = run(log, f"""
            log = open_log(ship_s=(3600, 3600))
            point = log.points("run:1", "loss")
            n = 0
            def goodbye(number, frame):
                log.append("terminated", "run:1")
                log.flush()
                print(n, flush=True)
                sys.exit(0)
            signal.signal(signal.SIGTERM, goodbye)
            threading.Timer({moment} * 0.006 + 0.02, os.kill, (os.getpid(), 15)).start()
            while True:
                point(1.0, n)
                n += 1
                if n % 10 == 0:
                    log.append("fact", "run:1")
        """)  # fmt: skip
        found = rows(log)
        steps = [r["step"] for r in found if r["type"] == "metric.logged"]
        assert steps[: int(out)] == list(range(int(out)))
        assert len(steps) <= int(out) + 1
        assert [r["type"] for r in found].count("terminated") == 1
