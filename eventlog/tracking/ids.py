"""Identities and names for what training code makes."""

from __future__ import annotations

import secrets
import time

_ADJECTIVES = (
    "amber autumn bold brave breezy bright brisk calm clever cosmic crimson curious daring deep "
    "eager early fair fleet gentle golden grand hidden humble icy jolly keen late lively lucid "
    "lunar mellow merry misty noble novel pale patient plain polite proud quick quiet rapid "
    "rosy rustic sandy shy silent silver sleek smooth snowy solar spry steady still sunny swift "
    "tidy velvet vivid warm wild wise young zesty"
).split()
_NOUNS = (
    "acorn anchor aspen badger beacon birch bloom brook canyon cedar cliff cloud comet coral "
    "crane creek dawn delta dove dune eagle ember falcon fern finch fjord flint forest fox "
    "frost garden glade grove harbor hawk heron hill isle ivy lake lark leaf lynx maple marsh "
    "meadow meteor moon moss oak orchid otter owl pebble pine plain pond quail raven reef ridge "
    "river robin sage shore sparrow spruce star stone stream summit swan thistle tide trail "
    "valley wave willow wolf wren"
).split()


def new_id() -> str:
    """A fresh identity: 32 hex digits that begin with the time, so that what is made together lies
    together in the log's files.
    """
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def new_name() -> str:
    """A name that people can say: ``amber-falcon-417``. Not unique."""
    number = secrets.randbelow(1000)
    return f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}-{number}"
