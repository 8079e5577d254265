"""Errors as people meet them: one line that says what, one line that says what to do."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import traceback

import click

from eventlog import errors
from eventlog.cli.text import plain

DEBUG = "EVENTLOG_DEBUG"
_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z`'\"(])")
_SHOW_MORE = f"{DEBUG}=1 in the environment shows where it happened."
_REMEDIES: tuple[tuple[type[errors.EventlogError], str], ...] = (
    (errors.UsageError, "`eventlog --help` and `eventlog VERB --help` show what can be given."),
    (errors.NotALog, "Check --log and $EVENTLOG_URL; `eventlog init` makes a log."),
    (errors.Unavailable, "Check the network and try again; nothing was lost."),
    (errors.Denied, "Check the credentials in your environment."),
)
_SAY_AFTER_COLON = (errors.SpoolError, errors.LogClosed, errors.NotALog)


def split(error: BaseException) -> tuple[str, str]:
    """What happened, and what to do."""
    if isinstance(error, errors.Damage):
        return f"{error.key}: {error.what}.", in_options(error.remedy)
    said = str(error).strip().replace("..", ".")
    if isinstance(error, OSError) and not isinstance(error, errors.EventlogError):
        return f"{error.strerror or said}{_at(error)}.", "Make room or access there and try again."
    if not isinstance(error, errors.EventlogError):
        return (
            f"unexpected {type(error).__name__}: {said}",
            f"This should not happen: {_SHOW_MORE} Please report it.",
        )
    what, *todo = _SENTENCE_END.split(said, maxsplit=1)
    if not todo and isinstance(error, _SAY_AFTER_COLON):
        what, _, rest = said.rpartition(": ")
        what, todo = (f"{what}.", [rest[:1].upper() + rest[1:]]) if what else (said, [])
    if todo:
        return what, todo[0]
    return what, next((text for kind, text in _REMEDIES if isinstance(error, kind)), _SHOW_MORE)


def in_options(remedy: str) -> str:
    """A remedy as the command line spells it."""
    return remedy.replace("damage='skip'", "--skip-damage")


def _at(error: OSError) -> str:
    return f": {error.filename}" if error.filename else ", while the output was written"


def report(error: BaseException, as_json: bool) -> int:
    """Print an error to standard error; the exit code that it means."""
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    what, todo = split(error)
    code = 2 if isinstance(error, errors.UsageError) else 1
    if as_json:
        told = {"error": type(error).__name__, "what": what, "todo": todo}
        click.echo(json.dumps(told, ensure_ascii=False), err=True)
    else:
        click.echo(f"error: {plain(what)}\n{plain(todo)}", err=True)
    return code


def report_usage(error: click.ClickException, as_json: bool) -> int:
    """Print what is wrong with a command line; the exit code that it means."""
    if type(error).__name__ == "NoArgsIsHelpError":  # since click 8.2; before, it printed the help
        click.echo(error.ctx.get_help(), err=True)  # type: ignore[attr-defined]
        return error.exit_code
    ctx = getattr(error, "ctx", None)
    command = ctx.command_path if ctx is not None else "eventlog"
    todo = f"`{command} --help` shows what can be given."
    if as_json:
        told = {"error": "UsageError", "what": error.format_message(), "todo": todo}
        click.echo(json.dumps(told, ensure_ascii=False), err=True)
    else:
        click.echo(f"error: {plain(error.format_message())}\n{todo}", err=True)
    return error.exit_code


def hang_up() -> None:
    """Nobody reads our output any more: let nothing complain about it when we exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # no real file below it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
