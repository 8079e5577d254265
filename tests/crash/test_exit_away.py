"""A script that is done while its store is away: it says that it waits, and Ctrl-C is safe."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import eventlog
from tests.crash.soak import ROOT, environment

SCRIPT = """
import sys
import eventlog
from eventlog.errors import Unavailable
from eventlog_backends.local import LocalBackend

def away(self, key, path):
    raise Unavailable("The store is away.")

LocalBackend.put_new_file = away
log = eventlog.open(sys.argv[1], ship_s=(3600, 3600))
log.append("noted", "thing:1")
"""
TWO_LOGS = """
other = eventlog.open(sys.argv[1], ship_s=(1800, 3600))
other.append("noted", "thing:2")
"""
CLOSE = "log.close(30)"


@pytest.mark.parametrize(
    ("rest", "things"), [(TWO_LOGS, 2), (CLOSE, 1)], ids=["at the exit", "in the script"]
)
def test_ctrl_c_ends_the_wait_and_loses_nothing(tmp_path: Path, rest: str, things: int) -> None:
    command = [sys.executable, "-c", SCRIPT + rest, str(tmp_path / "log")]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "waiting up to" in line:
                asked = time.monotonic()
                process.send_signal(signal.SIGINT)
                break
        said += process.stderr.readlines()
        process.wait(30)
    assert time.monotonic() - asked < 15
    text = "".join(said)
    assert text.count("waiting up to") == 1
    assert "Ctrl-C leaves them" in text
    assert text.count("by `eventlog sync`") == things
    assert ("Traceback" in text) == (rest == CLOSE)  # where the script itself is interrupted
    with eventlog.open(tmp_path / "log") as log:
        found = log.events().collect()
    streams = found.filter(found["type"] == "noted")["stream"].cast(str).sort().to_list()
    assert streams == [f"thing:{n + 1}" for n in range(things)]
