"""Secrets out of what is captured: `argv`, `url`, `diff`; all else stays exactly as it is.

A value is hidden for its name (``--api-key=…``, ``--password …``, ``TOKEN=…``, a header, a field of
a JSON argument), for its shape (``ghp_…``, ``AKIA…``, a JSON web token, a private key), as a bearer
token, or as the user part of a URL. Hidden means `REDACTED` in its place. What no name and no shape
gives away (``-p hunter2``) is not guessed. In doubt it is hidden: after ``--use-token`` goes the
next argument, unless it is an option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from eventlog.tracking.capture.secret_shapes import (
    PRIVATE_KEY,
    TOKEN,
    WORD,
    is_secret,
    is_secret_name,
    names_vocabulary,
)

REDACTED = "[redacted]"

_SCHEMES = frozenset({"bearer", "basic", "token", "digest"})  # of an Authorization header

_assigned = re.compile(r"[-+~]{0,2}([\w.:@\[\]-]+)=")
_header = re.compile(r"([\w.-]+):(?!//)[ \t]*(?=\S)")
_option = re.compile(r"--?([A-Za-z][\w.-]*)")
_awaits = re.compile(
    r"(?:.*[\s=:])?bearer|authorization:\s*\w+|([\w.-]+):", re.IGNORECASE | re.DOTALL
)
_looks_like_option = re.compile(r"-[A-Za-z]|--[a-z][a-z0-9_.-]*(?:=.*)?", re.DOTALL)

# Lengths are limited for the sake of time. A password may hold a slash though it should not; a
# port before a path is no password.
_userinfo = re.compile(
    r"""([A-Za-z][\w+.-]{0,30}://)
    (?:[^\s/?#"'<>`]{0,4096}|[^\s/@:"'<>`]{0,99}:(?!\d+/)[^\s"'<>`@]{0,256})@""",
    re.VERBOSE,
)
# Behind a semicolon it is a connection string, where one ends it, too.
_query = re.compile(r"""((;)|[?&#])([\w.%\[\]-]{1,100})=((?:(?(2)[^;&#\s"'<>`]|[^&#\s"'<>`]))+)""")
_bearer = re.compile(
    r"\b(bearer[ \t]+)(?=[\w.~+/=-]*\d|[\w.~+/=-]{20})[\w.~+/=-]{8,}", re.IGNORECASE
)

# The word comes first in these: looking for what stands before it would take quadratic time.
_quoted = re.compile(
    rf"""({WORD})([\w.-]{{0,64}})
    ((?:\\?["'])?[\])]?[ \t]*(?::[^=\n"'(){{]{{0,40}})?:?=>?[ \t]*  # x = , x: str = , "x"] = , =>
      |(?:\\?["'])?[ \t]*:[ \t]*                                    # "x":
      |\\?["'][ \t]*,[ \t]*)                                        # ("x",
    ([rbuRBU]{{0,2}})(\\?["'])((?:(?!\5)(?:\\.|[^\\\n]))+)""",
    re.IGNORECASE | re.VERBOSE,
)
_first_argument = re.compile(r"""\([ \t]*\\?["'][\w.-]*\Z""")
_bare = re.compile(
    rf"""({WORD})([\w.-]{{0,64}})((?:\\?["'])?(?:=|:[ \t]*(?!//))"""
    r"""(?:(?:bearer|basic|token|digest)[ \t]+)?)()()"""
    r"""(?!\[redacted\]|["'\\])([^\s,;&"'})\]]+)""",
    re.IGNORECASE,
)
_setting = re.compile(
    rf"""^([-+ ]?[ \t]*(?:export[ ]|set[ ]|ENV[ ]|-[ ])?
      [\w."'-]*?{WORD}[\w."'-]{{0,64}}[ \t]*[=:][ \t]*)
    (?!["'\[{{|>&]|//)(\S.*?)[ \t\r]*$""",
    re.IGNORECASE | re.VERBOSE,
)
# Filled in elsewhere: ${X}, $X, $(x), {{ x }}, {x}, %s; also behind "Bearer ".
_template = re.compile(
    r"(?:(?:bearer|basic|token)\b[ \t]*)?(?:\$?\{\{?[^{}]*\}?\}|\$\w+|\$\([^()]*\)|%s|:)*",
    re.IGNORECASE,
)
_a_secret_word = re.compile(WORD, re.IGNORECASE)
_file_of_diff = re.compile(r"^(?=diff --git )", re.MULTILINE)
_settings_file = re.compile(
    r"(?:^|/)(?:\.env[^/]*|[^/.]+|\.[^/.]+|[^/]*\.(?:env|ini|cfg|conf|config|toml|ya?ml|jsonc?"
    r"|properties|sh|bash|zsh|fish|ps1|bat|tf|tfvars|dockerfile|netrc))\Z",
    re.IGNORECASE,
)


def argv(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command line, without their secrets.

    Example:
        >>> argv(["train.py", "--lr", "0.1", "--api-key", "hunter2"])
        ['train.py', '--lr', '0.1', '--api-key', '[redacted]']
    """
    kept: list[str] = []
    awaited = ""  # the name whose value comes next
    for argument in arguments:
        if awaited and argument.lower() in _SCHEMES:
            kept.append(argument)
        elif awaited and not _looks_like_option.fullmatch(argument):
            hidden = is_secret(awaited, argument)
            kept.append(REDACTED if hidden else _argument(argument))
            if not (hidden and awaited.endswith("s")):  # --tokens takes any number
                awaited = ""
        else:
            kept.append(_argument(argument))
            awaited = _name_that_awaits(argument)
    return kept


def url(address: str) -> str:
    """A URL without user, password and access tokens; other text, a path too, as it is."""
    return _shapes(address)


def diff(patch: str) -> str:
    """A diff without its secrets; it keeps its lines, so it still applies where none was hidden.

    In code only literals are values: ``token = next(it)`` stays. In files of settings (.env, YAML,
    shell …) whatever stands behind the name is one.
    """
    return "".join(map(_diff_of_file, _file_of_diff.split(patch)))


def _name_that_awaits(argument: str) -> str:
    """The secret name that an argument ends with, its value being the next one; else empty."""
    if option := _option.fullmatch(argument):
        return option[1] if is_secret_name(option[1]) else ""
    if not (found := _awaits.fullmatch(argument)):
        return ""
    if found[1] is None:
        return "authorization"
    return found[1] if is_secret_name(found[1]) else ""


def _argument(argument: str) -> str:
    start = 0  # of the value: --env=TOKEN=x has two names
    while found := _assigned.match(argument, start):
        start = found.end()
        if is_secret_name(found[1]) and is_secret(found[1], argument[start:]):
            return argument[:start] + REDACTED
    head, value = argument[:start], argument[start:]
    if (found := _header.match(value)) and is_secret(found[1], value[found.end() :]):
        return head + value[: found.end()] + REDACTED
    return head + _values(_values(_shapes(value), _quoted), _bare)


def _diff_of_file(patch: str) -> str:
    path = patch.partition("\n")[0].rpartition(" b/")[2].strip('"')
    names, mark, changes = patch.partition("\n@@")
    changes = _values(_shapes(changes), _quoted, spared=_template)
    if _settings_file.search(path):
        changes = "\n".join(map(_line_of_settings, changes.split("\n")))
    return _shapes(names) + mark + changes


def _line_of_settings(line: str) -> str:
    if not _a_secret_word.search(line):
        return line
    found = _setting.match(line)
    if not found or REDACTED in found[2]:
        return _values(line, _bare, spared=_template)
    name = re.sub(r"[^\w.]+", "-", found[1]).strip("-")
    hidden = is_secret(name, found[2]) and not _template.fullmatch(found[2])
    return line[: found.start(2)] + REDACTED if hidden else line


def _values(text: str, pattern: re.Pattern[str], spared: re.Pattern[str] | None = None) -> str:
    """The text without the values that a pattern finds behind secret names."""

    def hide(found: re.Match[str]) -> str:
        word, tail, between, prefix, quote, value = found.groups()
        before = text[max(0, found.start() - 64) : found.start()]
        if "," in between and not _first_argument.search(before):
            return found[0]  # ["InvalidToken", "Forbidden"] is a list of names
        if names_vocabulary(before, word) or not is_secret(word + tail, value):
            return found[0]
        if spared and spared.fullmatch(value):
            return found[0]
        return f"{word}{tail}{between}{prefix}{quote}{REDACTED}"

    return pattern.sub(hide, text)


def _shapes(text: str) -> str:
    """The text without what is a secret whatever its name."""
    steps: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
        (PRIVATE_KEY, _private_key),
        (_userinfo, _user_of_url),
        (_query, _parameter_of_url),
        (_bearer, rf"\g<1>{REDACTED}"),
        (TOKEN, REDACTED),
    ]
    for pattern, instead in steps:
        text = pattern.sub(instead, text)
    return text


def _private_key(found: re.Match[str]) -> str:
    """As many lines as before, each with its mark in the diff."""
    first, *lines = (found[2] or found[4]).split("\n")
    hidden = [REDACTED if first.strip() else first]
    for line in lines:
        mark = line[:1] if line[:1] in "+- " else ""
        hidden.append(mark + REDACTED if line[len(mark) :].strip() else line)
    return found[1] + "\n".join(hidden) + (found[3] or "")


def _user_of_url(found: re.Match[str]) -> str:
    scheme, user = found[1], found[0][len(found[1]) : -1]
    plain = ":" not in user and not scheme.lower().startswith("http")  # ssh://git@host
    return found[0] if plain or _template.fullmatch(user) else f"{scheme}{REDACTED}@"


def _parameter_of_url(found: re.Match[str]) -> str:
    before, _, name, value = found.groups()
    signature = name.lower() == "sig" or name.lower().endswith("signature")
    hidden = (signature or is_secret(name, value)) and not _template.fullmatch(value)
    return f"{before}{name}={REDACTED}" if hidden else found[0]
