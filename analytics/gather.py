"""What a computation needs from the store: readings of a span with a reach on either side, and derived rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from analytics.chapters import further_columns
from analytics.counters import I64, Mask
from analytics.derive import POINT_FIELDS, PlantModel
from analytics.gauges import gauge_pairs
from analytics.intervals import AC_SIGNALS, AMOUNTS, DC_SIGNALS
from analytics.plant_balance import flow_nodes
from analytics.reactive import reactive_pairs
from analytics.samples import EXCLUDING, rejected
from analytics.table import Columns, Table, from_block
from plant import nodes
from plant.ports import Annotation, SeriesStore
from plant.quality import usable
from plant.quantities import QUANTITIES, Kind
from plant.series import QUARTER, QUARTER_NS, Series, Span

Pair = tuple[str, str]
Side = Literal["before", "after"]
NEIGHBOURS = 3  # amounts that tell how long the interval of each is
AMOUNT_REACH_S = 2 * 86_400.0  # an amount belongs to at most a day
TRIES = 16  # readings in a row, or verdicts, that may be passed over in search of one that counts
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
PROCESS_FIELDS = (
    *(f"{n}{e}" for n in _BANDED for e in _BAND),
    "current_efficiency",
    "pots_running",
    "completeness",
    "measured_share",
)


class Gather:
    """Reads for a site: which (meter, quantity) pairs matter follows from its points and profiles."""

    def __init__(self, model: PlantModel, quantities_of: Mapping[str, Sequence[str]], store: SeriesStore) -> None:
        self._model, self._store = model, store
        self.pairs = _pairs(model, quantities_of)
        gauges = [p for p in gauge_pairs(model.site) if p[1] in quantities_of.get(p[0], ())]
        reactive = [p for p in reactive_pairs(model.site) if p[1] in quantities_of.get(p[0], ())]
        self._read = list(dict.fromkeys([*self.pairs, *gauges, *reactive]))  # what is computed from; gauges alone settle nothing
        self._counters = [p for p in self.pairs if QUANTITIES[p[1]].kind is Kind.COUNTER]
        self._amounts = [p for p in self.pairs if p[1] in AMOUNTS]

    async def readings(
        self, span: Span, annotations: Sequence[Annotation] = (), *, reach: bool = True, wide_ns: Mapping[Pair, int] | None = None
    ) -> dict[Pair, Series]:
        """Readings of the span and ``gap_max_s`` around it, of slow registers ``wide_ns``; with ``reach`` registers beyond it
        too, across an outage.

        ``annotations`` over the reach (``reached``) say which readings do not count as found.
        """
        margin = round(self._model.site.accounting.gap_max_s * 1e9)
        wide = Span(span.start_ns - margin, span.end_ns + margin)
        found = await self._store.read_many(self._read, wide)
        if reach:
            await self._far_ends(found, span, wide, annotations)
        for pair, around_ns in (wide_ns or {}).items():
            if pair in self._counters and around_ns > margin:
                around = Span(span.start_ns - around_ns, span.end_ns + around_ns)
                found[pair] = _joined(_with_ends(found[pair], around, await self._store.read(*pair, around)))
        return found

    async def _far_ends(self, found: dict[Pair, Series], span: Span, wide: Span, annotations: Sequence[Annotation]) -> None:
        """Add the nearest usable readings beyond ``wide`` where those of a register do not reach over the span."""
        good = {p: found[p].t_ns[_good(p, found[p], annotations)] for p in (*self._counters, *self._amounts)}
        early = [p for p in self._counters if not (good[p] <= span.start_ns).any()]
        late = [p for p in self._counters if not (good[p] >= span.end_ns).any()]
        alone = self._alone(found, good)
        before = await self._far("before", early, wide.start_ns, REACH_S, annotations)
        before |= await self._far("before", alone, wide.start_ns, AMOUNT_REACH_S, annotations)
        after = await self._far("after", late, wide.end_ns, REACH_S, annotations)
        after |= await self._far("after", alone, wide.end_ns, AMOUNT_REACH_S, annotations)
        for pair in {**before, **after}:
            found[pair] = _joined([s for s in (before.get(pair), found[pair], after.get(pair)) if s is not None and len(s)])

    def _alone(self, found: Mapping[Pair, Series], good: Mapping[Pair, I64]) -> list[Pair]:
        """Amounts whose interval may begin before the readings or end after them: too few to tell, where their meter has
        nothing else to say."""
        speaking = {meter for (meter, name), s in found.items() if name not in AMOUNTS and len(s)}
        return [p for p in self._amounts if len(good[p]) < NEIGHBOURS and (len(good[p]) or p[0] not in speaking)]

    async def _far(
        self, side: Side, pairs: Sequence[Pair], t_ns: int, reach_s: float, annotations: Sequence[Annotation]
    ) -> dict[Pair, Series]:
        """The nearest usable reading of each pair before (or from) an instant; past what is invalid or under a verdict."""
        nearest = self._store.last_before if side == "before" else self._store.first_from
        farthest_ns = t_ns - round(reach_s * 1e9) if side == "before" else t_ns + round(reach_s * 1e9)
        found: dict[Pair, Series] = {}
        wanted = {t_ns: list(pairs)} if pairs else {}
        for _ in range(TRIES):
            again: dict[int, list[Pair]] = {}
            for at_ns, group in wanted.items():
                for pair, one in (await nearest(group, at_ns, abs(at_ns - farthest_ns) / 1e9)).items():
                    if not len(one) or _good(pair, one, annotations).all():
                        found[pair] = one
                        continue
                    again.setdefault(_beyond(side, pair, int(one.t_ns[0]), annotations), []).append(pair)
            wanted = {t: group for t, group in again.items() if abs(t - t_ns) < reach_s * 1e9}
        return found

    async def nearest(self, side: Side, pairs: Sequence[Pair], t_ns: int, annotations: Sequence[Annotation] = ()) -> list[int]:
        """Instants of the usable readings next to an instant, of those pairs that have one within the reach of a register."""
        asked = [p for p in pairs if p in self._counters]
        found = await self._far(side, asked, t_ns if side == "before" else t_ns + 1, REACH_S, annotations) if asked else {}
        return [int(s.t_ns[0]) for s in found.values() if len(s)]

    async def amounts(self, span: Span) -> dict[Pair, Series]:
        """Amounts that begin in the span, or up to a day before and so may reach into it."""
        return await self._store.read_many(self._amounts, Span(span.start_ns - round(AMOUNT_REACH_S * 1e9), span.end_ns))

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
            *((list(names), tuple(fields)) for names, fields in further_columns(site)),
        ]
        return await self.columns(Span(int(bounds[0]), int(bounds[-1])), groups)

    async def columns(self, span: Span, groups: Sequence[tuple[list[str], tuple[str, ...]]]) -> Table:
        """15-min rows of chosen nodes and fields over a span of whole slots."""
        start_ns = span.bounds(QUARTER_NS)[:-1]
        columns: dict[str, Columns] = {}
        for names, fields in groups:
            if names and len(start_ns):
                found = from_block(await self._store.read_derived(QUARTER, names, fields, span), start_ns, QUARTER_NS).columns
                for node, more in found.items():
                    columns.setdefault(node, {}).update(more)
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


def reached(span: Span) -> Span:
    """How far the readings of a computation may lie from its span."""
    reach_ns = round(REACH_S * 1e9)
    return Span(span.start_ns - reach_ns, span.end_ns + reach_ns)


def inside(series: Series, span: Span) -> bool:
    """Whether a reading of the series lies in the span."""
    return bool(((series.t_ns >= span.start_ns) & (series.t_ns < span.end_ns)).any())


def _good(pair: Pair, series: Series, annotations: Sequence[Annotation]) -> Mask:
    return usable(series.value, series.quality) & ~rejected(series.t_ns, *pair, annotations)


def _beyond(side: Side, pair: Pair, t_ns: int, annotations: Sequence[Annotation]) -> int:
    """Where to look on after a reading that does not count: past the verdicts it lies under, or past itself."""
    over = [a for a in annotations if a.meter == pair[0] and a.quantity in ("", pair[1]) and a.start_ns <= t_ns < a.end_ns]
    over = [a for a in over if a.verdict in EXCLUDING]
    if side == "before":
        # from the latest start on, since a later verdict may have lifted a part of a longer one
        return max((a.start_ns for a in over), default=t_ns)
    return min((a.end_ns for a in over), default=t_ns + 1)


def _with_ends(series: Series, span: Span, whole: Series) -> list[Series]:
    """``whole``, all readings of a span, between those of ``series`` that lie outside it."""
    first, end = np.searchsorted(series.t_ns, [span.start_ns, span.end_ns])
    ends = [Series(series.t_ns[rows], series.value[rows], series.quality[rows]) for rows in (slice(first), slice(end, None))]
    return [s for s in (ends[0], whole, ends[1]) if len(s)]


def _joined(parts: list[Series]) -> Series:
    if not parts:
        return Series.empty()
    t_ns, value, quality = (np.concatenate([getattr(p, name) for p in parts]) for name in ("t_ns", "value", "quality"))
    return Series(t_ns, value, quality)


def finer_than_slots(series: Series, span: Span) -> bool:
    """Whether a series says more of the span than the bounds of its quarters of an hour do: only then minutes are worth rows."""
    first, end = np.searchsorted(series.t_ns, [span.start_ns, span.end_ns])
    quarters = -(-(span.end_ns - span.start_ns) // QUARTER_NS)
    on_bounds = not np.any(series.t_ns[first:end] % QUARTER_NS)
    return bool(end > first) and not (on_bounds and end - first <= quarters)
