"""Many tasks on one thread, and tasks that log from threads."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

import eventlog
from tests.fork.scripts import rows


async def another_task() -> None:
    """Let the others go on: no pause, but what makes tasks take turns."""
    await asyncio.sleep(0)


def test_many_tasks_log_at_once(tmp_path: Path) -> None:
    log = eventlog.open(tmp_path / "log", ship_s=(0.01, 0.01))

    async def train(task: int) -> None:
        point = log.points(f"run:{task}", "loss")
        for n in range(50):
            point(1.0, n)
            if n % 10 == 0:
                log.append(f"fact{n}", f"run:{task}")
            await another_task()
        await asyncio.to_thread(log.flush)

    async def main() -> None:
        await asyncio.gather(*map(train, range(100)))

    asyncio.run(main())
    log.close()
    by_stream = defaultdict(list)
    for row in rows(tmp_path / "log"):
        word = row["step"] if row["type"] == "metric.logged" else row["type"]
        by_stream[row["stream"]].append(word)
    expected: list[object] = []
    for n in range(50):
        expected += [n, f"fact{n}"] if n % 10 == 0 else [n]
    assert by_stream == {f"run:{task}": expected for task in range(100)}


def test_a_cancelled_task_leaves_no_hole(tmp_path: Path) -> None:
    log = eventlog.open(tmp_path / "log", ship_s=(3600, 3600))
    point = log.points("run:1", "loss")
    said: list[int] = []

    async def train(enough: asyncio.Event) -> None:
        while True:
            point(1.0, len(said))
            said.append(len(said))
            if len(said) == 100:
                enough.set()
            await another_task()

    async def main() -> None:
        enough = asyncio.Event()
        task = asyncio.create_task(train(enough))
        await enough.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    log.flush(remote=True)
    log.close()
    assert [row["step"] for row in rows(tmp_path / "log")] == said
