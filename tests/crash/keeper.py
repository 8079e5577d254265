"""A process that recovers, compacts and collects until it is killed.

``python -m tests.crash.keeper URL SIGN``
"""

from __future__ import annotations

import itertools
import logging
import sys
from pathlib import Path

import eventlog

GRACE_S = 1.0
TARGET_ROWS = 100_000  # small, so that merges happen too


def keep(log: eventlog.Log) -> None:
    """One round: what dead writers left, a compaction, a collection."""
    log.sync()
    log.compact(target_rows=TARGET_ROWS)
    log.collect(grace_s=GRACE_S)


def main() -> None:
    url, sign = sys.argv[1:]
    logging.basicConfig(level=logging.ERROR)
    log = eventlog.open(url)
    log.prepare()
    for number in itertools.count(1):
        Path(sign).write_text(str(number))
        keep(log)


if __name__ == "__main__":
    main()
