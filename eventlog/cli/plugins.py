"""``eventlog plugins``: who is installed, from where, doing what."""

from __future__ import annotations

import click

from eventlog.cli.settings import Settings, common
from eventlog.cli.text import as_json, print_table


@click.command()
@common
def plugins(settings: Settings) -> None:
    """Show the installed plugins."""
    from eventlog.plugin import contributions, installed

    contributions("register_backends")  # so that one which breaks there is shown as broken
    found = installed()
    if settings.json:
        click.echo(as_json(found))
        return
    print_table(
        ("plugin", "from", "module", "hooks", "state"),
        [
            (
                info.name,
                " ".join(filter(None, (info.distribution, info.version))) or "(this checkout)",
                info.module,
                ", ".join(info.hooks),
                info.error or "ok",
            )
            for info in found
        ],
    )


COMMANDS = (plugins,)
