"""Patterns of ``like`` and ``matches`` as the regexes that Polars takes."""

from __future__ import annotations

import re

from eventlog.query.filter.error import FilterError
from eventlog.query.filter.node import Literal, Place

_LIKE = re.compile(r"\\([%_\\])|(%+)|(_)|([^%_\\]+|\\)")


def like_regex(pattern: str, ignores_case: bool) -> str:
    r"""The regex of a SQL pattern.

    Example:
        >>> like_regex(r'50\%_%', False)
        '(?s)\\A50%..*\\z'
    """
    import polars as pl

    parts = []
    for found in _LIKE.finditer(pattern):
        escaped, any_text, any_character, plain = found.groups()
        if any_text or any_character:
            parts.append(".*" if any_text else ".")
        else:
            parts.append(pl.escape_regex(escaped or plain))
    return f"(?{'i' if ignores_case else ''}s)\\A{''.join(parts)}\\z"


def checked(regex: str, literal: Literal) -> str:
    """The regex, if Polars takes it; else the error at its place in the literal."""
    import polars as pl

    try:
        pl.Series([""], dtype=pl.String).str.contains(regex)
    except pl.exceptions.PolarsError as error:
        said = str(error).partition("\n\nThis error occurred")[0].removeprefix("regex error: ")
        if said.startswith("Compiled regex exceeds size limit"):
            raise FilterError(
                "the pattern is too large.", *literal.at, "Write a shorter one, or several."
            ) from None
        reason = said.rpartition("error: ")[2].strip().rstrip(".")
        raise FilterError(
            f"the pattern is no regex: {reason}.", *_place(said, regex, literal.at),
            "Rust's syntax holds (https://docs.rs/regex#syntax); \\ before a sign takes its "
            "meaning away.",
        ) from None  # fmt: skip
    return regex


def _place(said: str, regex: str, at: Place) -> Place:
    """Where in the filter the regex is wrong, as the line of carets in Rust's message tells.

    Only where the regex is written as it is, in one line; else the whole literal.
    """
    carets = re.search(r"^ {4}( *)(\^+)", said, re.MULTILINE)
    start = at.start + 1
    if carets is None or at.text[start : at.end - 1] != regex or "\n" in regex:
        return at
    start += len(carets[1])
    return Place(at.text, min(start, at.end - 1), min(start + len(carets[2]), at.end - 1))
