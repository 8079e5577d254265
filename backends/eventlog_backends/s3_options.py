"""Where an S3 log lies and how to reach it: its URL first, then the usual AWS variables."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from typing import Any

from eventlog import __version__
from eventlog.errors import UsageError
from eventlog_backends.urls import StoreURL

DEFAULT_DEADLINE_S = 30.0
DEFAULT_REGION = "us-east-1"
CONNECT_TIMEOUT_S = 5.0
POOL = 32
USER_AGENT = f"eventlog/{__version__}"  # botocore's own is put together twice a request
ALIASES = {
    "endpoint": "endpoint_url",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
    "aws_session_token": "token",
}
KNOWN = (
    "endpoint_url", "region", "profile", "anon", "deadline_s", "addressing_style",
    "key", "secret", "token",
)  # fmt: skip


@dataclass(frozen=True)
class S3Options:
    """``s3://bucket/prefix?endpoint_url=…&region=…&profile=…&anon=true&deadline_s=…``.

    Also ``addressing_style=path|virtual|auto`` and, better kept in the environment, ``key``,
    ``secret`` and ``token``. What the URL leaves out comes from AWS_ENDPOINT_URL_S3,
    AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION, AWS_PROFILE and, at the first call, from
    wherever the AWS tools look for keys. Instance metadata is asked only when the endpoint is AWS
    itself.
    """

    url: StoreURL
    bucket: str
    root: str  # "" or ending in a slash
    endpoint_url: str | None
    region: str | None
    profile: str | None
    anon: bool
    addressing_style: str
    deadline_s: float
    keys: dict[str, str] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> S3Options:
        url = StoreURL.parse(text)
        bucket, _, root = url.place.partition("/")
        # A secret with a slash in it ends up behind the bucket: only a colon tells of it.
        if "@" in bucket or (":" in bucket and not bucket.startswith("arn:")):
            raise UsageError(
                "s3:// URLs hold no credentials. Write s3://bucket/prefix, and keep the keys in "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile."
            )
        if not bucket:
            raise UsageError(f"{url.shown} names no bucket. Write s3://bucket/prefix.")
        given = {ALIASES.get(name, name): value for name, value in url.options.items()}
        if unknown := sorted(set(given) - set(KNOWN)):
            raise UsageError(
                f"{url.shown}: {', '.join(unknown)} is no option of S3. "
                f"Known are {', '.join(KNOWN)}."
            )
        endpoint = given.get("endpoint_url") or _endpoint_of_environment()
        root = root.strip("/")
        return cls(
            url=url,
            bucket=bucket,
            root=f"{root}/" if root else "",
            endpoint_url=_checked_endpoint(endpoint),
            region=given.get("region") or _first("AWS_REGION", "AWS_DEFAULT_REGION"),
            profile=given.get("profile") or None,
            anon=given.get("anon", "").lower() in ("1", "true", "yes"),
            addressing_style=given.get("addressing_style") or ("path" if endpoint else "auto"),
            deadline_s=_seconds(given.get("deadline_s")),
            keys=_keys(given),
        )

    def filesystem(self) -> Any:
        """A new s3fs file system, to be used on the running event loop only."""
        import aiobotocore.session
        import s3fs

        session = aiobotocore.session.AioSession(profile=self.profile)
        session.register_component("data_loader", _models())
        if self.endpoint_url or self.anon:
            # Whoever names a server wants no other one asked, such as 169.254.169.254.
            session.get_component("credential_provider").remove("iam-role")
        region = self.region or session.get_config_variable("region") or DEFAULT_REGION
        made = s3fs.S3FileSystem(
            anon=self.anon,
            endpoint_url=self.endpoint_url,
            client_kwargs={"region_name": region},
            config_kwargs=self._config(),
            session=session,
            asynchronous=True,
            use_listings_cache=False,
            skip_instance_cache=True,
            **self.keys,
        )
        # A put that is repeated where nobody sees it meets its own object and says "exists".
        made.retries = 1
        return made

    def _config(self) -> dict[str, Any]:
        return {
            "signature_version": "s3v4",
            "user_agent": USER_AGENT,
            "retries": {"max_attempts": 0},
            "connect_timeout": min(CONNECT_TIMEOUT_S, self.deadline_s),
            "read_timeout": self.deadline_s,
            "max_pool_connections": POOL,
            "s3": {"addressing_style": self.addressing_style, "payload_signing_enabled": True},
            # The payload's SHA-256 is signed; many servers refuse the newer trailing checksums.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }


@functools.cache
def _models() -> Any:
    """What botocore knows of AWS: half a second of JSON, read once a process."""
    import botocore.session

    return botocore.session.Session().get_component("data_loader")


def _endpoint_of_environment() -> str | None:
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    return _first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def _first(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _checked_endpoint(endpoint: str | None) -> str | None:
    if endpoint is None:
        return None
    if not endpoint.startswith(("http://", "https://")) or "@" in endpoint:
        raise UsageError(
            "The S3 endpoint must look like https://host:port, without a user. It comes from "
            "endpoint_url in the log's URL, AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL."
        )
    return endpoint


def _seconds(text: str | None) -> float:
    try:
        deadline_s = float(text) if text else DEFAULT_DEADLINE_S
    except ValueError:
        deadline_s = 0.0
    if not 0 < deadline_s < float("inf"):
        raise UsageError(
            f"deadline_s={text} is no number of seconds above 0. Give one, such as 30."
        )
    return deadline_s


def _keys(given: dict[str, str]) -> dict[str, str]:
    keys = {name: given[name] for name in ("key", "secret", "token") if given.get(name)}
    if keys and not {"key", "secret"} <= set(keys):
        raise UsageError("The log's URL has one of key and secret. Give both, or neither of them.")
    return keys
