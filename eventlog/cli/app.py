"""The group of all verbs: the built-in ones, and those that plugins bring."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

import eventlog
from eventlog.cli import events, plugins, store
from eventlog.cli.errors import hang_up, report, report_usage, warn
from eventlog.cli.settings import Settings, json_option, log_option

INTERRUPTED = 130


class Verbs(click.Group):
    """The built-in verbs, then the plugins' (which are loaded only if none of ours is meant)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_plugin_commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or _plugin_commands().get(cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            hang_up()
            ctx.exit(0)
        except Exception as error:
            ctx.exit(report(error, ctx.ensure_object(Settings).json))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run, and exit with 0 for done, 1 for found nothing or a failed check, 2 for usage."""
        with contextlib.suppress(AttributeError, ValueError):
            sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        as_json = "--json" in (sys.argv[1:] if args is None else args)
        told = _Warnings(as_json)
        logging.getLogger("eventlog").addHandler(told)
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
        except click.ClickException as error:
            code = report_usage(error, as_json)
        except BrokenPipeError:  # in the last flush
            hang_up()
            code = 0
        except OSError as error:  # a full disk behind the output
            hang_up()
            code = report(error, as_json)
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            code = INTERRUPTED
        finally:
            logging.getLogger("eventlog").removeHandler(told)
        sys.exit(code if isinstance(code, int) else 0)


class _Warnings(logging.Handler):
    """Prints what the library logs as lines on standard error, without tracebacks."""

    def __init__(self, as_json: bool) -> None:
        super().__init__(logging.WARNING)
        self._as_json = as_json

    def emit(self, record: logging.LogRecord) -> None:
        level, said = record.levelname.lower(), record.getMessage()
        warn(said if self._as_json else f"{level}: {said}", self._as_json)


def _plugin_commands() -> dict[str, click.Command]:
    """The commands that plugins bring, by name; one that is none is reported and left out."""
    from eventlog.plugin import contributions, report_broken

    found: dict[str, click.Command] = {}
    for plugin, commands in contributions("register_commands"):
        for command in commands or ():
            if isinstance(command, click.Command) and command.name:
                found.setdefault(command.name, command)
            else:
                report_broken(plugin, "register_commands", f"{command!r} is no click command")
    return found


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 found nothing or failed check, 2 usage.",
)
@log_option
@json_option
@click.version_option(eventlog.__version__, prog_name="eventlog")
def main() -> None:
    """Every experiment as events in a directory or a bucket."""


for _command in (*store.COMMANDS, *events.COMMANDS, *plugins.COMMANDS):
    main.add_command(_command)
