"""``python -m tests.benchmarks write [--peers] [--quick] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import product, table
from tests.benchmarks.measure import Report, Trouble, measure, tell
from tests.benchmarks.product import PEERS, ChildFailed, Product
from tests.benchmarks.workload import FLOORS, WRITE, Workload

QUICK = 0.05


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table; 1 where eventlog failed a workload or lost a point."""
    options = _options(arguments)
    before = table.load()
    chosen = [w for w in WRITE if not options.only or w.name in options.only]
    peers, report = _peers(options)
    with tempfile.TemporaryDirectory(prefix="eventlog-benchmark-", dir=options.dir) as name:
        folder = Path(name)
        setting = {
            **table.machine(),
            "file system": table.file_system(folder),
            "load before": before,
        }
        products = [product.eventlog(), *peers]
        measured = _measure(chosen, products, options, folder)
        floors = _measure([FLOORS], [product.floors()], options, folder)
    report.rows, report.failures = measured.rows, measured.failures + floors.failures
    report.skipped += measured.skipped
    setting["load after"] = table.load()
    versions = {p.name: p.version for p in products}
    print(_text(report, floors, setting, versions, options))
    if options.json:
        options.json.write_text(json.dumps(_as_json(report, floors, setting, versions), indent=1))
    return int(_broken(report))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("suite", choices=["write"])
    parser.add_argument("--peers", action="store_true", help="measure other trackers too")
    parser.add_argument("--peers-dir", type=Path, help="where their environments lie")
    parser.add_argument("--quick", action="store_true", help="small and once: under a minute")
    parser.add_argument("--repeat", type=int, help="runs of each (default 3, quick 1)")
    parser.add_argument("--only", nargs="+", choices=[w.name for w in WRITE], metavar="WORKLOAD")
    parser.add_argument("--json", type=Path, help="write every sample to this file too")
    parser.add_argument("--dir", type=Path, help="measure on this file system (default: TMPDIR)")
    options = parser.parse_args(arguments)
    options.repeat = options.repeat or (1 if options.quick else 3)
    options.scale = QUICK if options.quick else 1.0
    return options


def _measure(
    workloads: Sequence[Workload],
    products: Sequence[Product],
    options: argparse.Namespace,
    folder: Path,
) -> Report:
    return measure(
        workloads, products, scale=options.scale, repeat=options.repeat, folder=folder, tell=tell
    )


def _peers(options: argparse.Namespace) -> tuple[list[Product], Report]:
    report = Report()
    if not options.peers:
        return [], report
    import platformdirs

    cache = Path(platformdirs.user_cache_dir("eventlog")) / "benchmark-peers"
    found = []
    for name in PEERS:
        try:
            found.append(product.peer(name, options.peers_dir or cache))
        except ChildFailed as error:
            report.skipped.append(Trouble("every", name, str(error)))
    return found, report


def _text(
    report: Report,
    floors: Report,
    setting: dict[str, str],
    versions: dict[str, str],
    options: argparse.Namespace,
) -> str:
    peers = [name for name in versions if name != table.OURS]
    lines = [
        table.markdown(report.rows, peers, judged=options.scale == 1),
        "",
        *(
            f"- floor: {row.measure.title}: {table.as_number(row.median('floor'))} "
            f"{row.measure.unit}"
            for row in floors.rows
        ),
        "",
        f"Medians of {options.repeat}, products in turn"
        + ("" if options.scale == 1 else f", sizes × {options.scale} or less: no verdicts")
        + f". {table.described(setting)}.",
        f"Versions: {table.described(versions)}.",
        *(f"Skipped: {trouble}" for trouble in report.skipped),
        *(f"Failed: {trouble}" for trouble in report.failures),
    ]
    return "\n".join(lines)


def _as_json(
    report: Report, floors: Report, setting: dict[str, str], versions: dict[str, str]
) -> dict[str, object]:
    return {
        "machine": setting,
        "versions": versions,
        "rows": [
            {
                "workload": row.workload,
                "measure": row.measure.key,
                "title": row.measure.title,
                "unit": row.measure.unit,
                "better": row.measure.better,
                "reach": row.measure.reach,
                "samples": row.samples,
            }
            for row in (*report.rows, *floors.rows)
        ],
        "skipped": [trouble._asdict() for trouble in report.skipped],
        "failures": [trouble._asdict() for trouble in report.failures],
    }


def _broken(report: Report) -> bool:
    losses = [row for row in report.rows if row.measure.key in ("lost", "doubled", "missing")]
    failed = any(trouble.product == table.OURS for trouble in report.failures)
    return failed or any(max(row.samples.get(table.OURS, [0])) > 0 for row in losses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
