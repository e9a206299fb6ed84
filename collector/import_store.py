"""Imports into the stores: only what is not yet there is written, so that importing a file again changes nothing.

The 15-min slots that new values touch are marked dirty before they are written, so that being killed costs a recomputation
at most, and again behind the write, since analysis may have computed them without these values meanwhile.
A value that differs from the one stored is not written on any store: the stored reading is immutable. A cell that is empty
or cannot be read is not written either: a later file may fill it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from collector.import_mapping import ImportMapping, parse_mapping
from collector.importer import ImportPlan, parse_table
from collector.late import Owners, late_slots
from collector.screen import ScreenRules, screen
from plant.errors import InputError
from plant.frame import FrameBlock
from plant.ports import Ledger, SeriesStore, Written
from plant.quantities import QUANTITIES, Kind
from plant.series import Series, Span
from plant.site import Site

FILE_MAX_BYTES = 512 * 1024 * 1024
BLOCKS_AT_ONCE = 50
DAY_NS = 86_400_000_000_000
NS_PER_S = 1_000_000_000
ALL_SETTLED_NS = 2**62  # how far analysis is may change while an import lasts: every slot is marked

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """What the file held and what became of its values (not rows)."""

    plan: ImportPlan
    written: Written


async def import_file(
    table: Path, mapping_file: Path, site: Site, *, store: SeriesStore, ledger: Ledger, now_ns: int
) -> tuple[Imported, ImportMapping]:
    """Read a table by a mapping and store it. Raises ConfigError (mapping), InputError (table), StoreError."""
    plan, mapping = await read_plan(table, mapping_file, site)
    return Imported(plan, await write_plan(plan, site, store=store, ledger=ledger, now_ns=now_ns)), mapping


async def read_plan(table: Path, mapping_file: Path, site: Site) -> tuple[ImportPlan, ImportMapping]:
    """What a table holds by a mapping. Raises ConfigError (mapping), InputError (table)."""
    mapping = parse_mapping(await asyncio.to_thread(_text, mapping_file, "utf-8-sig"), str(mapping_file), site)
    text = await asyncio.to_thread(_text, table, mapping.file.encoding)
    return await asyncio.to_thread(parse_table, text, mapping, site.id), mapping


async def write_plan(plan: ImportPlan, site: Site, *, store: SeriesStore, ledger: Ledger, now_ns: int) -> Written:
    """Screen and store a plan. Raises InputError, having written nothing, where the store would not keep the values."""
    return await write_blocks(plan.blocks, plan.interval_s, site, store=store, ledger=ledger, now_ns=now_ns)


async def write_blocks(
    blocks: Sequence[FrameBlock], interval_s: int, site: Site, *, store: SeriesStore, ledger: Ledger, now_ns: int
) -> Written:
    """Screen and store blocks of one meter each, as a plan has them; a Frame stands for ``interval_s``. Raises as write_plan."""
    refuse_expired(blocks, site, now_ns)
    owners, interval_ns = Owners.of(site), interval_s * NS_PER_S
    total = Written(0, 0, 0)
    for batch in _batches(blocks):
        screened = [screen(block, ScreenRules.of_quantities(block.quantities)) for block in batch]
        fresh, known = await _not_yet_stored(screened, store)
        total = _sum(total, known)
        if fresh:
            slots_ns = late_slots(fresh, owners, ALL_SETTLED_NS, now_ns, interval_ns=interval_ns)
            await ledger.mark_dirty_many(site.id, slots_ns)
            total = _sum(total, await store.write(fresh))
            await ledger.mark_dirty_many(site.id, slots_ns)
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
    except UnicodeError as error:
        where = f"byte {error.start} is not {encoding}" if isinstance(error, UnicodeDecodeError) else f"{encoding}: {error}"
        raise InputError(
            f"{path}: {where}; set file.encoding of the mapping (gb18030 for most Chinese Windows programs)"
        ) from error


def refuse_expired(blocks: Sequence[FrameBlock], site: Site, now_ns: int) -> None:
    """Raises InputError where a block begins before what the store keeps."""
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
    """The values that the store has not, and a count of those it has (the same or others)."""
    (meter,) = blocks[0].meters
    span = Span(int(blocks[0].t_ns[0]), int(blocks[-1].t_ns[-1]) + 1)
    pairs = [(meter, quantity) for quantity in blocks[0].quantities]
    stored = await store.read_many(pairs, span)
    fresh: list[FrameBlock] = []
    known = Written(0, 0, 0)
    for block in blocks:
        there, same = (np.column_stack(masks) for masks in zip(*_compared(block, [stored[p] for p in pairs]), strict=True))
        there, same = there & np.isfinite(block.value), same & np.isfinite(block.value)
        known = _sum(known, Written(0, int(np.count_nonzero(same)), int(np.count_nonzero(there & ~same))))
        fresh += _parts(block, np.isfinite(block.value) & ~there)
    return fresh, known


def _compared(block: FrameBlock, stored: Sequence[Series]) -> Iterator[tuple[Mask, Mask]]:
    """By column, masks bool[n]: the instant is stored; stored with the same value."""
    for column, series in enumerate(stored):
        if not len(series):
            nothing = np.zeros(len(block), bool)
            yield nothing, nothing
            continue
        at = np.minimum(np.searchsorted(series.t_ns, block.t_ns), len(series) - 1)
        found = series.t_ns[at] == block.t_ns
        yield found, found & (block.value[:, column] == series.value[at])


def _parts(block: FrameBlock, wanted: Mask) -> Iterator[FrameBlock]:
    """The values of ``wanted`` bool[n, k], as one block for each set of quantities that some Frames have in common."""
    for pattern in np.unique(wanted, axis=0):
        if pattern.any():
            rows, columns = np.flatnonzero((wanted == pattern).all(axis=1)), np.flatnonzero(pattern)
            part = block.take(rows)
            yield replace(
                part,
                quantities=tuple(block.quantities[column] for column in columns),
                value=part.value[:, columns],
                quality=part.quality[:, columns],
            )


def _sum(*parts: Written) -> Written:
    return Written(sum(p.stored for p in parts), sum(p.repeated for p in parts), sum(p.conflicting for p in parts))
