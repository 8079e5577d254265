"""The filter language of runs: a superset of MLflow's, with the place in every error.

    filter     = or-chain
    or-chain   = and-chain { "or" and-chain }
    and-chain  = negation { "and" negation }
    negation   = "not" negation | "(" filter ")" | condition
    condition  = name ( "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ) value
               | name [ "not" ] "in" "(" value { "," value } ")"
               | name [ "not" ] "between" value "and" value
               | name [ "not" ] ( "like" | "ilike" | "matches" ) text
               | name "is" [ "not" ] "null"
    name       = ( "metrics" | "params" | "tags" | "attributes" ) "." key | attribute
    value      = text | number | "true" | "false" | "nan" | "inf"
               | [ "-" ] duration | "now" [ ( "+" | "-" ) duration ]

Keywords are case-insensitive. A key is plain (``metrics.val/acc``) or quoted with backticks or
double quotes (``metrics."a b.c"``), a quote in it doubled. Which aggregates of a metric there are
(``metrics.loss.min``) the resolver decides. A text is single- or double-quoted; its quote is
doubled or follows a backslash, a backslash before a backslash is doubled, and any other backslash
is itself, so that a regex is written as it is. A duration is ``90s``, ``1h30m``, ``7d`` …

What a comparison means:

- Three-valued, as SQL: a missing metric, param or tag makes a condition unknown, its negation too,
  and only rows that are True are found. So ``params.x != 1`` finds no run without ``x``, as in
  MLflow; ``not params.x = 1`` neither. ``is null`` finds them.
- NaN equals nothing but the word ``nan``, is unequal to every number, and lies neither below nor
  above any: ``metrics.acc > 0.9`` finds no run that diverged, ``metrics.loss = nan`` does.
- A param or tag is compared as a number where a number is given: text that reads as one counts as
  one; other text is unequal to every number, and neither below nor above any. Where a text is given
  it is compared as text, or with what was logged as a number if it reads as one: ``"0.1"`` finds
  0.1, but ``"1.10"`` does not find the text ``1.1``. ``true`` and ``"True"`` find what is ``true``.
- A time is compared with ISO text (without an offset: UTC), ``now - 2h``, ``-7d`` (that long ago),
  or the milliseconds since 1970 that MLflow counts. A day is its first instant.
- ``like`` and ``ilike`` concern the whole text: ``%`` is any text, ``_`` one character, ``\\%`` a
  percent sign. ``matches`` finds a regex (https://docs.rs/regex) anywhere; ``^`` and ``$`` bind it.
"""

from eventlog.query.filter.columns import Columns, Dtype, Resolved, resolved
from eventlog.query.filter.compile import compile_filter
from eventlog.query.filter.error import FilterError
from eventlog.query.filter.node import (
    And,
    Between,
    Column,
    Compare,
    In,
    IsNull,
    Kind,
    Like,
    Literal,
    Matches,
    Node,
    Not,
    Now,
    Or,
    Place,
    words_of,
)
from eventlog.query.filter.order import Order, Sort, compile_order, parse_columns, parse_order
from eventlog.query.filter.parse import parse
from eventlog.query.filter.unparse import unparse

__all__ = [
    "And", "Between", "Column", "Columns", "Compare", "Dtype", "FilterError", "In", "IsNull",
    "Kind", "Like", "Literal", "Matches", "Node", "Not", "Now", "Or", "Order", "Place", "Resolved",
    "Sort", "compile_filter", "compile_order", "parse", "parse_columns", "parse_order", "resolved",
    "unparse", "words_of",
]  # fmt: skip
