"""``eventlog events`` and ``eventlog tail``: the raw events, for eyes and for pipes."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli.errors import warn
from eventlog.cli.progress import progress
from eventlog.cli.settings import Settings, common
from eventlog.cli.text import as_json, dim, fit, is_narrow, plain
from eventlog.event import BLOB_MARK, COLUMNS
from eventlog.log.manifest import Position

if TYPE_CHECKING:
    import pyarrow as pa

    from eventlog.backend import Backend
    from eventlog.log.read.snapshot import OnDamage, Snapshot

if TYPE_CHECKING:
    _ParamType = click.ParamType[Position]
else:  # generic only since click 8.4
    _ParamType = click.ParamType

LOCAL_IDLE_S, REMOTE_IDLE_S = 2.0, 30.0  # between two looks while nothing comes
SORT_ROWS = 500_000  # so many events are held to be sorted; more are shown as they lie
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class PositionText(_ParamType):
    """A position as JSON, or the name of a file that holds it."""

    name = "position"

    def convert(self, value: Any, param: Any, ctx: Any) -> Position:
        if isinstance(value, Position):
            return value
        text = str(value)
        if not text.lstrip().startswith("{"):
            try:
                text = Path(text).read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                self.fail(f"{text!r} is neither a position nor a file with one ({error})")
        try:
            found = json.loads(text)
            inner = found.get("position", found)
            return Position.from_json(json.dumps(inner))
        except (ValueError, AttributeError) as error:
            self.fail(f"{text[:80]!r} is no position ({error})")


_after = click.option(
    "--after",
    type=PositionText(),
    metavar="POSITION",
    help="Only what came after: the last line of an earlier --json, or a file with it.",
)


@click.command()
@click.option("--type", "types", multiple=True, help="Only this type; may be repeated.")
@click.option("--stream", "streams", multiple=True, help="Only this stream; may be repeated.")
@click.option("--key", "keys", multiple=True, help="Only this key; may be repeated.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the newest N.")
@_after
@click.option("--skip-damage", is_flag=True, help="Leave damaged parts out and show the rest.")
@common
@click.pass_context
def events(
    ctx: click.Context,
    settings: Settings,
    types: tuple[str, ...],
    streams: tuple[str, ...],
    keys: tuple[str, ...],
    limit: int | None,
    after: Position | None,
    skip_damage: bool,
) -> None:
    """Show events, oldest first.

    More than half a million are shown as they lie in the log, unless --limit is given. With --json
    each is a line, and the last line is the position reached, for --after.
    """
    with settings.open() as log, progress("reading events") as tell:
        log.sync()  # what a dead writer left here belongs to the log
        reader = log.reader()
        snapshot = reader.snapshot(damage="skip" if skip_damage else "raise")
        found = snapshot.tables(
            after, types=types or None, streams=streams or None, keys=keys or None
        )
        shown = _show(_in_order(_told(found, tell), limit), log.backend, settings.json)
    if settings.json:
        click.echo(f'{{"position":{snapshot.position.to_json()}}}')
    _say_left_out(snapshot, settings.json)
    if not shown:
        if not settings.json:
            click.echo("no events match" if types or streams or keys else "no events", err=True)
        ctx.exit(1)


@click.command()
@click.option(
    "-n", "lines", type=click.IntRange(0), default=10, show_default=True, help="Begin with so many."
)
@_after
@click.option("--skip-damage", is_flag=True, help="Leave damaged parts out and go on.")
@common
def tail(settings: Settings, lines: int, after: Position | None, skip_damage: bool) -> None:
    """Show events as they come, until Ctrl-C."""
    from eventlog.log.read.tail import tail as follow

    damage: OnDamage = "skip" if skip_damage else "raise"
    with settings.open() as log:
        log.sync()  # what a dead writer left here belongs to the log
        reader = log.reader()
    if after is None:
        snapshot = reader.snapshot(damage)
        after = snapshot.position
        if lines:
            tables = snapshot.tables(_before(snapshot))
            _show(_in_order(tables, lines), reader.backend, settings.json)
        _say_left_out(snapshot, settings.json)
    idle_s = REMOTE_IDLE_S if reader.backend.local_root is None else LOCAL_IDLE_S
    try:
        for table, position in follow(reader, after, idle_s=idle_s, damage=damage):
            _show([table], reader.backend, settings.json)
            if settings.json:
                click.echo(f'{{"position":{position.to_json()}}}')
    except KeyboardInterrupt:  # how one ends it
        pass


def _say_left_out(snapshot: Snapshot, as_json: bool) -> None:
    for damage in (*snapshot.damage, *snapshot.gaps):
        warn(f"left out: {damage.key}: {damage.what}", as_json)


def _before(snapshot: Snapshot) -> Position | None:
    """Where to look for the newest events: in a large log, only among what is not compacted."""
    if snapshot.count() <= SORT_ROWS:
        return None
    marks = {lane: mark.seq for lane, mark in snapshot.manifest.lanes.items()}
    return Position(snapshot.manifest.lanes_seen, marks, snapshot.manifest.version)


def _told(tables: Iterator[pa.Table], tell: Any) -> Iterator[pa.Table]:
    done = 0
    for table in tables:
        done += len(table)
        tell("reading events", done, 0)
        yield table


def _in_order(tables: Iterator[pa.Table], limit: int | None) -> Iterator[pa.Table]:
    """The newest ``limit`` events by time; without a limit all, by time if memory allows."""
    import pyarrow as pa

    held: list[pa.Table] = []
    for table in tables:
        held.append(table.select(list(COLUMNS)))
        if sum(map(len, held)) <= max(SORT_ROWS, limit or 0):
            continue
        if limit is None:
            yield from held
            yield from (table.select(list(COLUMNS)) for table in tables)
            return
        held = [_sorted(pa.concat_tables(held))[-limit:]]
    if held:
        whole = _sorted(pa.concat_tables(held))
        yield whole[-limit:] if limit else whole


def _sorted(table: pa.Table) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = pa.table([table["time"], table["lane"].cast(pa.string()), table["seq"]], ["t", "l", "s"])
    return table.take(pc.sort_indices(keys, [(name, "ascending") for name in "tls"]))


def _show(tables: Iterable[pa.Table], backend: Backend, json_lines: bool) -> int:
    """Print events; how many there were."""
    shown = 0
    for table in tables:
        for batch in table.to_batches(max_chunksize=10_000):
            rows = _rows(batch, backend)
            lines = map(as_json, rows) if json_lines else map(_line, rows)
            click.echo("\n".join(lines))
            shown += len(batch)
    return shown


def _rows(batch: pa.RecordBatch, backend: Backend) -> Iterator[dict[str, Any]]:
    import pyarrow as pa

    columns = [batch[name] for name in COLUMNS]
    columns[COLUMNS.index("time")] = batch["time"].cast(pa.int64())  # may be beyond datetime's
    for values in zip(*(column.to_pylist() for column in columns), strict=True):
        row = dict(zip(COLUMNS, values, strict=True))
        row["time"] = _time(row["time"])
        row["data"] = _data(row["data"], backend)
        yield row


def _time(time_us: int) -> str:
    """ISO 8601 in UTC; bare microseconds for a year that the calendar has not."""
    try:
        at = _EPOCH + dt.timedelta(microseconds=time_us)
    except OverflowError:
        return f"{time_us}us"
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _data(text: str | None, backend: Backend) -> Any:
    from eventlog.log import blob

    if text is not None and text.startswith(BLOB_MARK):
        text = blob.resolve(backend, text)
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


def _line(row: dict[str, Any]) -> str:
    if is_narrow():
        return _stacked(row)
    words = [row["type"], row["stream"]]
    words += [str(row[name]) for name in ("key", "step", "value") if row[name] is not None]
    if row["data"] is not None:
        words.append(as_json(row["data"]))
    line = fit(f"{row['time']}  " + "  ".join(map(plain, words)))
    at = len(row["time"])
    return dim(line[:at]) + line[at:]


def _stacked(row: dict[str, Any]) -> str:
    """An event over several lines, of which none is cut."""
    point = [str(row[name]) for name in ("key", "step", "value") if row[name] is not None]
    lines = [f"{row['type']}  {row['stream']}", "  ".join(point)]
    if row["data"] is not None:
        lines.append(as_json(row["data"]))
    return "\n".join([dim(row["time"]), *(f"  {plain(line)}" for line in lines if line)])


COMMANDS = (events, tail)
