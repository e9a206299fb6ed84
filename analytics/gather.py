"""What a computation needs from the store: readings of a span with a reach on either side, and derived rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analytics.derive import POINT_FIELDS, PlantModel
from analytics.intervals import AC_SIGNALS, AMOUNTS, DC_SIGNALS
from analytics.plant_balance import flow_nodes
from analytics.table import Columns, Table, from_block
from plant import nodes
from plant.ports import SeriesStore
from plant.quantities import QUANTITIES, Kind
from plant.series import QUARTER, QUARTER_NS, Series, Span

Pair = tuple[str, str]
REACH_S = 45 * 86_400.0  # a register difference is carried over an outage of up to this long
_BAND = ("", "_low", "_high")
_BANDED = (
    "load_energy",
    "green_to_load",
    "renewable_generation",
    "grid_import",
    "grid_export",
    "captive_generation",
    "storage_charge",
    "storage_discharge",
    "renewable_export",
    "metal_produced",
    "rectifier_energy",
    "dc_energy",
    "comprehensive_energy",
    "comprehensive_energy_tariff",
    "green_share_physical",  # rows are restated whole: a field left out here would be stored as null
)
PROCESS_FIELDS = (*(f"{n}{e}" for n in _BANDED for e in _BAND), "current_efficiency", "completeness", "measured_share")


class Gather:
    """Reads for a site: which (meter, quantity) pairs matter follows from its points and profiles."""

    def __init__(self, model: PlantModel, quantities_of: Mapping[str, Sequence[str]], store: SeriesStore) -> None:
        self._model, self._store = model, store
        self.pairs = _pairs(model, quantities_of)
        self._counters = [p for p in self.pairs if QUANTITIES[p[1]].kind is Kind.COUNTER]

    async def readings(self, span: Span, *, reach: bool = True) -> dict[Pair, Series]:
        """Readings of the span and ``gap_max_s`` around it; with ``reach`` registers beyond it too, across an outage."""
        margin = round(self._model.site.accounting.gap_max_s * 1e9)
        wide = Span(span.start_ns - margin, span.end_ns + margin)
        found = await self._store.read_many(self.pairs, wide)
        if not reach:
            return found
        early = [p for p in self._counters if not _any_before(found[p], span.start_ns)]
        late = [p for p in self._counters if not _any_from(found[p], span.end_ns)]
        before = await self._store.last_before(early, wide.start_ns, REACH_S) if early else {}
        after = await self._store.first_from(late, wide.end_ns, REACH_S) if late else {}
        for pair in {**before, **after}:
            found[pair] = _joined([s for s in (before.get(pair), found[pair], after.get(pair)) if s is not None and len(s)])
        return found

    async def next_reading_ns(self, t_ns: int, reach_s: float = 100 * 366 * 86_400.0) -> int | None:
        """Instant of the first reading of any meter at or after ``t_ns``, None where there is none within ``reach_s``."""
        found = await self._store.first_from(self.pairs, t_ns, reach_s)
        return min((int(s.t_ns[0]) for s in found.values() if len(s)), default=None)

    async def rows(self, span: Span) -> Table:
        """15-min rows of every node over a span, rows that are absent as NaN."""
        bounds = span.bounds(QUARTER_NS)
        site = self._model.site
        groups: list[tuple[list[str], tuple[str, ...]]] = [
            ([nodes.point(p) for p in site.points], (*POINT_FIELDS, "flags")),
            ([nodes.PLANT, *(nodes.line(n) for n in site.potlines)], PROCESS_FIELDS),
            ([nodes.bus(b) for b in site.buses], ("residual", "residual_low", "residual_high", "completeness")),
            (flow_nodes(self._model.parts), ("flow_energy",)),
        ]
        return await self.columns(Span(int(bounds[0]), int(bounds[-1])), groups)

    async def columns(self, span: Span, groups: Sequence[tuple[list[str], tuple[str, ...]]]) -> Table:
        """15-min rows of chosen nodes and fields over a span of whole slots."""
        start_ns = span.bounds(QUARTER_NS)[:-1]
        columns: dict[str, Columns] = {}
        for names, fields in groups:
            if names and len(start_ns):
                columns |= from_block(await self._store.read_derived(QUARTER, names, fields, span), start_ns, QUARTER_NS).columns
        return Table(QUARTER, start_ns, QUARTER_NS, columns)


def _pairs(model: PlantModel, quantities_of: Mapping[str, Sequence[str]]) -> list[Pair]:
    found: dict[Pair, None] = {}
    for point in model.site.points.values():
        wanted = set(DC_SIGNALS if point.side == "dc" else AC_SIGNALS)
        wanted |= {QUANTITIES[name].mirror for name in wanted} - {""}
        for mounting in point.mountings:
            known = [*quantities_of.get(mounting.meter, ()), *AMOUNTS]
            found |= {(mounting.meter, name): None for name in known if name in wanted}
    for line in model.site.potlines.values():
        if "pots_running" in quantities_of.get(line.feed_meter, ()):
            found[line.feed_meter, "pots_running"] = None
    return list(found)


def _any_before(series: Series, t_ns: int) -> bool:
    return bool(np.isfinite(series.value[series.t_ns <= t_ns]).any())


def _any_from(series: Series, t_ns: int) -> bool:
    return bool(np.isfinite(series.value[series.t_ns >= t_ns]).any())


def _joined(parts: list[Series]) -> Series:
    if not parts:
        return Series.empty()
    t_ns, value, quality = (np.concatenate([getattr(p, name) for p in parts]) for name in ("t_ns", "value", "quality"))
    return Series(t_ns, value, quality)
