"""URLs with options in their query, and how they are shown: without secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from eventlog.errors import UsageError

_SECRET = re.compile(r"key|secret|token|pass|pwd|credential|sas|signature|connection_string", re.I)
HIDDEN = "***"
LEAST_CHARACTERS = 4


def is_secret(name: str) -> bool:
    """Whether an option's value is never to be shown."""
    return _SECRET.search(name) is not None


@dataclass(frozen=True)
class StoreURL:
    """``scheme://place?name=value&…``; `shown` and the representation hold no secret.

    Attributes:
        place: what follows ``scheme://``, without the password of ``user:password@host``.
        options: the query's names and values.
        secrets: every secret value that the URL carried, for `redacted`.
    """

    scheme: str
    place: str
    options: dict[str, str] = field(repr=False)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def parse(cls, url: str) -> StoreURL:
        try:
            parts = urlsplit(url)
            pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:
            raise UsageError(
                "The log's URL cannot be read. Check its host and its query."
            ) from None
        options = dict(pairs)
        hidden = {value for name, value in pairs if is_secret(name) and value}
        user, at, host = parts.netloc.rpartition("@")
        name, colon, password = user.partition(":")
        if colon and password:
            hidden |= {password, unquote(password)}
        if len(options) < len(pairs):
            raise UsageError(f"{parts.scheme}://{host}: an option is given twice. Give it once.")
        scheme = url.partition("://")[0].lower()  # whole, also of a chain such as zip::s3://
        return cls(scheme, name + at + host + parts.path, options, frozenset(hidden))

    @property
    def shown(self) -> str:
        """The URL without what must stay secret."""
        open_options = {k: v for k, v in self.options.items() if not is_secret(k)}
        query = urlencode(open_options, quote_via=quote, safe="/:")
        return f"{self.scheme}://{self.place}" + (f"?{query}" if query else "")

    def redacted(self, text: str) -> str:
        """The text with every secret of the URL blotted out."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            found = re.escape(secret)
            # A short one may stand in any word: it is blotted out only where a URL has it.
            if len(secret) < LEAST_CHARACTERS:
                found = rf"(?<=:){found}(?=@)|(?<==){found}(?![\w%.~+/-])"
            text = re.sub(found, HIDDEN, text)
        return text
