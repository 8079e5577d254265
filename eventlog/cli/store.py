"""The verbs that look after a log: init, sync, compact, gc, verify, copy, demo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from eventlog.cli.progress import progress
from eventlog.cli.settings import Settings, common
from eventlog.cli.text import as_json, count, in_options, plain, print_table, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eventlog.backend import Backend
    from eventlog.demo import Report
    from eventlog.errors import Damage
    from eventlog.log.log import Log


@click.command()
@click.option("--restore", is_flag=True, help="Make the format.json of a log that has lost it.")
@common
def init(settings: Settings, restore: bool) -> None:
    """Make a log, and see that the store can hold one."""
    from eventlog.errors import NotALog
    from eventlog.log.create import ensure_log, restore_log
    from eventlog.log.manifest import read_format

    backend = settings.backend()
    try:
        read_format(backend)
        made = False
    except NotALog:
        made = True
    found = restore_log(backend) if restore else ensure_log(backend)
    _answer(
        settings,
        {"url": backend.url, "log_id": found.log_id, "format": found.format, "made": made},
        f"{'there is a log' if not made else 'restored' if restore else 'made a log'} "
        f"in {backend.url}",
    )


@click.command()
@click.option("--adopt", is_flag=True, help="Also take what another machine's writers left.")
@common
@click.pass_context
def sync(ctx: click.Context, settings: Settings, adopt: bool) -> None:
    """Ship what writers that died on this machine left behind."""
    with settings.open() as log, progress("shipping"):
        report = log.sync(adopt=adopt)
        log.reader()  # where there was nothing to ship: is there a log at all?
    dead = count(len(report.recovered), "dead writer")
    lines = [f"shipped what {dead} left" if report.recovered else "shipped nothing"]
    if report.alive:
        lines.append(f"{count(len(report.alive), 'writer')} still at work")
    if report.foreign:
        what = count(len(report.foreign), "spool")
        lines.append(f"{what} of another machine left alone: `eventlog sync --adopt` takes them")
    if report.lost_rows or report.lost_bytes:
        lost = f"{count(report.lost_rows, 'point')} and {size(report.lost_bytes)} of facts"
        lines.append(f"{lost} did not survive: no flush had covered them, or their names are lost")
    if report.damaged_bytes:
        lines.append(f"the disk had damaged {size(report.damaged_bytes)} of facts; see above")
    lines += [f"failed: {lane}: {why}" for lane, why in report.failed.items()]
    _answer(settings, report, *lines)
    if report.failed:
        ctx.exit(1)


@click.command()
@common
@click.pass_context
def compact(ctx: click.Context, settings: Settings) -> None:
    """Merge small segments into sorted Parquet files.

    `eventlog gc` then deletes what they replace. Both once more, and nothing but the events is left
    of processes that closed their log (in a store that is not on a local disk, after a day).
    """
    with settings.open() as log, progress("compacting") as tell:
        snapshot = log.reader().snapshot(damage="skip")
        new = snapshot.count() - sum(file.rows for file in snapshot.manifest.files)
        tell(f"compacting {count(new, 'event')}", 0, 0)
        report = log.compact()
    done = f"compacted {count(report.events, 'event')} of {count(report.segments, 'segment')}"
    into = f"into {count(len(report.written), 'file')}, version {report.version}"
    lines = [f"{done} {into}" if report.version else f"nothing compacted: {report.reason}"]
    if report.sealed:
        lines.append(f"sealed {count(len(report.sealed), 'silent lane')}")
    _answer(settings, report, *lines, *_damage_lines(report.damage))
    if report.damage:
        ctx.exit(1)


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would go, and delete nothing.")
@common
@click.pass_context
def gc(ctx: click.Context, settings: Settings, dry_run: bool) -> None:
    """Delete what compaction has replaced and blobs that no event names.

    Files that somebody may be reading are kept for an hour.
    """
    with settings.open() as log, progress("collecting"):
        report = log.collect(dry_run=dry_run)
    sorts = {"segments": "segment", "data": "data file", "manifests": "manifest", "blobs": "blob"}
    found = {one: len(getattr(report, sort)) for sort, one in sorts.items()}
    gone = ", ".join(count(number, one) for one, number in found.items() if number)
    verb = "would delete" if dry_run else "deleted"
    line = f"{verb} {gone}: {size(report.size_bytes)}" if gone else f"{verb} nothing"
    _answer(settings, report, line, *_damage_lines(report.damage))
    if report.damage:
        ctx.exit(1)


@click.command()
@common
@click.pass_context
def verify(ctx: click.Context, settings: Settings) -> None:
    """Read every byte of the log and name all that is damaged."""
    from eventlog.log.keep.verify import verify as check

    with settings.open() as log, progress("checking") as tell:
        report = check(log.reader(), progress=tell)
        waiting = log.waiting()
    checked = f"{count(report.objects, 'object')}, {size(report.size_bytes)}"
    found = count(len(report.damage), "damage", "damages") if report.damage else "no damage"
    line = f"checked {count(report.events, 'event')} in {checked}: {found}"
    lines = [f"maybe not in the store yet: what {lane} has in its spool here" for lane in waiting]
    if waiting:
        lines.append(
            "A writer that lives ships it; of a dead one `eventlog sync` does, and of another "
            "machine's `eventlog sync --adopt`."
        )
    answer = {**vars(report), "unshipped": waiting}
    _answer(settings, answer, line, *_damage_lines(report.damage), *lines)
    if report.damage:
        ctx.exit(1)


@click.command()
@click.argument("src")
@click.argument("dst")
@common
@click.pass_context
def copy(ctx: click.Context, settings: Settings, src: str, dst: str) -> None:
    """Copy the log SRC into DST, which may be a log already: then the two are merged.

    Any store to any other. Copying again brings only what is new.
    """
    from eventlog.backend import open_backend
    from eventlog.log.keep.copy import copy as bring

    destination = open_backend(dst)
    _refuse_copy(settings, destination, dst)
    with Settings(src).open() as log, progress("copying") as tell:
        waiting = _unshipped(log)
        report = bring(log.reader(), destination, progress=tell)
    brought = ", ".join(
        (count(report.events, "event"), count(report.claims, "claim"), count(report.blobs, "blob"))
    )
    lines = [f"copied {brought} to {dst}"]
    lines += [f"forked: {fork.key}: {fork.what}. {fork.remedy}" for fork in report.forks]
    lines += [
        f"not copied: what waits in a spool of {src}: {lane}: {why}"
        for lane, why in waiting.items()
    ]
    answer = {**vars(report), "unshipped": waiting}
    _answer(settings, answer, *lines, *_damage_lines(report.damage))
    if waiting or not report.complete:
        ctx.exit(1)


def _refuse_copy(settings: Settings, destination: Backend, dst: str) -> None:
    ctx = click.get_current_context()
    if settings.url is not None:
        raise click.UsageError("copy takes no --log: SRC and DST say which logs.", ctx)
    if destination.volatile:
        what = f"{dst} is gone when this process ends: name a place that lasts."
        raise click.UsageError(what, ctx)


def _unshipped(log: Log) -> dict[str, str]:
    """Ship what dead writers left of the log here; the lanes that cannot be, and why."""
    report = log.sync()
    why = f"it is another machine's; `eventlog sync --adopt --log {log.url}` takes it"
    return {**dict.fromkeys(report.foreign, why), **report.failed}


@click.command()
@common
@click.pass_context
def demo(ctx: click.Context, settings: Settings) -> None:
    """Train a small model a few times and see its log."""
    from eventlog.demo import run_demo

    with progress("training") as tell:
        report = run_demo(settings.url, progress=tell)
    if settings.json:
        click.echo(as_json(report))
    else:
        _print_demo(report)
    if report.missing:
        ctx.exit(1)


def _print_demo(report: Report) -> None:
    from eventlog.demo import ACCURACY

    click.echo("What the log holds:")
    types = [(name, f"{number:,}") for name, number in report.types.items()]
    print_table(("type", "events"), types)
    click.echo(f"\nThis demo's runs by their last {ACCURACY}:")
    runs = [[_cell(value) for value in run.values()] for run in report.leaderboard]
    if runs:
        print_table(list(report.leaderboard[0]), runs)
    option = report.option
    for line in (
        f"\nIt lies in {report.url} ({size(report.size_bytes)}). Try next:",
        f"  eventlog events{option} --type run.ended",
        f"  eventlog tail{option}",
        f"  eventlog compact{option} && eventlog verify{option}",
        *(f"MISSING: {what}" for what in report.missing),
    ):
        click.echo(line)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _answer(settings: Settings, answer: Any, *lines: str) -> None:
    """The answer as one JSON document, or these lines."""
    if settings.json:
        click.echo(as_json(answer))
        return
    for line in lines:
        click.echo("\n".join(plain(part) for part in line.split("\n")))


def _damage_lines(found: Iterable[Damage]) -> list[str]:
    lines = {f"damaged: {damage.key}: {damage.what}": damage.remedy for damage in found}
    return [*lines, *map(in_options, dict.fromkeys(lines.values()))]


COMMANDS = (init, sync, compact, gc, verify, copy, demo)
