"""A place in the tokens of a filter, for those who parse it."""

from __future__ import annotations

from typing import NoReturn

from eventlog.errors import UsageError
from eventlog.query.filter.error import FilterError
from eventlog.query.filter.node import Place
from eventlog.query.filter.tokens import Token, tokens

LENGTH = 1 << 20  # characters of a filter: a million is parsed in about a second


class Cursor:
    """Reads a filter from left to right, one token ahead.

    Attributes:
        token: what comes next.
        place: of what was read last.
    """

    def __init__(self, text: str) -> None:
        self.text = checked(text)
        self._tokens = tokens(text)
        self.token = next(self._tokens)
        self.place = Place(text, 0, 0)

    def take(self) -> Token:
        """Read one token; the end stays."""
        taken = self.token
        self.place = taken.at
        self.token = next(self._tokens, taken)
        return taken

    def accept(self, *wanted: str) -> str:
        """Read a keyword or an operator if it is one of these; else ""."""
        found = self.token.keyword or self.token.operator
        if found in wanted:
            self.take()
            return found
        return ""

    def expect(self, wanted: str, what: str, remedy: str) -> None:
        """Read this keyword or operator, or refuse what stands there."""
        if not self.accept(wanted):
            self.refuse(what, remedy)

    def at_end(self) -> bool:
        """Whether all was read."""
        return self.token.type == "end"

    def refuse(self, what: str, remedy: str, at: Place | None = None) -> NoReturn:
        """Raise the error of what stands here, or at a place."""
        raise FilterError(what, *(at or self.token.at), remedy)


def checked(text: object) -> str:
    """A filter's text, if it is text and no book."""
    if not isinstance(text, str):
        raise UsageError(
            f"a filter, an order or a column is a str, not a {type(text).__name__}. "
            "Write it as text, as in 'metrics.acc > 0.9'."
        )
    if len(text) > LENGTH:
        raise FilterError(
            f"the filter has {len(text):,} characters.", text, LENGTH, len(text),
            f"At most {LENGTH:,} are read: filter by a tag that you set instead.",
        )  # fmt: skip
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FilterError(
            "half a character (a lone surrogate) is no text.", text, error.start, error.end,
            "Remove it: whatever cut the text cut through a character.",
        ) from None  # fmt: skip
    return text
