"""The series store in InfluxDB's v1 dialect: line protocol to ``/write``, InfluxQL from ``/query``.

Three databases: ``<name>_raw`` with the readings, ``_1m`` and ``_15m`` with derived figures, ``_15m`` with interval
quantities too. InfluxDB writes over a point in silence, so second values for one identity are neither kept aside nor
counted here (docs/decisions/0003), and it keeps no cursor: writing the same again changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from plant.errors import StoreRejected
from plant.frame import NS_PER_MS, FrameBlock
from plant.ports import SpoolCursor, Written
from plant.quantities import QUANTITIES
from plant.series import MINUTE, DerivedBlock, Series, Span
from plant.site import StoreSettings
from storage import influx_derived as derived
from storage.influx_http import InfluxHttp, RowsCut, Table
from storage.influx_posts import Order, Posts
from storage.influx_setup import databases, set_up
from storage.influxql import EVER, identifier, select, where
from storage.line_protocol import QUALITY_SUFFIX, reading_lines
from storage.readings import check_block, check_derived, is_interval, newest_of_each

Pair = tuple[str, str]
Direction = Literal["ASC", "DESC"]

NAMES_MAX = 50  # meters or nodes in one statement
ROWS_WANTED = 50_000  # of one reply; the spans asked for adapt to it
FIRST_WINDOW_NS = 6 * 3_600_000_000_000
NEAR_NS = 60_000_000_000  # how far to look first for a neighbouring reading
NARROWEST_NS = 1_000_000_000  # a server that cannot give the rows of so long in one reply is set up wrongly
DAY_NS = 86_400_000_000_000
NAMED_MAX = 3  # lines quoted in an error
ABOVE_T_MS = 43  # bits: instants in ms stay below that for 270 years


class InfluxStore:
    """SeriesStore of one plant on a server of the v1 dialect; ``secrets`` maps names of environment variables to values."""

    def __init__(self, settings: StoreSettings, plant: str, secrets: Mapping[str, str]) -> None:
        self._settings = settings
        self._plant = plant
        self._http = InfluxHttp(settings, secrets)
        self._raw, self._minute, self._quarter = (database.name for database in databases(settings))
        self._newest_ms: dict[Pair, int] = {}  # by plant and meter: nothing is stored behind it

    async def setup(self) -> None:
        """See SeriesStore.setup."""
        await set_up(self._http, self._settings, self._plant)

    async def close(self) -> None:
        """See SeriesStore.close."""
        await self._http.close()

    async def write(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None = None) -> Written:
        """See SeriesStore.write; every value counts as stored. StoreRejected comes after all good points are stored."""
        del sink_cursor  # InfluxDB commits nothing together with points
        for block in blocks:
            check_block(block)
        newest_ms = await self._newest_stored({(block.plant, meter) for block in blocks for meter in block.meters})
        async with Posts(self._http, self._raw) as readings, Posts(self._http, self._quarter) as intervals:
            for block in blocks:
                again = _may_be_stored(block, newest_ms)
                order: Order = "behind" if again.any() else "any"
                raw = [q for q in block.quantities if not is_interval(q)]
                await readings.add(reading_lines(block, "reading", raw, again), order)
                await intervals.add(
                    reading_lines(block, "interval", [q for q in block.quantities if is_interval(q)], again), order
                )
            refused = await readings.finish() + await intervals.finish()
        self._newest_ms = newest_ms
        _raise_for(refused, readings.count + intervals.count)
        return Written(sum(block.value.size for block in blocks), 0, 0)

    async def _newest_stored(self, pairs: set[Pair]) -> dict[Pair, int]:
        """The newest instant stored of each meter (plant, meter) in ms, -1 for none; the server is asked once for each."""
        newest_ms = dict(self._newest_ms)
        unknown = pairs - newest_ms.keys()
        newest_ms |= dict.fromkeys(unknown, -1)
        for plant in {plant for plant, _ in unknown}:
            for some in _chunks(sorted(meter for its_plant, meter in unknown if its_plant == plant)):
                for database, measurement in ((self._raw, "reading"), (self._quarter, "interval")):
                    every = select(["*"], measurement, where(plant, EVER, "meter", some), "meter")
                    for table in await self._http.select(database, f"{every} ORDER BY time DESC LIMIT 1"):
                        pair = plant, table.tags["meter"]
                        newest_ms[pair] = max(newest_ms[pair], int(table.rows[0][0]))
        return newest_ms

    async def cursor(self) -> SpoolCursor | None:
        """See SeriesStore.cursor: none is kept."""
        return None

    async def read(self, meter: str, quantity: str, span: Span) -> Series:
        """See SeriesStore.read."""
        return (await self.read_many([(meter, quantity)], span))[meter, quantity]

    async def read_many(self, pairs: Sequence[Pair], span: Span) -> dict[Pair, Series]:
        """See SeriesStore.read_many."""
        parts: defaultdict[Pair, list[Series]] = defaultdict(list)
        for quantities, meters in _groups(pairs):
            async for table in _windows(partial(self._readings, quantities, meters), span, FIRST_WINDOW_NS):
                for quantity, series in zip(quantities, _series_of(table), strict=True):
                    parts[table.tags["meter"], quantity].append(series)
        return {pair: _joined(parts.get(pair, [])) for pair in pairs}

    async def _readings(self, quantities: Sequence[str], meters: Sequence[str], span: Span) -> list[Table]:
        database, measurement = self._place(quantities[0])
        columns = [identifier(name) for q in quantities for name in (q, q + QUALITY_SUFFIX)]
        return await self._http.select(database, select(columns, measurement, where(self._plant, span, "meter", meters), "meter"))

    def _place(self, quantity: str) -> tuple[str, str]:
        """Database and measurement of a quantity."""
        return (self._quarter, "interval") if is_interval(quantity) else (self._raw, "reading")

    async def last_before(self, pairs: Sequence[Pair], t_ns: int, reach_s: float) -> dict[Pair, Series]:
        """See SeriesStore.last_before."""
        reaches = _reaches(reach_s)
        spans = [Span(t_ns - far, t_ns - near) for near, far in zip([0, *reaches], reaches, strict=False)]
        return await self._nearest(pairs, spans, "DESC")

    async def first_from(self, pairs: Sequence[Pair], t_ns: int, reach_s: float) -> dict[Pair, Series]:
        """See SeriesStore.first_from."""
        reaches = _reaches(reach_s)
        spans = [Span(t_ns + near, t_ns + far) for near, far in zip([0, *reaches], reaches, strict=False)]
        return await self._nearest(pairs, spans, "ASC")

    async def _nearest(self, pairs: Sequence[Pair], spans: Sequence[Span], order: Direction) -> dict[Pair, Series]:
        """The finite reading at one end of the first of ``spans`` that has any. All that is within a day is read at once
        for all pairs, which is cheap where readings are dense; beyond that the server is asked for the one instant."""
        found = {pair: Series.empty() for pair in pairs}
        for span in spans:
            missing = [pair for pair in found if not len(found[pair])]
            if not missing:
                break
            if span.end_ns - span.start_ns <= DAY_NS:
                found |= {pair: _end_of(series, order) for pair, series in (await self.read_many(missing, span)).items()}
                continue
            for (meter, quantity), at_ns in (await self._instants(missing, span, order)).items():
                one = await self.read(meter, quantity, Span(at_ns, at_ns + NS_PER_MS))
                found[meter, quantity] = _end_of(one, order)
        return found

    async def _instants(self, pairs: Sequence[Pair], span: Span, order: Direction) -> dict[Pair, int]:
        """Where the first (ASC) or last (DESC) finite reading of each pair lies, if it has one in the span; UTC ns."""
        instants: dict[Pair, int] = {}
        by_quantity: defaultdict[str, list[str]] = defaultdict(list)
        for meter, quantity in pairs:
            by_quantity[quantity].append(meter)
        for quantity, meters in by_quantity.items():
            database, measurement = self._place(quantity)
            for some in _chunks(meters):
                every = select([identifier(quantity)], measurement, where(self._plant, span, "meter", some), "meter")
                for table in await self._http.select(database, f"{every} ORDER BY time {order} LIMIT 1"):
                    instants[table.tags["meter"], quantity] = int(table.rows[0][0]) * NS_PER_MS
        return instants

    async def write_derived(self, block: DerivedBlock) -> None:
        """See SeriesStore.write_derived; how a field becomes null is told in ``storage.influx_derived``."""
        check_derived(block)
        block = newest_of_each(block)
        if not len(block):
            return
        database, stored = self._derived_database(block.resolution), []
        for nodes in _chunks(block.nodes):
            ask = partial(self._stored, block, nodes)
            stored += [table async for table in _windows(ask, derived.touched_span(block), FIRST_WINDOW_NS)]
        async with Posts(self._http, database) as posts:
            await posts.add(derived.replacing_lines(block, stored), "behind")
            _raise_for(await posts.finish(), posts.count)

    async def read_derived(self, resolution: str, nodes: Sequence[str], fields: Sequence[str], span: Span) -> DerivedBlock:
        """See SeriesStore.read_derived."""
        tables: list[Table] = []
        for some in _chunks(nodes):
            ask = partial(self._valid, resolution, some, fields)
            tables += [table async for table in _windows(ask, derived.slots_of(span, resolution), FIRST_WINDOW_NS)]
        return derived.block_of(self._plant, resolution, nodes, fields, tables)

    async def _stored(self, block: DerivedBlock, nodes: Sequence[str], span: Span) -> list[Table]:
        return await self._http.select(self._derived_database(block.resolution), derived.stored_statement(block, nodes, span))

    async def _valid(self, resolution: str, nodes: Sequence[str], fields: Sequence[str], span: Span) -> list[Table]:
        statement = derived.valid_statement(self._plant, nodes, fields, span)
        return await self._http.select(self._derived_database(resolution), statement)

    def _derived_database(self, resolution: str) -> str:
        return self._minute if resolution == MINUTE else self._quarter

    async def extent(self) -> Span | None:
        """See SeriesStore.extent."""
        instants_ms: list[int] = []
        for database, measurement in ((self._raw, "reading"), (self._quarter, "interval")):
            every = select(["*"], measurement, where(self._plant, EVER))
            for order in ("ASC", "DESC"):
                tables = await self._http.select(database, f"{every} ORDER BY time {order} LIMIT 1")
                instants_ms += [int(row[0]) for table in tables for row in table.rows]
        return Span(min(instants_ms) * NS_PER_MS, (max(instants_ms) + 1) * NS_PER_MS) if instants_ms else None

    async def count(self, meters: Sequence[str] | None = None) -> dict[str, int]:
        """See SeriesStore.count."""
        counts: defaultdict[str, int] = defaultdict(int)
        for database, measurement in ((self._raw, "reading"), (self._quarter, "interval")):
            counted = [f"count({identifier(q)})" for q in QUANTITIES if is_interval(q) == (measurement == "interval")]
            for some in _chunks(meters) if meters is not None else [()]:
                statement = select(counted, measurement, where(self._plant, EVER, "meter", some), "meter")
                for table in await self._http.select(database, statement):
                    counts[table.tags["meter"]] += sum(int(cell or 0) for row in table.rows for cell in row[1:])
        return {meter: number for meter, number in counts.items() if number}


async def _windows(ask: Callable[[Span], Awaitable[list[Table]]], span: Span, window_ns: int) -> AsyncIterator[Table]:
    """Tables of one piece of a span after the other, each reply of about ROWS_WANTED rows or what the server gives at most.

    Raises RowsCut where it does not even give the rows of NARROWEST_NS.
    """
    start_ns, wanted = span.start_ns, ROWS_WANTED
    while start_ns < span.end_ns:
        piece = Span(start_ns, min(start_ns + window_ns, span.end_ns))
        try:
            tables = await ask(piece)
        except RowsCut as cut:
            if piece.end_ns - piece.start_ns <= NARROWEST_NS:
                raise
            wanted = min(wanted, cut.rows)
            window_ns = (piece.end_ns - piece.start_ns) // 2
            continue
        for table in tables:
            yield table
        window_ns = _next_window_ns(window_ns, sum(len(table.rows) for table in tables), wanted)
        start_ns = piece.end_ns


def _next_window_ns(window_ns: int, rows: int, wanted: int) -> int:
    """A span that will bring about ``wanted`` rows, after one of ``window_ns`` brought ``rows``."""
    if rows > wanted:
        return max(window_ns // 2, NARROWEST_NS)
    return window_ns * 4 if rows <= wanted // 4 else window_ns


def _may_be_stored(block: FrameBlock, newest_ms: dict[Pair, int]) -> npt.NDArray[np.bool_]:
    """Mask of the Frames that are not behind ``newest_ms`` by plant and meter, which is raised to what comes after them."""
    pairs = [(block.plant, meter) for meter in block.meters]
    newest = np.array([newest_ms[pair] for pair in pairs], np.int64)
    order = np.argsort(block.meter_index, kind="stable")
    t_ms, meter = block.t_ns[order] // NS_PER_MS, block.meter_index[order].astype(np.int64)
    # one running maximum serves all meters: each begins above whatever the one before it reached
    reached = np.maximum.accumulate((meter << ABOVE_T_MS) + t_ms)
    before = np.maximum(np.concatenate([[-1], reached[:-1]]) - (meter << ABOVE_T_MS), newest[meter])
    again = np.zeros(len(block), bool)
    again[order] = t_ms <= before
    np.maximum.at(newest, meter, t_ms)
    newest_ms.update(zip(pairs, newest.tolist(), strict=True))
    return again


def _raise_for(refused: Sequence[tuple[str, str]], total: int) -> None:
    if refused:
        quoted = "; ".join(repr(line[:200]) for line, _ in refused[:NAMED_MAX])
        told = f"{refused[0][1]}: {len(refused)} of {total} points are refused for ever, the others are stored"
        raise StoreRejected(f"{told}; first refused: {quoted}", tuple(line for line, _ in refused))


def _chunks(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return [names[first : first + NAMES_MAX] for first in range(0, len(names), NAMES_MAX)]


def _groups(pairs: Sequence[Pair]) -> list[tuple[tuple[str, ...], Sequence[str]]]:
    """(quantities, meters) such that one statement serves each; interval quantities by themselves."""
    wanted: defaultdict[tuple[str, bool], dict[str, None]] = defaultdict(dict)
    for meter, quantity in pairs:
        wanted[meter, is_interval(quantity)][quantity] = None
    meters: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for (meter, _), quantities in wanted.items():
        meters[tuple(quantities)].append(meter)
    return [(quantities, some) for quantities, names in meters.items() for some in _chunks(names)]


def _reaches(reach_s: float) -> list[int]:
    """How far to look step by step, in ns: near first, since what is near is mostly there, and all beyond a day at once."""
    reach_ns, near_ns = round(reach_s * 1e9), NEAR_NS
    reaches = []
    while near_ns < min(reach_ns, DAY_NS):
        reaches.append(near_ns)
        near_ns *= 4
    return [*reaches, reach_ns]


def _end_of(series: Series, order: Direction) -> Series:
    """The first (ASC) or last (DESC) finite reading, as a series of length 0 or 1."""
    rows = np.flatnonzero(np.isfinite(series.value))
    one = rows[:1] if order == "ASC" else rows[-1:]
    return Series(series.t_ns[one], series.value[one], series.quality[one])


def _series_of(table: Table) -> list[Series]:
    """The series of a reply whose columns are the time, then a quantity and its quality in turn."""
    cells = table.cells()
    t_ns = cells[:, 0].astype(np.int64) * NS_PER_MS
    series = []
    for value, quality in zip(cells[:, 1::2].T, cells[:, 2::2].T, strict=True):
        told = np.isfinite(value) | np.isfinite(quality)
        series.append(Series(t_ns[told], value[told], np.nan_to_num(quality[told]).astype(np.int16)))
    return series


def _joined(parts: Sequence[Series]) -> Series:
    if not parts:
        return Series.empty()
    columns = ([p.t_ns for p in parts], [p.value for p in parts], [p.quality for p in parts])
    return Series(np.concatenate(columns[0]), np.concatenate(columns[1]), np.concatenate(columns[2]))
