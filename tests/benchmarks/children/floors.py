"""What the interpreter and the disk take at least: nobody's log can be faster."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks import child
from tests.benchmarks.child import Numbers

SYNCS = 50
MAP_ROWS = 4096


def floors(root: str, count: int) -> Numbers:
    """The median of each floor."""
    path = Path(root, "floor")
    pack = struct.Struct("<qqdII").pack_into
    rows: list[tuple[float, int]] = []
    with path.open("w+b", buffering=0) as file:
        file.truncate(MAP_ROWS * 32)
        row_map = mmap.mmap(file.fileno(), MAP_ROWS * 32)
        map_call = child.per_call(
            lambda value, step: pack(row_map, step % MAP_ROWS * 32, 0, step, value, 1, 1), count
        )
        descriptor = file.fileno()
        row = bytes(32)
        write_call = child.per_call(lambda value, step: os.write(descriptor, row), count)
        syncs = [_sync_ms(descriptor) for _ in range(SYNCS)]
    append_call = child.per_call(lambda value, step: rows.append((value, step)), count)
    starts = [_start_s() for _ in range(5)]
    return {
        "append_us": append_call["median_us"],
        "pack_us": map_call["median_us"],
        "write_us": write_call["median_us"],
        "fdatasync_ms": child.quantile(syncs, 0.5),
        "interpreter_s": child.quantile(starts, 0.5),
    }


def _sync_ms(descriptor: int) -> float:
    before = time.perf_counter()
    os.write(descriptor, bytes(4096))
    os.fdatasync(descriptor)
    return (time.perf_counter() - before) * 1e3


def _start_s() -> float:
    before = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - before


if __name__ == "__main__":
    child.main({"floors": floors})
