"""The verbs that look after a log: init, sync, compact, gc, verify, copy, demo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from eventlog.cli.progress import progress
from eventlog.cli.settings import Settings, common, reader_of
from eventlog.cli.text import as_json, count, plain, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eventlog.errors import Damage


@click.command()
@common
def init(settings: Settings) -> None:
    """Make a log, and see that the store can hold one."""
    from eventlog.errors import NotALog
    from eventlog.log.create import ensure_log
    from eventlog.log.manifest import read_format

    backend = settings.backend()
    try:
        read_format(backend)
        made = False
    except NotALog:
        made = True
    found = ensure_log(backend)
    _answer(
        settings,
        {"url": backend.url, "log_id": found.log_id, "format": found.format, "made": made},
        f"{'made a log' if made else 'there is a log'} in {backend.url}",
    )


@click.command()
@click.option("--adopt", is_flag=True, help="Also take what another machine's writers left.")
@common
@click.pass_context
def sync(ctx: click.Context, settings: Settings, adopt: bool) -> None:
    """Ship what writers that died on this machine left behind."""
    with settings.open() as log, progress("shipping"):
        report = log.sync(adopt=adopt)
    lines = [f"shipped what {count(len(report.recovered), 'dead writer')} left"]
    if report.alive:
        lines.append(f"{count(len(report.alive), 'writer')} still at work")
    if report.foreign:
        what = count(len(report.foreign), "spool")
        lines.append(f"{what} of another machine left alone: `eventlog sync --adopt` takes them")
    if report.lost_rows or report.lost_bytes:
        lost = f"{count(report.lost_rows, 'point')} and {size(report.lost_bytes)} of facts"
        lines.append(f"a power cut took {lost} that no flush had covered")
    if report.damaged_bytes:
        lines.append(f"the disk had damaged {size(report.damaged_bytes)} of facts: see the log above")
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
    with settings.open() as log, progress("compacting"):
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
    sorts = ("segments", "data", "manifests", "blobs")
    gone = ", ".join(f"{len(getattr(report, sort)):,} {sort}" for sort in sorts)
    verb = "would delete" if dry_run else "deleted"
    line = f"{verb} {gone}: {size(report.size_bytes)}"
    _answer(settings, report, line, *_damage_lines(report.damage))
    if report.damage:
        ctx.exit(1)


@click.command()
@common
@click.pass_context
def verify(ctx: click.Context, settings: Settings) -> None:
    """Read every byte of the log and name all that is damaged."""
    from eventlog.log.keep.verify import verify as check

    reader = settings.reader()
    with progress("checking") as tell:
        report = check(reader, progress=tell)
    checked = f"{count(report.objects, 'object')}, {size(report.size_bytes)}"
    found = count(len(report.damage), "damage", "damages") if report.damage else "no damage"
    line = f"checked {count(report.events, 'event')} in {checked}: {found}"
    _answer(settings, report, line, *_damage_lines(report.damage))
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

    source = reader_of(open_backend(src))
    with progress("copying") as tell:
        report = bring(source, open_backend(dst), progress=tell)
    brought = ", ".join(
        (count(report.events, "event"), count(report.claims, "claim"), count(report.blobs, "blob"))
    )
    lines = [f"copied {brought} to {dst}"]
    lines += [f"forked: {fork.key}: {fork.what}. {fork.remedy}" for fork in report.forks]
    _answer(settings, report, *lines, *_damage_lines(report.damage))
    if not report.complete:
        ctx.exit(1)


@click.command()
@common
@click.pass_context
def demo(ctx: click.Context, settings: Settings) -> None:
    """Train a small model a few times and see its log."""
    from eventlog.demo import run_demo

    with progress("training") as tell:
        report = run_demo(settings.url, progress=tell)
    _answer(settings, report, report.text())
    if report.missing:
        ctx.exit(1)


def _answer(settings: Settings, answer: Any, *lines: str) -> None:
    """The answer as one JSON document, or these lines."""
    if settings.json:
        click.echo(as_json(answer))
        return
    for line in lines:
        click.echo("\n".join(plain(part) for part in line.split("\n")))


def _damage_lines(found: Iterable[Damage]) -> list[str]:
    return [f"damaged: {damage.key}: {damage.what}. {damage.remedy}" for damage in found]


COMMANDS = (init, sync, compact, gc, verify, copy, demo)
