"""Questions to the machine that may fail: the training that asks must not notice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)


def attempt(what: str, probe: Callable[[], T]) -> T | None:
    """The probe's answer; None where it fails, which only a debug log tells."""
    try:
        return probe()
    except Exception as error:
        logger.debug("cannot find out %s: %s", what, error, exc_info=True)
        return None


def answers(probes: Mapping[str, Callable[[], object]]) -> dict[str, str]:
    """Tag to text, of each probe that answered anything; every probe is on its own."""
    found = {}
    for tag, probe in probes.items():
        answer = attempt(tag, probe)
        if answer is not None and answer != "":
            found[tag] = encodable(str(answer))
    return found


def encodable(text: str) -> str:
    """The text as UTF-8 can hold it: a path or an argument may be any bytes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
