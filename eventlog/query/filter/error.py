"""Mistakes in a filter, shown where they are."""

from __future__ import annotations

import unicodedata

from eventlog.errors import UsageError

WIDTH = 76  # terminal cells of the filter's text that an error shows
_SHOWN = 60  # characters of a name or value in an error's sentences
_INDENT = "  "
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


class FilterError(UsageError):
    """A filter, an order or a choice of columns cannot be taken.

    Attributes:
        text: the filter.
        start, end: the place of the mistake: ``text[start:end]``; both ``len(text)`` at its end.
        what: what is wrong, one sentence.
        picture: the filter, or a part of it around the place, and a line of carets under the place;
            "" where there is no text.
        remedy: what to do, one or more sentences.

    Example:
        >>> try:
        ...     parse("metrics.acc => 1")
        ... except FilterError as error:
        ...     print(error)
        `=>` is no operator.
          metrics.acc => 1
                      ^^
        Write >=.
    """

    def __init__(self, what: str, text: str, start: int, end: int, remedy: str) -> None:
        self.what = what
        self.text = text
        self.start = start
        self.end = end
        self.picture = pictured(text, start, end) if text else ""
        super().__init__("\n".join(part for part in (what, self.picture, remedy) if part))
        self.remedy = remedy

    def lines(self) -> tuple[str, str]:
        """What is wrong and what to do; who has room for it shows ``picture`` in between."""
        return self.what, self.remedy

    def __reduce__(self) -> tuple[type[FilterError], tuple[str, str, int, int, str]]:
        return type(self), (self.what, self.text, self.start, self.end, self.remedy)


def clipped(text: str) -> str:
    """A name or a value of any length and content, fit for a sentence."""
    return _printable(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")


def pictured(text: str, start: int, end: int) -> str:
    """The text around a place, and carets under the place; two lines."""
    end = min(max(end, start + 1), start + WIDTH // 2, len(text))
    left, right = _window(text, start, end)
    before = ("…" if left else "") + text[left:start]
    after = text[end:right] + ("…" if right < len(text) else "")
    line = _printable(before + text[start:end] + after).rstrip()
    carets = "^" * max(1, _cells(text[start:end]))
    return f"{_INDENT}{line}\n{_INDENT}{' ' * _cells(before)}{carets}"


def _window(text: str, start: int, end: int) -> tuple[int, int]:
    """As much on both sides of the place as there is room for, in characters."""
    room = WIDTH - _cells(text[start:end]) - 2 * len("…")
    left, right = start, end
    while room > 0 and (left > 0 or right < len(text)):
        if left > 0:
            left -= 1
            room -= max(1, _cell(text[left]))
        if right < len(text) and room > 0:
            room -= max(1, _cell(text[right]))
            right += 1
    return left, right


def _cells(text: str) -> int:
    """How many cells of a terminal the text takes, as `_printable` puts it."""
    return sum(map(_cell, text))


def _cell(char: str) -> int:
    if unicodedata.category(char) in _UNPRINTABLE:
        return 1
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _printable(text: str) -> str:
    """The text in one line, without what a terminal would obey."""
    return "".join(map(_visible, text))


def _visible(char: str) -> str:
    if char.isspace():
        return " "
    return "\ufffd" if unicodedata.category(char) in _UNPRINTABLE else char
