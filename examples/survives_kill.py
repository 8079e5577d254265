"""A training that dies in the middle of a step, and a reader that finds everything it had logged.

Run it: python examples/survives_kill.py [LOG]

The training is a child process. It logs a point for every step, says on its standard output which
call returned last, and is killed with SIGKILL: no handler runs, nothing is flushed by hand. Then
this process opens the log, which ships what the dead one left, and counts.
"""

from __future__ import annotations

import signal
import subprocess
import sys

import polars as pl

import eventlog

TRAINING = """
import random, sys
import eventlog

log = eventlog.open(sys.argv[1])
log.append("run.created", "run:doomed", data={"name": "doomed"})
loss = log.points("run:doomed", "loss")
weight = 5.0
for step in range(10_000_000):
    weight -= 0.01 * 2 * weight + random.gauss(0, 0.01)
    loss(weight * weight, step)
    print(step, flush=True)
"""


def main(url: str) -> int:
    """Kill a training after a few thousand steps; 0 if nothing that returned is missing."""
    command = [sys.executable, "-c", TRAINING, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout is not None
        returned = next(step for line in training.stdout if (step := int(line)) >= 3_000)
        training.send_signal(signal.SIGKILL)
        returned = max([returned, *(int(line) for line in training.stdout if line.endswith("\n"))])

    with eventlog.open(url) as log:
        points = log.events().filter(pl.col("stream").cast(pl.String) == "run:doomed").collect()
        steps = points["step"].drop_nulls().sort()
        died = log.events().filter(pl.col("type").cast(pl.String) == "writer.died").collect()
    missing = returned + 1 - steps.filter(steps <= returned).n_unique()
    doubled = len(steps) - steps.n_unique()
    print(f"the last call that returned logged step {returned}")
    print(f"the log holds {len(steps)} points: {missing} missing, {doubled} doubled")
    print(f"and {len(died)} note that their writer died")
    return int(bool(missing or doubled))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "./.eventlog"))
