"""Imports into the stores: only what is not yet there is written, so that importing a file again changes nothing.

Before anything is written, the 15-min slots it touches are marked dirty; being killed in between costs a recomputation.
A value that differs from the one stored is not written on any store: the stored reading is immutable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from collector.import_mapping import ImportMapping, parse_mapping
from collector.importer import ImportPlan, parse_table
from collector.screen import ScreenRules, screen
from plant import nodes
from plant.errors import InputError
from plant.frame import FrameBlock
from plant.ports import Ledger, SeriesStore, Written
from plant.quantities import QUANTITIES, Kind
from plant.series import QUARTER_NS, Series, Span
from plant.site import Site

FILE_MAX_BYTES = 512 * 1024 * 1024
BLOCKS_AT_ONCE = 50
SLOTS_AT_ONCE = 10_000
DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """What the file held and what became of its values (not rows)."""

    plan: ImportPlan
    written: Written


async def import_file(
    table: Path, mapping_file: Path, site: Site, *, store: SeriesStore, ledger: Ledger, now_ns: int
) -> tuple[Imported, ImportMapping]:
    """Read a table by a mapping and store it. Raises ConfigError (mapping), InputError (table), StoreError."""
    mapping = parse_mapping(await asyncio.to_thread(_text, mapping_file, "utf-8-sig"), str(mapping_file), site)
    text = await asyncio.to_thread(_text, table, mapping.file.encoding)
    plan = await asyncio.to_thread(parse_table, text, mapping, site.id)
    return Imported(plan, await write_plan(plan, site, store=store, ledger=ledger, now_ns=now_ns)), mapping


async def write_plan(plan: ImportPlan, site: Site, *, store: SeriesStore, ledger: Ledger, now_ns: int) -> Written:
    """Screen and store a plan. Raises InputError, having written nothing, where the store would not keep the values."""
    _refuse_expired(plan.blocks, site, now_ns)
    total = Written(0, 0, 0)
    for blocks in _batches(plan.blocks):
        screened = [screen(block, ScreenRules.none(len(block.quantities))) for block in blocks]
        fresh, known = await _not_yet_stored(screened, store)
        if fresh:
            await _mark_dirty(fresh, site, ledger)
        written = await store.write(fresh) if fresh else Written(0, 0, 0)
        total = _sum(total, known, written)
    return total


def _text(path: Path, encoding: str) -> str:
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            raise InputError(
                f"{path} is larger than {FILE_MAX_BYTES >> 20} MiB; split it and import the parts one after the other"
            )
        return path.read_text(encoding)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; check the name and the right to read it") from error
    except UnicodeDecodeError as error:
        where = f"byte {error.start} is not {encoding}"
        raise InputError(
            f"{path}: {where}; set file.encoding of the mapping (gb18030 for most Chinese Windows programs)"
        ) from error


def _refuse_expired(blocks: Sequence[FrameBlock], site: Site, now_ns: int) -> None:
    for block in blocks:
        age_days = (now_ns - int(block.t_ns[0])) / DAY_NS
        for quantity in block.quantities:
            if QUANTITIES[quantity].kind is Kind.INTERVAL:
                kept_days, advice = site.store.quarter_days, "raise store.quarter_days in the site file"
            else:
                kept_days, advice = (
                    site.store.raw_days,
                    'raise store.raw_days in the site file; a power may have keep = "interval"',
                )
            if age_days > kept_days:
                found = f"the file starts {age_days:.0f} days ago and the store keeps {quantity} for {kept_days} days"
                raise InputError(f"{', '.join(block.meters)}: {found}; {advice}")


def _batches(blocks: Sequence[FrameBlock]) -> Iterator[list[FrameBlock]]:
    for _, group in groupby(blocks, key=lambda block: (block.meters, block.quantities)):
        same = list(group)
        yield from (same[at : at + BLOCKS_AT_ONCE] for at in range(0, len(same), BLOCKS_AT_ONCE))


async def _not_yet_stored(blocks: Sequence[FrameBlock], store: SeriesStore) -> tuple[list[FrameBlock], Written]:
    """The Frames of which the store has no quantity, and a count of the values it has (the same or others)."""
    (meter,) = blocks[0].meters
    span = Span(int(blocks[0].t_ns[0]), int(blocks[-1].t_ns[-1]) + 1)
    pairs = [(meter, quantity) for quantity in blocks[0].quantities]
    stored = await store.read_many(pairs, span)
    fresh: list[FrameBlock] = []
    known = Written(0, 0, 0)
    for block in blocks:
        there = np.zeros(len(block), bool)
        for column, pair in enumerate(pairs):
            found, same = _compare(block, column, stored[pair])
            there |= found
            known = _sum(known, Written(0, int(np.count_nonzero(same)), int(np.count_nonzero(found & ~same))))
        if not there.all():
            fresh.append(block.take(~there))
    return fresh, known


def _compare(block: FrameBlock, column: int, stored: Series) -> tuple[np.ndarray, np.ndarray]:
    """Masks bool[n]: the instant is stored; stored with the same value (a missing one equals a missing one)."""
    if not len(stored):
        nothing = np.zeros(len(block), bool)
        return nothing, nothing
    at = np.minimum(np.searchsorted(stored.t_ns, block.t_ns), len(stored) - 1)
    found = stored.t_ns[at] == block.t_ns
    value, old = block.value[:, column], stored.value[at]
    return found, found & ((value == old) | (np.isnan(value) & np.isnan(old)))


async def _mark_dirty(blocks: Sequence[FrameBlock], site: Site, ledger: Ledger) -> None:
    (meter,) = blocks[0].meters
    slots = np.unique(np.concatenate([block.t_ns // QUARTER_NS * QUARTER_NS for block in blocks])).tolist()
    for point in site.points.values():
        if any(mounting.meter == meter for mounting in point.mountings):
            for at in range(0, len(slots), SLOTS_AT_ONCE):
                await ledger.mark_dirty(site.id, nodes.point(point.id), slots[at : at + SLOTS_AT_ONCE])


def _sum(*parts: Written) -> Written:
    return Written(sum(p.stored for p in parts), sum(p.repeated for p in parts), sum(p.conflicting for p in parts))
