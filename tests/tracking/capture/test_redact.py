"""Secrets do not survive, and nothing else changes."""

from __future__ import annotations

import shlex
import string
import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from eventlog.tracking.capture import redact
from eventlog.tracking.capture.redact import REDACTED


def redacted(line: str) -> str:
    return " ".join(redact.argv(line.split(" ")))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("train.py --password hunter2 --lr 1", "train.py --password [redacted] --lr 1"),
        ("--api-key=hunter2 --api_key hunter2", "--api-key=[redacted] --api_key [redacted]"),
        ("-token hunter2 data.csv", "-token [redacted] data.csv"),
        ("TOKEN=hunter2 HF_TOKEN=hunter2 A=b", "TOKEN=[redacted] HF_TOKEN=[redacted] A=b"),
        ("--env=TOKEN=hunter2 -e SECRET=hunter2", "--env=TOKEN=[redacted] -e SECRET=[redacted]"),
        ("+m.api_key=hunter2 ++a.token=hunter2", "+m.api_key=[redacted] ++a.token=[redacted]"),
        ("--password -hunter2", "--password [redacted]"),
        ("--tokens hunter2 hunter2 --lr 1", "--tokens [redacted] [redacted] --lr 1"),
        ("--awsSecretAccessKey hunter2", "--awsSecretAccessKey [redacted]"),
        ("-H Authorization: Bearer hunter2 x", "-H Authorization: Bearer [redacted] x"),
        ("-H X-Api-Key:hunter2", "-H X-Api-Key:[redacted]"),
        ("--auth=bearer hunter2", "--auth=bearer [redacted]"),
        ("https://ada:hunter2@h/x", "https://[redacted]@h/x"),
        ("--url=https://hunter2@h/x", "--url=https://[redacted]@h/x"),
        ("postgres://ada:hun/ter2@h:5432/db", "postgres://[redacted]@h:5432/db"),
        ("s3://b/x?X-Amz-Signature=hunter2&a=b", "s3://b/x?X-Amz-Signature=[redacted]&a=b"),
        ("Account=x;AccountKey=hunter2==;E=f", "Account=x;AccountKey=[redacted];E=f"),
        ("-pghp_0123456789abcdef0123", "-p[redacted]"),
    ],
)  # fmt: skip
def test_the_value_of_a_secret_is_hidden(line: str, expected: str) -> None:
    assert redacted(line) == expected


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("Authorization: Basic hunter2", "Authorization: [redacted]"),
        ('{"lr": 1, "api_key": "hunter2"}', '{"lr": 1, "api_key": "[redacted]"}'),
        ("{'password': 12345, 'lr': 1}", "{'password': [redacted], 'lr': 1}"),
        (r'{\"token\": \"hunter2\"}', r'{\"token\": \"[redacted]"}'),
        ("TOKEN=hunter 2; more", "TOKEN=[redacted]"),
        ("export TOKEN=hunter2; train", "export TOKEN=[redacted]; train"),
        ("-H 'Authorization: Bearer hunter2' x", "-H 'Authorization: Bearer [redacted]' x"),
        ("host=x password=hunter2 dbname=y", "host=x password=[redacted] dbname=y"),
        ("see https://a:b@h, and c@d.org", "see https://[redacted]@h, and c@d.org"),
    ],
)  # fmt: skip
def test_a_secret_inside_of_an_argument_is_hidden(argument: str, expected: str) -> None:
    [kept] = redact.argv([argument])
    assert kept.replace('\\"}', '"}') == expected


@pytest.mark.parametrize(
    "token",
    [
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "github_pat_11ABCDEFG0aBcDeFgHiJkL_mNoPq",
        "hf_AbCdEfGhIjKlMnOpQrStUvWxYz01234567",
        "sk-proj-abc_DEF-0123456789abcdefgh",
        "sk-ant-api03-abc_DEF-0123456789abcdefgh",
        "sk-0123456789abcdefghijABCDEFGHIJ0123456789abcdefgh",
        "AKIAIOSFODNN7EXAMPLE",
        "xoxb-123456789012-abcdefghijkl",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN",
        "glpat-0123456789abcdefghij",
        "AIzaSyA0123456789abcdefghijklmnopqrstuv",
        "nvapi-0123456789abcdefghij",
    ],
)
def test_a_token_is_known_by_its_shape(token: str) -> None:
    assert redact.argv([token, f"--x={token}", f"a {token}, b"]) == [
        REDACTED,
        f"--x={REDACTED}",
        f"a {REDACTED}, b",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "train.py --lr 0.1 --batch-size 32 data/train.csv",
        "--tokenizer bert --max-tokens 512 --max_new_tokens=32k --token-dim 1e3",
        "--pad-token <pad> --eos_token=</s> --mask-token [MASK] --pretokenized x",
        "--use-auth-token --lr 1",
        "--use-auth-token True train.py",
        "--password= --lr 1",
        "-p hunter2",
        "git@github.com:ada/x.git ssh://git@h/x postgres://ada@h/db",
        "docker://registry:5000/image@sha256:abc http://localhost:8080/a@b",
        "--name sk-learn-random-forest-baseline task-0123456789abcdef0123456789abcdef",
        "a=b=c --x=y=z C:\\data\\x key=value --plan basic data.csv",
        "s3://bucket/key=1/part-0?versionId=3",
        "0d7b1f8a9c2e4f60718293a4b5c6d7e8f9012345",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert redacted(line) == line


SECRET_NAMES = st.sampled_from(
    "password passwd secret token api-key apikey api_key API_KEY credential private-key "
    "private_key db-password HF_TOKEN client.secret aws_secret_access_key authToken".split()
)
# A letter that no placeholder or name starts with, so that finding it is no accident.
SECRETS = st.text(string.ascii_letters + string.digits + "!_-.+/%^*~", min_size=6).map(
    "Zq7".__add__
)
PLAIN_NAMES = st.sampled_from("lr batch-size epochs model.depth seed data out-dir name".split())
PLAIN_VALUES = st.text(min_size=1, max_size=20)
PLAIN = st.one_of(
    PLAIN_VALUES,
    st.builds("--{}={}".format, PLAIN_NAMES, PLAIN_VALUES),
    st.builds("--{}".format, PLAIN_NAMES),
)
SUSPICIOUS = "pass secret token key credential auth bearer basic:// @ AKIA ASIA".split()


def is_plain(arguments: list[str]) -> bool:
    text = "\0".join(arguments).lower()
    return not any(word.lower() in text for word in (*SUSPICIOUS, "://"))


@st.composite
def planted(draw: st.DrawFn) -> tuple[list[str], str]:
    """Arguments with one secret among them."""
    name, secret = draw(SECRET_NAMES), draw(SECRETS)
    shape = draw(
        st.sampled_from(
            [
                ["--{n}", "{s}"],
                ["-{n}", "{s}"],
                ["--{n}={s}"],
                ["{n}={s}"],
                ["--env", "{n}={s}"],
                ["--set=x.{n}={s}"],
                ["{n}: {s}"],
                ["{n}:", "{s}"],
                ['{{"lr": 1, "{n}": "{s}", "x": 2}}'],
                ["{{'{n}': '{s}'}}"],
                ["{{{n}: {s}}}"],
                ["export {n}={s}; train"],
                ["Authorization: Bearer {s}"],
                ["--auth", "Bearer", "{s}"],
                ["https://ada:{s}@example.org/x"],
                ["https://{s}@example.org/x"],
                ["https://example.org/x?a=b&{n}={s}"],
            ]
        )
    )
    if any("://" in part for part in shape):
        assume(not set("/%") & set(secret) and "#" not in secret)
    before, after = draw(st.lists(PLAIN, max_size=3)), draw(st.lists(PLAIN, max_size=3))
    middle = [part.format(n=name, s=secret) for part in shape]
    return [*before, *middle, *after], secret


@given(planted())
@example((["--password", "--Zq7secret"], "Zq7secret"))
def test_no_planted_secret_survives(case: tuple[list[str], str]) -> None:
    arguments, secret = case
    assert secret not in "\0".join(redact.argv(arguments))


@given(st.lists(PLAIN).filter(is_plain))
@example(["--lr=1", "a=", "=b", "", "--", "-", "\ud800"])
def test_arguments_without_secrets_are_unchanged(arguments: list[str]) -> None:
    assert redact.argv(arguments) == arguments


@given(planted(), st.lists(PLAIN.filter(lambda text: is_plain([text]))))
def test_redacting_twice_changes_nothing(case: tuple[list[str], str], more: list[str]) -> None:
    once = redact.argv([*case[0], *more])
    assert redact.argv(once) == once


@given(st.lists(st.text()))
def test_any_arguments_are_taken(arguments: list[str]) -> None:
    assert len(redact.argv(arguments)) == len(arguments)
    shlex.join(redact.argv(arguments))


def patch(name: str, *lines: str) -> str:
    head = f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -1,9 +1,9 @@\n"
    return head + "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("+token = 'hunter2'", "+token = '[redacted]'"),
        ('-API_KEY: str = "hunter2"  # old', '-API_KEY: str = "[redacted]"  # old'),
        ("+os.environ['HF_TOKEN'] = \"hunter2\"", "+os.environ['HF_TOKEN'] = \"[redacted]\""),
        ("+getenv('HF_TOKEN', 'hunter2')", "+getenv('HF_TOKEN', '[redacted]')"),
        ("+login(token=b'hunter2', retries=3)", "+login(token=b'[redacted]', retries=3)"),
        ("+x = {password: 'hunter2', port: 1}", "+x = {password: '[redacted]', port: 1}"),
        ("+url = 'https://ada:hunter2@h/x'", "+url = 'https://[redacted]@h/x'"),
        ("+# was AKIAIOSFODNN7EXAMPLE", "+# was [redacted]"),
    ],
)  # fmt: skip
def test_a_literal_secret_in_code_is_hidden(line: str, expected: str) -> None:
    assert redact.diff(patch("train.py", line)) == patch("train.py", expected)


@pytest.mark.parametrize(
    "line",
    [
        "+token = tokens[i]",
        "+def login(token: str, password: str | None = None) -> None:",
        "+    token=token,",
        '+    "ExpiredToken", "Forbidden", "InvalidToken", "NotSignedUp",',
        '+if token == "eos" or token.kind in ("a", "b"):',
        '+tokenizer = load("bert", pad_token="<pad>", eos_token="x")',
        '+url = f"https://{user}:{token}@h/x?token={token}"',
        '+headers = {"Authorization": f"Bearer {token}"}',
        '+if text.startswith("-----BEGIN PRIVATE KEY-----"): pass',
        '+config = {"max_tokens": "512", "api_key": None}',
        "+The token: a word of a sentence, or a part of one.",
    ],
)
def test_code_that_handles_secrets_stays(line: str) -> None:
    assert redact.diff(patch("train.py", line)) == patch("train.py", line)


@pytest.mark.parametrize("name", [".env", ".env.prod", "conf/app.yaml", "Dockerfile", "x.tfvars"])
def test_a_bare_value_in_a_file_of_settings_is_hidden(name: str) -> None:
    lines = [
        ("+API_KEY=hunter2", "+API_KEY=[redacted]"),
        ("--password=hunter2", "--password=[redacted]"),
        ("+  password: correct horse hunter2", "+  password: [redacted]"),
        ("+export DB_PASSWORD = hunter2 # new", "+export DB_PASSWORD = [redacted]"),
        ("+ENV HF_TOKEN=hunter2", "+ENV HF_TOKEN=[redacted]"),
        ('+  "token": 12345,', '+  "token": [redacted]'),
        ("+dsn: host=x password=hunter2 dbname=y", "+dsn: host=x password=[redacted] dbname=y"),
    ]
    assert redact.diff(patch(name, *(a for a, _ in lines))) == patch(name, *(b for _, b in lines))


@pytest.mark.parametrize(
    "line",
    [
        "+  token: ${{ secrets.GITHUB_TOKEN }}",
        "+TOKEN=$TOKEN",
        "+TOKEN=$(cat token)",
        "+max_tokens: 512",
        "+tokenizer: bert",
        "+secrets:",
        "+lr: 0.1",
    ],
)
def test_settings_that_hold_no_secret_stay(line: str) -> None:
    assert redact.diff(patch("ci.yaml", line)) == patch("ci.yaml", line)


def test_a_private_key_keeps_its_lines_only() -> None:
    begin, end = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
    text = patch("key.pem", f"+{begin}", "+MIIEow", "+AbC+/=", f"+{end}", "+x = 1")
    hidden = patch("key.pem", f"+{begin}", "+[redacted]", "+[redacted]", f"+{end}", "+x = 1")
    assert redact.diff(text) == hidden
    cut = patch("key.pem", f"+{begin}", *["+" + "MIIE" * 16] * 3)
    assert redact.diff(cut) == patch("key.pem", f"+{begin}", *["+[redacted]"] * 3)


def test_rules_are_those_of_each_file() -> None:
    bare = "+token: abc"
    text = patch("README.md", bare) + patch("app.yaml", bare) + patch("x.py", bare)
    hidden = patch("app.yaml", "+token: [redacted]")
    assert redact.diff(text) == patch("README.md", bare) + hidden + patch("x.py", bare)


@pytest.mark.parametrize(
    "text",
    ["a", "token", "-----BEGIN PRIVATE KEY-----", "https://a:", "password: ", "a=", "a://", "{",
     "eyJaaaaa.", "x\n", "'", "token='", "?token=", "bearer ", " "],
)  # fmt: skip
def test_no_text_takes_quadratic_time(text: str) -> None:
    text *= 250_000 // len(text)
    began_s = time.process_time()
    redact.diff(patch("app.yaml", text))
    redact.argv([text])
    assert time.process_time() - began_s < 10  # in quadratic time it would be minutes
