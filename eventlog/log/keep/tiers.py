"""Tiers: eight small data files of one tier become files of the next, so that there are never many.

A file that is full is final, and is not merged again; so each row is rewritten once per tier at
most. Pieces bound the memory.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from eventlog.backend import Backend
from eventlog.errors import Damage
from eventlog.log import parquet
from eventlog.log.manifest import DataFile
from eventlog.log.read import order

PIECE_BYTES = 256 * 1024 * 1024  # in memory; on disk a final file is smaller
FAN_IN = 8
FULL_SHARE = 0.75  # a file this full is final


def small(
    files: Iterable[DataFile], target_rows: int, spared: Container[str] = ()
) -> list[DataFile]:
    """Files to be merged next, all of one kind and tier; none where nothing is worth it.

    Args:
        spared: keys of files that are left as they are.
    """
    tiers: dict[tuple[str, int], list[DataFile]] = {}
    for file in files:
        full = file.rows >= FULL_SHARE * target_rows or file.size_bytes >= FULL_SHARE * PIECE_BYTES
        if not full and file.key not in spared:
            tiers.setdefault((file.kind, file.tier), []).append(file)
    for _, chosen in sorted(tiers.items()):
        if len(chosen) >= FAN_IN:
            return sorted(chosen, key=lambda file: file.key)[:FAN_IN]
    return []


def merge_small(
    backend: Backend,
    files: list[DataFile],
    version: int,
    target_rows: int,
    damage: list[Damage],
) -> list[DataFile]:
    """The files after all merging that is worth it; new ones are made for manifest ``version``.

    What cannot be read stays as it is, and is added to ``damage``.
    """
    spared: set[str] = set()
    while chosen := small(files, target_rows, spared):
        keys = {file.key for file in chosen}
        try:
            merged = _merge(backend, chosen, version, target_rows)
        except Damage as found:
            damage.append(found)
            # Which of them it is, the damage says; should it not, none of them is tried again.
            spared |= {key for key in keys if found.key in (key, parquet.index_key(key))} or keys
            continue
        files = [file for file in files if file.key not in keys] + merged
    return files


def _merge(
    backend: Backend, chosen: list[DataFile], version: int, target_rows: int
) -> list[DataFile]:
    kind, tier = chosen[0].kind, chosen[0].tier + 1
    inputs = []
    for file in chosen:
        opened = parquet.OpenFile(backend, file)
        inputs.append(order.SortedFile([group.rows for group in opened.groups], opened.read))
    rows = order.merge(inputs, kind, target_rows)
    return [
        parquet.write(backend, piece, kind=kind, version=version, tier=tier)
        for piece in order.in_pieces(rows, target_rows, PIECE_BYTES)
    ]
