"""What an S3 server or its client says, in eventlog's words and with the remedy."""

from __future__ import annotations

import errno
from typing import Any

from eventlog.errors import (
    BackendError,
    Denied,
    EventlogError,
    Exists,
    Missing,
    NotCreateOnly,
    Unavailable,
)
from eventlog_backends.s3_options import S3Options

_KEYS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with temporary keys AWS_SESSION_TOKEN too), "
    "or AWS_PROFILE; for a public bucket add ?anon=true to the URL."
)
_POLICY = "The policy must allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket."
_LOOK = "Check the log's URL and the server's own log."
_DENIED = {
    "AccessDenied", "AllAccessDisabled", "AccountProblem", "ExpiredToken", "Forbidden",
    "InvalidAccessKeyId", "InvalidSecurity", "InvalidToken", "NotSignedUp", "TokenRefreshRequired",
    "SignatureDoesNotMatch", "403", "401",
}  # fmt: skip
_NO_CREDENTIALS = {
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound",
    "TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError", "ConfigNotFound",
}  # fmt: skip
_REGION = {
    "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException",
    "TemporaryRedirect", "Redirect", "301", "307",
}  # fmt: skip
_BUSY_STATUS = {409, 429}
_BUSY_CODES = {"SlowDown", "OperationAborted", "ConditionalRequestConflict", "ServerBusy"}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}
_NETWORK_MODULES = {"aiobotocore", "aiohttp", "asyncio", "botocore", "httpx", "urllib3"}


class Busy(Unavailable):
    """The server did nothing and asks to try again: even a create-only put may be repeated."""


def meaning(error: BaseException, options: S3Options, what: str) -> EventlogError:
    """The error of eventlog's that says what ``error`` means for ``what`` ("put s3://…")."""
    if isinstance(error, EventlogError):
        return error
    code, status, said = _answer(error)
    if isinstance(error, TimeoutError):
        return _unavailable(options, what, f"no answer within {options.deadline_s:g} s")
    if code is None and status is None:
        return _without_answer(error, options, what)
    found = _by_code(code or "", status or 0, options, what)
    return found or _by_status(status or 0, options, what, f"{code}: {said}")


def _answer(error: BaseException) -> tuple[str | None, int | None, str]:
    """The server's code, HTTP status and words, of a botocore error or of s3fs' translation."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            said = response.get("Error", {})
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return str(said.get("Code", "")), status, str(said.get("Message", ""))
    return None, None, str(error)


def _by_code(code: str, status: int, options: S3Options, what: str) -> EventlogError | None:
    if code in _DENIED or (status in (401, 403) and code not in _CLOCK):
        return Denied(f"The S3 server refused to {what} ({code})", remedy=f"{_KEYS} {_POLICY}")
    if code in _CLOCK:
        return Denied(
            f"The S3 server refused to {what}: this machine's clock is off", remedy="Set it."
        )
    if code == "NoSuchBucket":
        where = options.endpoint_url or "AWS"
        return BackendError(
            f"There is no bucket {options.bucket!r} at {where}. Check the name, or create it: "
            f"aws s3 mb s3://{options.bucket}"
        )
    if code in _REGION:
        return BackendError(
            f"The S3 server wants another region to {what} ({code}). "
            "Set AWS_REGION to the one that the bucket lies in."
        )
    if code == "PreconditionFailed" or status == 412:
        return Exists(f"Cannot {what}: it already exists")
    if code in _BUSY_CODES or status in _BUSY_STATUS:
        return Busy(f"The S3 server was too busy to {what} ({code}).")
    return None


def _by_status(status: int, options: S3Options, what: str, said: str) -> EventlogError:
    if status == 404:
        return Missing(f"Cannot {what}: it does not exist")
    if status == 501:
        return NotCreateOnly(
            f"The S3 server lacks what it takes to {what} ({said})",
            remedy="No log can be there. Use another store, or a directory.",
        )
    if status >= 500:
        return _unavailable(options, what, f"status {status}, {said}")
    return BackendError(
        options.url.redacted(f"The S3 server refused to {what} ({status}, {said})"),
        remedy=_LOOK,
    )


def _without_answer(error: BaseException, options: S3Options, what: str) -> EventlogError:
    """No answer of the server came with it: a failed connection, missing keys, or bare s3fs."""
    if isinstance(error, FileExistsError) or _is_precondition(error):
        return Exists(f"Cannot {what}: it already exists")
    if isinstance(error, FileNotFoundError):
        return Missing(f"Cannot {what}: it does not exist")
    if type(error).__name__ in _NO_CREDENTIALS:
        return Denied(f"No credentials to {what} ({type(error).__name__})", remedy=_KEYS)
    if isinstance(error, PermissionError):
        return Denied(f"The S3 server refused to {what}", remedy=f"{_KEYS} {_POLICY}")
    if isinstance(error, OSError) and error.errno in (errno.EBUSY, errno.EAGAIN):
        return Busy(f"The S3 server was too busy to {what}.")
    why, remedy = f"{type(error).__name__}: {error}", _LOOK
    if type(error).__name__ == "SSLError":
        remedy = "If the server's certificate is your own, set AWS_CA_BUNDLE to the file with it."
    elif isinstance(error, OSError) or _of_the_network(error):
        return _unavailable(options, what, why)
    return BackendError(options.url.redacted(f"Cannot {what}: {why}"), remedy=remedy)


def _of_the_network(error: BaseException) -> bool:
    if type(error).__name__ in ("ParamValidationError", "InvalidRegionError"):
        return False
    return type(error).__module__.partition(".")[0] in _NETWORK_MODULES


def _is_precondition(error: BaseException) -> bool:
    text = str(error).lower().replace("-", "")
    return isinstance(error, OSError) and error.errno == errno.EINVAL and "precondition" in text


def _unavailable(options: S3Options, what: str, why: str) -> Unavailable:
    where = options.endpoint_url or "AWS"
    said = options.url.redacted(f"Cannot {what}: {where}: {why}")
    return Unavailable(said, remedy=f"Check that {where} can be reached.")


def refusal(failed: dict[str, Any], options: S3Options, what: str) -> EventlogError:
    """What one line of a batch's ``Errors`` means."""
    code = str(failed.get("Code", ""))
    return _by_code(code, 0, options, what) or BackendError(
        options.url.redacted(f"The S3 server refused to {what}: {code}, {failed.get('Message')}"),
        remedy=_LOOK,
    )
