"""From the text of a filter to its tokens, one at a time."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from typing import NamedTuple, NoReturn, TypeAlias

from eventlog.query.filter.error import FilterError, clipped
from eventlog.query.filter.node import Place

TokenType: TypeAlias = typing.Literal[
    "name", "word", "number", "duration", "string", "operator", "end"
]
UNITS = "us, ms, s, m, h, d, w"
NUMBER_LENGTH = 100  # characters; what is longer is no number that anybody meant

_BLANK = re.compile(r"\s*")
_WORD = re.compile(r"[^\W\d]\w*")
_PLAIN_KEY = re.compile(r"[\w./@:-]+")
_OPERATOR = re.compile(r"==|!=|<>|<=|>=|[=<>(),+-]")
_STRINGS = {
    "'": re.compile(r"'((?:[^'\\]+|\\.|'')*+)'", re.DOTALL),
    '"': re.compile(r'"((?:[^"\\]+|\\.|"")*+)"', re.DOTALL),
}
_ESCAPES = {quote: re.compile(rf"\\([\\'\"])|({quote}){quote}") for quote in _STRINGS}
_QUOTED_KEYS = {
    '"': re.compile(r'"((?:[^"]+|"")*+)"'),
    "`": re.compile(r"`((?:[^`]+|``)*+)`"),
}
_NUMERIC = re.compile(r"(?:[0-9]|\.[0-9])(?:(?<=[eE])[+-]|[\w.])*")
_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:us|ms|[smhdw]))+")
_BARE_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:T[0-9:.+Z-]*)?")

_FOREIGN = re.compile(r"=<|=>|=~|&&|\|\||!(?!=)|[&|~≤≥≠≈“”„‘’;\[\]{}%*^]")
_MEANT = {
    "=<": "Write <=.",
    "=>": "Write >=.",
    "≤": "Write <=.",
    "≥": "Write >=.",
    "≠": "Write !=.",
    "=~": "Write matches for a regex.",
    "~": "Write not; matches for a regex.",
    "!": "Write not, or != for unequal.",
    **dict.fromkeys(("&&", "&"), "Write and."),
    **dict.fromkeys(("||", "|"), "Write or."),
    **dict.fromkeys("“”„‘’", "Write straight quotes: \" or '."),
    **dict.fromkeys("[]{}", "Lists and groups are in parentheses: ( )."),
}
_QUOTE_IT = "Names with other characters are quoted: metrics.`top 1 %`."


class Token(NamedTuple):
    """One word, name, value or sign.

    Attributes:
        value: what it says: of a name its key, of a string its content; else as written.
        prefix: of a name what stands before the first dot.
    """

    type: TokenType
    value: str
    at: Place
    prefix: str = ""

    @property
    def keyword(self) -> str:
        """The word in lower case; "" of anything else."""
        return self.value.lower() if self.type == "word" else ""

    @property
    def operator(self) -> str:
        """The operator; "" of anything else."""
        return self.value if self.type == "operator" else ""

    @property
    def written(self) -> str:
        """The token as it was written, fit for an error."""
        return clipped(self.at.text[self.at.start : self.at.end])


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a filter; the last is of type "end"."""
    position = 0
    while True:
        position = _end(_BLANK, text, position)
        if position == len(text):
            yield Token("end", "", Place(text, position, position))
            return
        token = _token(text, position)
        yield token
        position = token.at.end


def is_plain_key(key: str) -> bool:
    """Whether a key needs no quotes."""
    return _PLAIN_KEY.fullmatch(key) is not None


def is_word(text: str) -> bool:
    """Whether a text is a bare word."""
    return _WORD.fullmatch(text) is not None


def _token(text: str, start: int) -> Token:
    if text[start] in _STRINGS:
        return _string(text, start)
    if found := _NUMERIC.match(text, start):
        return _numeric(text, found)
    if found := _WORD.match(text, start):
        return _word(text, found)
    found = _OPERATOR.match(text, start)
    if found is None or _FOREIGN.match(text, start):
        _refuse_foreign(text, start)
    return Token("operator", found[0], Place(text, start, found.end()))


def _string(text: str, start: int) -> Token:
    quote = text[start]
    found = _STRINGS[quote].match(text, start)
    if found is None:
        raise FilterError(
            "a text is not closed.", text, start, start + 1,
            f"Put a {quote} at its end; within it, write {quote}{quote}.",
        )  # fmt: skip
    value = _ESCAPES[quote].sub(lambda escape: escape[1] or escape[2], found[1])
    return Token("string", value, Place(text, start, found.end()))


def _numeric(text: str, found: re.Match[str]) -> Token:
    written, place = found[0], Place(text, *found.span())
    if date := _BARE_DATE.match(text, place.start):
        raise FilterError(
            f"{date[0]} is a date without quotes.", text, *date.span(), f'Write "{date[0]}".'
        )
    if len(written) > NUMBER_LENGTH:
        raise FilterError(
            f"a number has {len(written):,} characters.", *place,
            f"Write at most {NUMBER_LENGTH}; a text is quoted.",
        )  # fmt: skip
    if _NUMBER.fullmatch(written):
        return Token("number", written, place)
    if _DURATION.fullmatch(written):
        return Token("duration", written, place)
    raise FilterError(
        f"{clipped(written)} is neither a number nor a duration.", *place,
        f'Durations have units ({UNITS}), as in 1h30m; a text is quoted: "{clipped(written)}".',
    )  # fmt: skip


def _word(text: str, found: re.Match[str]) -> Token:
    start, end = found.span()
    if not text.startswith(".", end):
        return Token("word", found[0], Place(text, start, end))
    key, end = _key(text, end + 1)
    if key == "":
        raise FilterError(
            f"a key is missing after {clipped(found[0])}.", text, start, max(end, found.end() + 1),
            f"Write one, as in {clipped(found[0])}.loss; {_QUOTE_IT[0].lower()}{_QUOTE_IT[1:]}",
        )  # fmt: skip
    return Token("name", key, Place(text, start, end), prefix=found[0])


def _key(text: str, position: int) -> tuple[str, int]:
    """The key that begins there, without quotes, and where it ends.

    A part in quotes stands between dots: what follows it without one is no part of the key.
    """
    parts: list[str] = []
    while position < len(text):
        after_dot, char = text[position - 1] == ".", text[position]
        if char in _QUOTED_KEYS and after_dot:
            part, position = _quoted(text, position)
        elif (found := _PLAIN_KEY.match(text, position)) and (not parts or char == "."):
            part, position = found[0], found.end()
        else:
            break
        parts.append(part)
    return "".join(parts), position


def _quoted(text: str, start: int) -> tuple[str, int]:
    quote = text[start]
    found = _QUOTED_KEYS[quote].match(text, start)
    if found is None:
        raise FilterError(
            "a quoted name is not closed.", text, start, start + 1,
            f"Put a {quote} at its end; within it, write {quote}{quote}.",
        )  # fmt: skip
    return found[1].replace(quote * 2, quote), found.end()


def _refuse_foreign(text: str, start: int) -> NoReturn:
    found = _FOREIGN.match(text, start)
    written = found[0] if found else text[start]
    raise FilterError(
        f"`{clipped(written)}` is no operator." if found else
        f"`{clipped(written)}` has no meaning here.",
        text, start, start + len(written), _MEANT.get(written, _QUOTE_IT),
    )  # fmt: skip


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position
