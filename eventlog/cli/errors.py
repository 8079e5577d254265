"""Errors as people meet them: one line that says what, one line that says what to do.

An error knows both lines (`EventlogError.lines`); here they are put as the command line spells
them, and where an error knows no remedy the one of its kind is said.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback

import click

from eventlog import errors
from eventlog.cli.text import in_options, plain

DEBUG = "EVENTLOG_DEBUG"
_SHOW_MORE = f"{DEBUG}=1 in the environment shows where it happened."
_REMEDIES: tuple[tuple[type[errors.EventlogError], str], ...] = (
    (errors.UsageError, "`eventlog --help` and `eventlog VERB --help` show what can be given."),
    (errors.NotALog, "Check --log and $EVENTLOG_URL; `eventlog init` makes a log."),
    (errors.Unavailable, "Check the network and try again; nothing was lost."),
    (errors.Denied, "Check the credentials in your environment."),
)


def split(error: BaseException) -> tuple[str, str]:
    """What happened, and what to do."""
    if isinstance(error, errors.EventlogError):
        what, todo = error.lines()
        usual = (text for kind, text in _REMEDIES if isinstance(error, kind))
        return what, in_options(todo) or next(usual, _SHOW_MORE)
    said = str(error).strip()
    if isinstance(error, OSError):
        return f"{error.strerror or said}{_at(error)}.", "Make room or access there and try again."
    return (
        f"unexpected {type(error).__name__}: {said}",
        f"This should not happen: {_SHOW_MORE} Please report it.",
    )


def _at(error: OSError) -> str:
    return f": {error.filename}" if error.filename else ", while the output was written"


def report(error: BaseException, as_json: bool) -> int:
    """Print an error to standard error; the exit code that it means."""
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    _print(type(error).__name__, *split(error), as_json)
    return 2 if isinstance(error, errors.UsageError) else 1


def _print(kind: str, what: str, todo: str, as_json: bool) -> None:
    if as_json:
        told = {"error": kind, "what": what, "todo": todo}
        click.echo(json.dumps(told, ensure_ascii=False), err=True)
    else:
        click.echo(f"error: {plain(what)}\n{plain(todo)}", err=True)


def warn(what: str, as_json: bool) -> None:
    """Print to standard error what the answer lacks, or what somebody should look at."""
    if as_json:
        click.echo(json.dumps({"warning": what}, ensure_ascii=False), err=True)
    else:
        click.echo(plain(what), err=True)


def report_usage(error: click.ClickException, as_json: bool) -> int:
    """Print what is wrong with a command line; the exit code that it means."""
    if type(error).__name__ == "NoArgsIsHelpError":  # since click 8.2; before, it printed the help
        click.echo(error.ctx.get_help(), err=True)  # type: ignore[attr-defined]
        return error.exit_code
    ctx = getattr(error, "ctx", None)
    command = ctx.command_path if ctx is not None else "eventlog"
    _print(
        "UsageError",
        error.format_message(),
        f"`{command} --help` shows what can be given.",
        as_json,
    )
    return error.exit_code


def hang_up() -> None:
    """Nobody reads our output any more: let nothing complain about it when we exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # no real file below it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
