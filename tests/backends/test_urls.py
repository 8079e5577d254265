"""URLs are taken apart, and shown without their secrets."""

from __future__ import annotations

import pytest

from eventlog.errors import UsageError
from eventlog_backends.urls import StoreURL, is_secret


def test_what_is_shown_holds_what_is_no_secret() -> None:
    url = StoreURL.parse("gs://bucket/p%20q?project=a%2Fb&token=t0k3n&anon=")
    assert url.shown == "gs://bucket/p%20q?project=a/b&anon="
    assert url.options == {"project": "a/b", "token": "t0k3n", "anon": ""}
    assert "t0k3n" not in repr(url)


def test_a_password_before_the_host_is_hidden() -> None:
    url = StoreURL.parse("sftp://me:p%40ss@host:22/dir")
    assert url.shown == "sftp://me@host:22/dir"
    assert url.redacted("p@ss or p%40ss") == "*** or ***"


def test_the_longer_of_two_secrets_is_blotted_out_whole() -> None:
    url = StoreURL.parse("x://h?key=abc&secret=abcdef")
    assert url.redacted("abcdef") == "***"


@pytest.mark.parametrize(
    ("url", "text", "expected"),
    [
        ("github://a:g@h/x", "github://a:g@h/x is going", "github://a:***@h/x is going"),
        ("x://h?key=a&b=c", "?key=a&b=c of a=ab, a=a.b", "?key=***&b=c of a=ab, a=a.b"),
    ],
)
def test_a_short_secret_is_hidden_only_where_a_url_has_it(
    url: str, text: str, expected: str
) -> None:
    assert StoreURL.parse(url).redacted(text) == expected


@pytest.mark.parametrize("url", ["s3://b?secret=a&secret=b", "s3://[b?secret=a"])
def test_a_broken_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        StoreURL.parse(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("name", ["account_key", "sas_token", "password", "aws_secret_access_key"])
def test_options_with_such_names_are_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["region", "endpoint_url", "profile", "deadline_s", "anon"])
def test_options_with_such_names_are_not(name: str) -> None:
    assert not is_secret(name)
