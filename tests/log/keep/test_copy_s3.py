"""A log that goes to S3 and comes back is the same log."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog.backend import open_backend
from eventlog.log import blob
from eventlog.log import claim as cl
from eventlog.log.keep.copy import copy
from eventlog.log.keep.verify import verify
from eventlog.log.read.reader import Reader
from tests.cli.calls import call_json
from tests.log.claim_stores import BIG, LossyBackend, an_event
from tests.log.lanes import a_log, contents, retire, seal, write


@pytest.mark.s3
def test_a_log_survives_the_way_to_s3_and_back(s3_url: str) -> None:
    source, remote, back = a_log(), open_backend(s3_url), LossyBackend()
    write(source, "lane-a", 0, 9, final=True)
    retire(source)
    write(source, "lane-b", 0, 7)
    seal(source, "lane-b", 7, slot=1)
    payload = blob.put_payload(source, BIG)
    cl.claim(source, "model", "resnet", an_event(data=payload))
    first = copy(Reader(source), remote)
    assert (first.events, first.claims, first.blobs, first.complete) == (16, 1, 1, True)
    assert copy(Reader(source), remote).events == 0
    assert copy(Reader(remote), back).events == 16
    assert contents(back) == contents(remote) == contents(source)
    assert verify(Reader(remote)).sound


@pytest.mark.s3
def test_the_command_copies_to_s3(s3_url: str, tmp_path: Path) -> None:
    url = str(tmp_path / "log")
    source = open_backend(url)
    a_log(source)
    write(source, "lane-a", 0, 5)
    assert call_json("copy", url, s3_url)["events"] == 5
    assert call_json("verify", "--log", s3_url)["events"] == 5
