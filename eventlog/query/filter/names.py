"""The names of columns, as people write them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import NoReturn

from eventlog.query.filter.cursor import Cursor
from eventlog.query.filter.error import clipped
from eventlog.query.filter.node import Column, Kind
from eventlog.query.filter.tokens import Token, is_plain_key, is_word

KEYWORDS = frozenset(
    "and or not in is null between like ilike matches true false nan inf infinity now "
    "asc desc none".split()
)
# MLflow's spellings among them.
KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("metrics", "metric"), "metrics"),
    **dict.fromkeys(("params", "param", "parameters", "parameter"), "params"),
    **dict.fromkeys(("tags", "tag"), "tags"),
    **dict.fromkeys(("attributes", "attribute", "attrs", "attr", "run", "runs"), "attributes"),
}
ONE_OF: Mapping[Kind, str] = {
    "attributes": "attribute",
    "metrics": "metric",
    "params": "param",
    "tags": "tag",
}
# MLflow's names of what has another here.
ATTRIBUTES: Mapping[str, str] = {
    "run_name": "name",
    "run name": "name",
    "Run name": "name",
    "Run Name": "name",
    "experiment_name": "experiment",
    "user_id": "user",
    "created": "start_time",
    "Created": "start_time",
    "duration": "duration_s",
    "Duration": "duration_s",
    "parent_run_id": "parent_id",
}


def column(cursor: Cursor) -> Column:
    """Read a column's name."""
    token = cursor.token
    if token.type == "word" and token.keyword not in KEYWORDS:
        return _attribute(cursor.take())
    if token.type != "name":
        _refuse(cursor)
    kind = KINDS.get(token.prefix.lower())
    if kind is None:
        _refuse_kind(cursor)
    cursor.take()
    return _attribute(token) if kind == "attributes" else Column(kind, token.value, at=token.at)


def written(kind: Kind, key: str) -> str:
    """The name of a column as a filter writes it.

    Example:
        >>> written("metrics", "top 1 %")
        'metrics.`top 1 %`'
    """
    if kind == "attributes" and is_word(key) and key.lower() not in KEYWORDS:
        return key
    quoted = key if is_plain_key(key) else f"`{key.replace('`', '``')}`"
    return f"{kind}.{quoted}"


def _attribute(token: Token) -> Column:
    return Column("attributes", ATTRIBUTES.get(token.value, token.value), at=token.at)


def _refuse(cursor: Cursor) -> NoReturn:
    token = cursor.token
    remedy = "Write one, as in metrics.acc."
    if token.keyword:
        remedy = f"Write one; if {token.written} is a name, write its kind: tags.{token.written}."
    elif token.type in ("string", "number", "duration"):
        remedy = "A condition begins with a name: metrics.acc > 0.9, metrics.`a name` = 1."
    before = "at the end" if cursor.at_end() else f"before {token.written}"
    cursor.refuse(f"a name is missing {before}.", remedy)


def _refuse_kind(cursor: Cursor) -> NoReturn:
    token = cursor.token
    prefix = token.at._replace(end=token.at.start + len(token.prefix))
    near = difflib.get_close_matches(token.prefix.lower(), list(KINDS), n=1)
    rest = cursor.text[prefix.end : token.at.end]
    cursor.refuse(
        f"{clipped(token.prefix)} is no kind of column.",
        f"Did you mean {KINDS[near[0]]}{clipped(rest)}?"
        if near
        else "There are metrics., params., tags. and attributes.",
        prefix,
    )
