"""What is particular to S3: where it is, who may enter, what its answers mean, and silence."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eventlog.backend import Range, probe_create_only
from eventlog.errors import (
    BackendError,
    Denied,
    EventlogError,
    Exists,
    Missing,
    NotCreateOnly,
    Unavailable,
    UsageError,
)
from eventlog.testing.store_work import keys_of
from eventlog_backends.s3 import S3Backend, _agreed
from eventlog_backends.s3_errors import Busy, meaning
from eventlog_backends.s3_options import S3Options
from tests.backends.canned import canned_server
from tests.backends.silence import silent_listener
from tests.s3server import READ_ONLY_KEY, READ_ONLY_SECRET, S3Server

SECRET = "wJalrXUtnFEMI-this-is-secret"
TOKEN = "FwoGZXIvYXdzE-this-is-a-token"
KEYS = f"key=AKIDEXAMPLE&secret={SECRET}&token={TOKEN}"

pytestmark = pytest.mark.s3


# --- URL and environment


def test_the_url_names_bucket_and_prefix(aws_environment: pytest.MonkeyPatch) -> None:
    options = S3Options.parse("s3://bucket/some/prefix/")
    assert (options.bucket, options.root, options.endpoint_url) == ("bucket", "some/prefix/", None)
    assert S3Options.parse("s3://bucket").root == ""


def test_options_of_the_url_come_before_the_environment(
    aws_environment: pytest.MonkeyPatch,
) -> None:
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", "http://environment:1")
    aws_environment.setenv("AWS_REGION", "eu-environment-1")
    options = S3Options.parse("s3://b/p?endpoint_url=http://url:2&region=eu-url-1&deadline_s=7")
    assert (options.endpoint_url, options.region) == ("http://url:2", "eu-url-1")
    assert options.deadline_s == 7


def test_the_s3_endpoint_comes_before_that_of_all_services(
    aws_environment: pytest.MonkeyPatch,
) -> None:
    aws_environment.setenv("AWS_ENDPOINT_URL", "http://all:1")
    assert S3Options.parse("s3://b").endpoint_url == "http://all:1"
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", "http://s3:2")
    assert S3Options.parse("s3://b").endpoint_url == "http://s3:2"
    aws_environment.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert S3Options.parse("s3://b").endpoint_url is None


def test_the_region_comes_before_the_default_region(aws_environment: pytest.MonkeyPatch) -> None:
    aws_environment.setenv("AWS_DEFAULT_REGION", "eu-default-1")
    assert S3Options.parse("s3://b").region == "eu-default-1"
    aws_environment.setenv("AWS_REGION", "eu-first-1")
    assert S3Options.parse("s3://b").region == "eu-first-1"


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///prefix",
        "s3://bucket?what=this",
        "s3://bucket?endpoint_url=localhost:9000",
        "s3://bucket?endpoint_url=http://user:pass@host",
        "s3://bucket?deadline_s=soon",
        "s3://bucket?deadline_s=0",
        "s3://bucket?key=only",
        "s3://bucket?region=a&region=b",
    ],
)
def test_a_url_that_cannot_be_taken_is_refused(
    aws_environment: pytest.MonkeyPatch, url: str
) -> None:
    with pytest.raises(UsageError):
        S3Backend(url)


@pytest.mark.parametrize(
    "url",
    [f"s3://AKIA:{SECRET}@bucket/p", "s3://AKIA:with/slash+@bucket/p", "s3://AKIA@bucket"],
)
def test_where_keys_belong_is_said_where_they_stand_before_the_bucket(url: str) -> None:
    with pytest.raises(UsageError, match="AWS_SECRET_ACCESS_KEY") as raised:
        S3Options.parse(url)
    assert SECRET not in str(raised.value)
    assert "slash" not in str(raised.value)


def test_an_access_point_is_no_pair_of_keys() -> None:
    point = "arn:aws:s3:eu-west-1:123456789012:accesspoint"
    assert S3Options.parse(f"s3://{point}/mine").bucket == point


def test_without_s3fs_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'eventlog-ml\[s3\]'"):
        S3Backend("s3://bucket")


def test_opening_imports_no_s3fs() -> None:
    code = (
        "import sys; from eventlog.backend import open_backend; open_backend('s3://b/p');"
        "sys.exit('s3fs' in sys.modules or 'botocore' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


# --- secrets


def test_secrets_are_in_no_url_error_or_representation(
    aws_environment: pytest.MonkeyPatch,
) -> None:
    with contextlib.closing(silent_listener()) as listener:
        port = listener.getsockname()[1]
    backend = S3Backend(f"s3://bucket/p?endpoint_url=http://127.0.0.1:{port}&{KEYS}")
    with pytest.raises(Unavailable) as raised:
        backend.put_new("a", b"x")
    backend.close()
    shown = [
        backend.url,
        repr(backend),
        repr(backend.options),
        str(raised.value),
        repr(raised.value),
    ]
    for secret in (SECRET, TOKEN):
        assert not [text for text in shown if secret in text]
    assert backend.url == f"s3://bucket/p?endpoint_url=http://127.0.0.1:{port}"


def test_a_secret_that_the_server_repeats_is_blotted_out() -> None:
    options = S3Options.parse(f"s3://bucket?{KEYS}")
    said = str(meaning(client_error("Odd", 400, f"you sent {SECRET}"), options, "put s3://b/k"))
    assert SECRET not in said
    assert "you sent ***" in said


@pytest.mark.parametrize("url", [f"s3://bucket?secret={SECRET}", f"s3://bucket?x=1&{KEYS}"])
def test_a_refused_url_is_not_repeated_with_its_secrets(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        S3Backend(url)
    assert SECRET not in str(raised.value)


def test_keys_of_the_url_are_used(s3_server: S3Server, aws_environment: pytest.MonkeyPatch) -> None:
    query = f"endpoint_url={s3_server.endpoint}&key={s3_server.key}&secret={s3_server.secret}"
    with contextlib.closing(S3Backend(f"{s3_server.fresh_url()}?{query}")) as backend:
        backend.put_new("a", b"x")
        assert backend.get("a") == b"x"


def test_a_profile_is_used(
    s3_server: S3Server, aws_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[mine]\naws_access_key_id={s3_server.key}\naws_secret_access_key={s3_server.secret}\n"
    )
    aws_environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    url = f"{s3_server.fresh_url()}?endpoint_url={s3_server.endpoint}"
    with contextlib.closing(S3Backend(f"{url}&profile=mine")) as backend:
        backend.put_new("a", b"x")
    nobody = S3Backend(f"{url}&profile=nobody")
    with contextlib.closing(nobody), pytest.raises(Denied, match="AWS_PROFILE"):
        nobody.get("a")


# --- who may enter


@pytest.mark.parametrize(
    ("name", "value"),
    [("AWS_SECRET_ACCESS_KEY", "wrong"), ("AWS_ACCESS_KEY_ID", "nobody")],
)
def test_wrong_keys_are_denied_with_the_variables_to_set(
    s3_url: str, aws_environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    aws_environment.setenv(name, value)
    with contextlib.closing(S3Backend(s3_url)) as backend:
        for call in calls_of(backend):
            with pytest.raises(Denied, match="AWS_SECRET_ACCESS_KEY"):
                call()


def test_without_keys_it_is_denied_and_nobody_else_is_asked(
    s3_url: str, aws_environment: pytest.MonkeyPatch
) -> None:
    aws_environment.delenv("AWS_ACCESS_KEY_ID")
    aws_environment.delenv("AWS_SECRET_ACCESS_KEY")
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return real(host, *args, **kwargs)

    aws_environment.setattr(socket, "getaddrinfo", look_up)
    backend = S3Backend(s3_url)
    with contextlib.closing(backend), pytest.raises(Denied, match="AWS_ACCESS_KEY_ID"):
        backend.get("a")
    assert "169.254.169.254" not in asked


def test_a_reader_may_read_and_is_denied_writing(
    s3_url: str, aws_environment: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(S3Backend(s3_url)) as writer:
        writer.put_new("a", b"x")
    aws_environment.setenv("AWS_ACCESS_KEY_ID", READ_ONLY_KEY)
    aws_environment.setenv("AWS_SECRET_ACCESS_KEY", READ_ONLY_SECRET)
    with contextlib.closing(S3Backend(s3_url)) as reader:
        assert (keys_of(reader), reader.get("a")) == (["a"], b"x")
        with pytest.raises(Denied, match="s3:PutObject"):
            reader.put_new("b", b"x")
        with pytest.raises(Denied):
            reader.delete(["a"])


def test_a_missing_bucket_is_named_with_the_command_that_makes_it(s3_url: str) -> None:
    with contextlib.closing(S3Backend("s3://no-such-bucket/p")) as backend:
        for call in calls_of(backend):
            with pytest.raises(BackendError, match="aws s3 mb s3://no-such-bucket") as raised:
                call()
            assert not isinstance(raised.value, Missing)


# --- requests


class Requests:
    """The S3 methods that a backend calls, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import s3fs

        self.methods: list[str] = []
        real = s3fs.S3FileSystem._call_s3

        async def call(filesystem: Any, method: str, *args: Any, **kwargs: Any) -> Any:
            self.methods.append(method)
            return await real(filesystem, method, *args, **kwargs)

        monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", call)


def test_each_verb_is_one_request(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = Requests(monkeypatch)
    with contextlib.closing(S3Backend(s3_url)) as backend:
        backend.put_new("a", b"0123456789")
        backend.get("a")
        backend.get("a", 2, 5)
        keys_of(backend)
        backend.get_many([Range("a"), Range("a", 1, 3)])
        backend.put_blob("b", io.BytesIO(b"small"))
        backend.delete(["a", "b"])
    assert requests.methods == [
        "put_object",
        "get_object",
        "get_object",
        "list_objects_v2",
        "get_object",
        "get_object",
        "put_object",
        "delete_objects",
    ]


def test_listing_after_a_key_does_not_fetch_what_comes_before(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    with contextlib.closing(S3Backend(s3_url)) as backend:
        backend.put_new("manifest/000000000012.json", b"x")
        real = backend._request

        def request(what: str, method: str, **arguments: Any) -> Any:
            sent.append(arguments.get("StartAfter"))
            return real(what, method, **arguments)

        monkeypatch.setattr(backend, "_request", request)
        assert keys_of(backend, "manifest/", "manifest/000000000011.json") == [
            "manifest/000000000012.json"
        ]
        assert sent == [f"{backend.options.root}manifest/00000000001"]


@pytest.mark.parametrize(
    ("start_after", "agreed"),
    [
        ("manifest/000000000011.json", "manifest/00000000001"),
        ("t/ab-c/1", "t/a"),
        ("t/ab/", "t/a"),
        ("t/ab", "t/a"),
        ("t/-x", ""),
        ("t/a", ""),
        ("", ""),
    ],
)
def test_a_listing_begins_where_every_order_agrees(start_after: str, agreed: str) -> None:
    assert _agreed(start_after) == agreed


def test_a_blob_that_is_refused_at_its_completion_leaves_no_upload(
    s3_url: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(S3Backend(s3_url)) as backend:
        backend.put_new("b", b"first")
        # As when another writer finishes while our parts are being sent.
        monkeypatch.setattr(backend, "_size_bytes", lambda key: None)
        with pytest.raises(Exists):
            backend.put_blob("b", io.BytesIO(bytes(20 << 20)))
        assert backend.get("b") == b"first"
        with contextlib.closing(s3_server.client()) as client:
            place = {"Bucket": s3_server.bucket, "Prefix": backend.options.root}
            wait_until(lambda: not client.list_multipart_uploads(**place).get("Uploads"))


# --- answers


def client_error(code: str, status: int, message: str = "", **more: str) -> Exception:
    import botocore.exceptions

    said = {"Code": code, "Message": message, **more}
    response = {"Error": said, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(response, "PutObject")


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("PreconditionFailed", 412, Exists),
        ("ConditionalRequestConflict", 409, Busy),
        ("OperationAborted", 409, Busy),
        ("SlowDown", 503, Busy),
        ("InternalError", 500, Unavailable),
        ("ServiceUnavailable", 503, Unavailable),
        ("SignatureDoesNotMatch", 403, Denied),
        ("ExpiredToken", 400, Denied),
        ("RequestTimeTooSkewed", 403, Denied),
        ("403", 403, Denied),
        ("NoSuchKey", 404, Missing),
        ("NotImplemented", 501, NotCreateOnly),
        ("AuthorizationHeaderMalformed", 400, BackendError),
        ("InvalidArgument", 400, BackendError),
    ],
)
def test_answers_mean_what_they_say(code: str, status: int, expected: type[EventlogError]) -> None:
    from s3fs.errors import translate_boto_error

    error = client_error(code, status)
    options = S3Options.parse("s3://bucket")
    assert type(meaning(error, options, "put")) is expected
    assert type(meaning(translate_boto_error(error), options, "put")) is expected


def test_both_shapes_of_exists_are_understood() -> None:
    from s3fs.errors import translate_boto_error

    options = S3Options.parse("s3://bucket")
    with_condition = client_error("PreconditionFailed", 412, "x", Condition="If-None-Match")
    translated = translate_boto_error(with_condition)
    assert isinstance(translated, FileExistsError)
    bare = OSError(errno.EINVAL, "At least one of the pre-conditions you specified did not hold")
    for shape in (translated, FileExistsError("a"), bare):
        assert type(meaning(shape, options, "put")) is Exists


def test_an_error_of_ours_is_not_taken_for_an_outage() -> None:
    found = meaning(TypeError("a bug"), S3Options.parse("s3://bucket"), "put")
    assert type(found) is BackendError


# --- trouble on the way


@pytest.fixture
def keys(aws_environment: pytest.MonkeyPatch) -> None:
    aws_environment.setenv("AWS_ACCESS_KEY_ID", "any")
    aws_environment.setenv("AWS_SECRET_ACCESS_KEY", "any")


def test_a_refused_connection_is_unavailable(keys: None) -> None:
    with contextlib.closing(silent_listener()) as listener:
        port = listener.getsockname()[1]
    url = f"s3://bucket?endpoint_url=http://127.0.0.1:{port}&deadline_s=5"
    backend = S3Backend(url)
    with contextlib.closing(backend), pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
        backend.put_new("a", b"x")


@pytest.fixture
def answering(keys: None) -> Iterator[Callable[..., S3Backend]]:
    """A backend on a server that gives these answers, the last one for ever."""
    with contextlib.ExitStack() as stack:

        def make(*answers: bytes) -> S3Backend:
            server = stack.enter_context(canned_server(answers))
            url = f"s3://bucket?endpoint_url=http://127.0.0.1:{server.port}&deadline_s=5"
            backend = stack.enter_context(contextlib.closing(S3Backend(url)))
            backend.served = server.served  # type: ignore[attr-defined]
            return backend

        yield make


def answer(status: int, code: str = "", body: bytes | None = None) -> bytes:
    error = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    content = error if body is None else body
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    return head.encode() + content


OK = answer(200, body=b"")
FIVE_HUNDRED = answer(500, "InternalError")


@pytest.mark.parametrize(("size_bytes", "asks"), [(2_000, False), (1 << 20, True)])
def test_a_small_put_goes_out_without_asking_first(
    answering: Callable[..., S3Backend], size_bytes: int, asks: bool
) -> None:
    backend = answering(OK)
    backend.put_new("a", bytes(size_bytes))
    [head] = backend.served.heads  # type: ignore[attr-defined]
    assert (b"100-continue" in head.lower()) == asks
    assert b"if-none-match: *" in head.lower()


def test_a_put_is_not_repeated_where_it_may_have_landed(
    answering: Callable[..., S3Backend],
) -> None:
    backend = answering(FIVE_HUNDRED, OK)
    with pytest.raises(Unavailable):
        backend.put_new("a", b"x")
    assert backend.served == ["PUT"]  # type: ignore[attr-defined]


def test_a_put_is_repeated_where_the_server_says_that_it_did_nothing(
    answering: Callable[..., S3Backend],
) -> None:
    backend = answering(answer(409, "ConditionalRequestConflict"), answer(503, "SlowDown"), OK)
    backend.put_new("a", b"x")
    assert backend.served == ["PUT"] * 3  # type: ignore[attr-defined]


def test_a_get_is_repeated_after_a_passing_fault(answering: Callable[..., S3Backend]) -> None:
    backend = answering(FIVE_HUNDRED, answer(200, body=b"data"))
    assert backend.get("a") == b"data"


def test_a_body_that_is_cut_short_is_fetched_again(answering: Callable[..., S3Backend]) -> None:
    whole = answer(200, body=b"all of the data")
    assert answering(whole[:-4], whole).get("a") == b"all of the data"


def test_a_server_that_ignores_the_condition_is_refused_by_the_probe(
    answering: Callable[..., S3Backend],
) -> None:
    with pytest.raises(NotCreateOnly, match="If-None-Match"):
        probe_create_only(answering(OK))


def test_a_put_asks_to_create_only(answering: Callable[..., S3Backend]) -> None:
    backend = answering(OK)
    backend.put_new("a", b"x")
    assert b"if-none-match: *" in backend.served.heads[0].lower()  # type: ignore[attr-defined]


def test_a_silent_server_holds_up_neither_other_threads_nor_the_exit(keys: None) -> None:
    with contextlib.closing(silent_listener()) as listener:
        url = f"s3://b?endpoint_url=http://127.0.0.1:{listener.getsockname()[1]}&deadline_s=0.5"
        with contextlib.closing(S3Backend(url)) as backend:
            errors: list[BaseException] = []

            def put() -> None:
                try:
                    backend.put_new("a", b"x")
                except BackendError as e:
                    errors.append(e)

            threads = [threading.Thread(target=put) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        assert [type(e) for e in errors] == [Unavailable] * 8


def test_a_script_that_ends_without_closing_says_nothing(s3_url: str) -> None:
    code = (
        "import atexit, sys\n"
        "from eventlog_backends.s3 import S3Backend\n"
        "used, late = S3Backend(sys.argv[1]), S3Backend(sys.argv[1])\n"
        "atexit.register(lambda: late.put_new('late', b'x'))\n"
        "used.put_new('a', b'x')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "error", "-c", code, s3_url]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    with contextlib.closing(S3Backend(s3_url)) as backend:
        assert keys_of(backend) == ["a", "late"]


def wait_until(true: Callable[[], bool], timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


def calls_of(backend: S3Backend) -> list[Callable[[], object]]:
    return [
        lambda: backend.put_new("a", b"x"),
        lambda: backend.get("a"),
        lambda: keys_of(backend),
        lambda: backend.delete(["a"]),
    ]
