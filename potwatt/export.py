"""Any span of what is stored as one file: readings, interval amounts, or the figures computed from them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from analytics.derive import BANDED_FIELDS, PLAIN_FIELDS
from analytics.gauges import gauge_nodes
from analytics.plant_balance import flow_nodes
from analytics.topology import components
from plant import nodes
from plant.errors import InputError
from plant.frame import NS_PER_MS
from plant.indicators import INDICATORS
from plant.ports import Clock, SeriesStore
from plant.quantities import QUANTITIES, Kind
from plant.series import Span
from plant.site import Site
from potwatt.load import Loaded
from storage.table_file import Format, TableFile, table_file

What = Literal["raw", "intervals", "1m", "15m"]
HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
WINDOW_NS = {"raw": 6 * HOUR_NS, "intervals": 31 * 24 * HOUR_NS, "1m": 24 * HOUR_NS, "15m": 31 * 24 * HOUR_NS}
PAIRS_AT_ONCE = 20


class Stored(Protocol):
    """A store, and the clock by which it forgets."""

    @property
    def store(self) -> SeriesStore:
        """Where readings and figures are."""
        ...

    @property
    def clock(self) -> Clock:
        """What time it is."""
        ...


async def export(loaded: Loaded, at: Stored, what: What, span: Span, path: Path, kind: Format) -> int:
    """Write what is stored of a span, [start, end), to a new file; the number of rows. Broken off, it leaves none. Raises
    InputError, StoreError."""
    if await asyncio.to_thread(path.exists):
        raise InputError(f"{path} exists; name a file that does not")
    try:
        return await _write(loaded, at.store, what, await _held(loaded.site, at, what, span), path, kind)
    except BaseException:
        await asyncio.to_thread(path.unlink, missing_ok=True)
        raise


async def _held(site: Site, at: Stored, what: What, span: Span) -> Span:
    """The part of a span that may hold anything: a program may be asked for all time."""
    readings = await at.store.extent()
    if what in ("raw", "intervals"):
        first_ns, end_ns = (readings.start_ns, readings.end_ns) if readings else (span.start_ns, span.start_ns)
    else:  # figures outlive the readings that they were computed from
        now_ns, days = at.clock.now_ns(), site.store.minute_days if what == "1m" else site.store.quarter_days
        first_ns, end_ns = now_ns - (days + 1) * DAY_NS, now_ns + DAY_NS
        if readings:
            first_ns, end_ns = min(first_ns, readings.start_ns - DAY_NS), max(end_ns, readings.end_ns + DAY_NS)
    start_ns = max(span.start_ns, first_ns)
    return Span(start_ns, max(start_ns, min(span.end_ns, end_ns)))


async def _write(loaded: Loaded, store: SeriesStore, what: What, span: Span, path: Path, kind: Format) -> int:
    scratch = path.with_name(path.name + ".scratch")
    try:
        if what in ("raw", "intervals"):
            async with table_file(scratch, ("meter", "quantity", "quality")) as table:
                await _readings(loaded, store, table, what, span)
                return await table.finish(path, kind)
        async with table_file(scratch, ("node", "field", "version")) as table:
            await _figures(loaded.site, store, table, what, span)
            return await table.finish(path, kind)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; check the folder and its rights") from error


async def _readings(loaded: Loaded, store: SeriesStore, table: TableFile, what: str, span: Span) -> None:
    pairs = _pairs(loaded, "intervals" if what == "intervals" else "raw")
    for number, (meter, quantity) in enumerate(pairs):
        await table.name(number, meter, quantity, QUANTITIES[quantity].unit)
    for window in _windows(span, WINDOW_NS[what]):
        for first in range(0, len(pairs), PAIRS_AT_ONCE):
            some = pairs[first : first + PAIRS_AT_ONCE]
            found = await store.read_many(some, window)
            for number, pair in enumerate(some, first):
                series = found[pair]
                if len(series):
                    await table.add(number, series.t_ns // NS_PER_MS, series.value, series.quality.astype(np.int64))


def _pairs(loaded: Loaded, what: Literal["raw", "intervals"]) -> list[tuple[str, str]]:
    """Meters of the site, those of earlier mountings too, with what their profiles deliver and what imports may bring."""
    site = loaded.site
    amounts = [name for name, q in QUANTITIES.items() if q.kind is Kind.INTERVAL]
    pairs: dict[tuple[str, str], None] = {}
    for meter in site.meters.values():
        profile = loaded.profiles.get(meter.profile)
        known = (*(profile.quantities if profile else ()), *amounts) if profile else tuple(QUANTITIES)
        for name in known:
            if (QUANTITIES[name].kind is Kind.INTERVAL) == (what == "intervals"):
                pairs[meter.id, name] = None
    return list(pairs)


async def _figures(site: Site, store: SeriesStore, table: TableFile, resolution: str, span: Span) -> None:
    names = [nodes.PLANT, *map(nodes.line, site.potlines), *map(nodes.bus, site.buses), *map(nodes.branch, site.branches)]
    names += [*map(nodes.point, site.points), *flow_nodes(components(site)), *gauge_nodes(site)]
    fields = list(dict.fromkeys([*(f"{n}{e}" for n in BANDED_FIELDS for e in ("", "_low", "_high")), *PLAIN_FIELDS]))
    numbers: dict[tuple[str, str], int] = {}
    for window in _windows(span, WINDOW_NS[resolution]):
        for first in range(0, len(names), PAIRS_AT_ONCE):
            block = await store.read_derived(resolution, names[first : first + PAIRS_AT_ONCE], fields, window)
            for node in range(len(block.nodes)):
                mine = block.node_index == node
                for column, name in enumerate(block.fields):
                    rows = np.flatnonzero(mine & np.isfinite(block.value[:, column]))
                    if not len(rows):
                        continue
                    key = block.nodes[node], name
                    if key not in numbers:
                        numbers[key] = len(numbers)
                        await table.name(numbers[key], *key, _unit(name))
                    t_ms = block.start_ns[rows] // NS_PER_MS
                    await table.add(numbers[key], t_ms, block.value[rows, column], block.version[rows])


def _unit(field: str) -> str:
    name = field.removesuffix("_low").removesuffix("_high")
    known = QUANTITIES.get(name) or INDICATORS.get(name)
    return known.unit if known else ""


def _windows(span: Span, longest_ns: int) -> Sequence[Span]:
    starts = range(span.start_ns, span.end_ns, longest_ns)
    return [Span(start, min(start + longest_ns, span.end_ns)) for start in starts]
