"""What a secret looks like: by the name it is given, or by its own shape.

Names of machine learning contain "token" all the time and are no secrets: ``--tokenizer``,
``--max-tokens 512``, ``pad_token="<pad>"``. What is left alone for them is listed here, and only
where the name says nothing else that is secret.
"""

from __future__ import annotations

import re

WORD = (
    r"(?:passw(?:or)?d|passphrase|secret|token(?!i[sz])|credential|authorization"
    r"|(?:api|access|account|private)[-_. ]?key)"
)
_VOCABULARY = (
    r"(?<![A-Za-z0-9])(?:pad|eos|bos|unk|sep|cls|mask|special|stop|image|audio|video)[-_. ]?"
)

_named_secret = re.compile(WORD, re.IGNORECASE)
_named_in_vocabulary = re.compile(_VOCABULARY + r"tokens?", re.IGNORECASE)
_ends_in_vocabulary = re.compile(_VOCABULARY + r"\Z", re.IGNORECASE)
_only_a_token = re.compile(r"tokens?", re.IGNORECASE)
_number = re.compile(r"[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?[kmb]?", re.IGNORECASE)
_vocabulary_entry = re.compile(r"<[^<>]*>|\[[A-Z_]+\]")
_no_value = frozenset({"", "true", "false", "none", "null"})

# From the documentation of who gives them out; each is too long to be a word of a sentence.
_TOKENS = (
    r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}"  # GitHub
    r"|hf_[A-Za-z0-9]{16,}"  # Hugging Face
    r"|sk-(?:[A-Za-z0-9]{20,}|(?:proj|ant|or|svcacct|admin|lf|None)-[\w-]{16,})"  # OpenAI …
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{10,}"  # Stripe
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,}"  # AWS
    r"|xox[a-z]-[\w-]{8,}|xapp-[\w-]{16,}"  # Slack
    r"|eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*){0,3}"  # a JSON web token
    r"|AIza[\w-]{30,}|ya29\.[\w.-]{20,}"  # Google
    r"|glpat-[\w-]{16,}"  # GitLab
    r"|pypi-AgE[\w-]{16,}|npm_[A-Za-z0-9]{30,}"
    r"|nvapi-[\w-]{16,}|gsk_[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}|dapi[0-9a-f]{32}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}"  # SendGrid
)
# Glued to a short option (-pghp_…) it is one all the same.
TOKEN = re.compile(rf"(?:(?<![A-Za-z0-9])|(?<=\A-[A-Za-z]))(?:{_TOKENS})")

# Whole, or cut off; its mere name, say in code that looks for it, has nothing behind it.
PRIVATE_KEY = re.compile(
    r"""(-----BEGIN[ ][A-Z ]{0,30}PRIVATE[ ]KEY-----)
    (?:((?:[\w+/=\s\\:,"']|-(?!----)){1,8192}?)(-?-----END[ ][A-Z ]{0,30}PRIVATE[ ]KEY-----)
      |((?:[\r\n]+[-+ ]?[ \t]*[A-Za-z0-9+/=]{40,})+))""",
    re.VERBOSE,
)


def is_secret(name: str, value: str) -> bool:
    """Whether what has this name keeps this value secret."""
    rest = _named_in_vocabulary.sub("", name)
    if value.lower() in _no_value or not _named_secret.search(rest):
        return False
    if not _named_secret.search(_only_a_token.sub("", rest)):
        counted = not rest.lower().endswith("token") and _number.fullmatch(value)
        return not (counted or _vocabulary_entry.fullmatch(value))
    return True


def names_vocabulary(before: str, word: str) -> bool:
    """Whether a word of ours is the end of, say, ``eos_token``, going by the text before it."""
    return word.lower().startswith("token") and bool(_ends_in_vocabulary.search(before))


def is_secret_name(name: str) -> bool:
    """Whether some value under this name would be secret."""
    return is_secret(name, "a value")
