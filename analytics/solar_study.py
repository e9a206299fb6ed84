"""Study ``solar``: which strings and inverters of each PV field give less than their peers, ranked by what they lost, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analytics.chapter import Found, NodeFields
from analytics.counters import F64, I64
from analytics.estimate import Sum
from analytics.period_rows import Period
from analytics.period_sums import figure_of
from analytics.solar import ENERGY_FIELDS, SUN_FIELDS, ratio_parts, seen
from analytics.solar_strings import Group, Suspect, judge, lost_kwh, median_slope, stacked
from analytics.study import Material, Question, Studied, Study, Wants
from plant import nodes
from plant.indicators import Figure
from plant.series import Span
from plant.settings.solar import SolarField
from plant.site import Site

DAY_NS = 86_400_000_000_000
HISTORY_NS = 30 * DAY_NS
SUN_LEAST_KWH_PER_M2 = 1.0  # of a day whose performance ratio says something
DAYS_LEAST = 5  # with sun, before a drop is told
SCATTER_MIN = 0.5  # points, by which even days of the steadiest weather differ
SURE = 1.645 * 1.253  # half width of 90 % of a median, in standard errors of a mean
USUAL_RATIO = 0.8  # of a field whose own performance is not known: only to put a loss in kWh


@dataclass(frozen=True, slots=True, eq=False)
class _Peers:
    """Units of one kind in one field: names as (meter, quantity), and DC capacities in kW."""

    kind: str
    names: tuple[tuple[str, str], ...]
    capacity_kw: tuple[float, ...]
    limit_kw: tuple[float, ...]


def _wants(question: Question) -> Wants:
    span = Span(question.span.start_ns - HISTORY_NS, question.span.end_ns)
    return Wants(span, _columns(question.site))


def _columns(site: Site) -> Sequence[NodeFields]:
    found: list[NodeFields] = []
    for field in site.solar:
        found.append(([nodes.branch(field.branch)], (*ENERGY_FIELDS, "measured_share", "completeness")))
        found.append(([nodes.meter(field.weather_meter)], SUN_FIELDS))
        by_meter: dict[str, list[str]] = {}
        for peers in _peers(field):
            for meter, quantity in peers.names:
                by_meter.setdefault(meter, []).append(quantity)
        found += [([nodes.meter(meter)], tuple(quantities)) for meter, quantities in by_meter.items()]
    return found


def _peers(field: SolarField) -> Iterator[_Peers]:
    inverters = field.inverters
    if inverters:
        yield _Peers(
            "inverter",
            tuple((i.meter, "active_power") for i in inverters),
            tuple(i.dc_capacity_kw for i in inverters),
            tuple(np.inf if i.ac_limit_kw is None else i.ac_limit_kw for i in inverters),
        )
    for stem in dict.fromkeys(s.quantity for s in field.strings):
        same = [(s, q) for s in field.strings if s.quantity == stem for q in s.quantities]
        names = tuple((s.meter, q) for s, q in same)
        yield _Peers(stem, names, tuple(s.dc_capacity_kw for s, _ in same), (np.inf,) * len(same))


def _compute(material: Material) -> Studied:
    site, question = material.question.site, material.question
    figures: Found = {}
    fields = []
    end_ns = min(question.span.end_ns, material.span.end_ns)
    asked = Span(min(question.span.start_ns, end_ns), end_ns)
    history = Period(site, question.rulebook, material.span, question.kind, material.rows, "provisional")
    period = history.part(asked, question.kind)
    for field in site.solar:
        groups = [_judged(history, asked, field, peers) for peers in _peers(field)]
        node = nodes.branch(field.branch)
        trend = _trend(history, field)
        figures[node] = {"solar_lost": _lost(period, node, groups)}
        drop = ratio_drop(period, node, trend["performance_ratio_by_day"])
        figures[node] |= {} if drop is None else {"performance_ratio_drop": drop}
        fields.append(
            {
                "id": field.id,
                "branch": field.branch,
                "groups": [body for body, _ in groups],
                **trend,
            }
        )
    return Studied(figures, {"fields": fields})


def _judged(history: Period, asked: Span, field: SolarField, peers: _Peers) -> tuple[dict[str, Any], Sum]:
    """A group's verdict ready for JSON, and what its suspects lost."""
    rows, site = history.rows, history.site
    start_ns = rows.start_ns
    columns = [np.abs(rows.column(nodes.meter(meter), quantity)) for meter, quantity in peers.names]
    inside = (start_ns >= asked.start_ns) & (start_ns < asked.end_ns)
    hour, day = _clock(site, start_ns)
    limit = np.array(peers.limit_kw) / np.array(peers.capacity_kw)
    verdict = judge(Group(stacked(columns, peers.capacity_kw), hour, day, inside, limit))
    expected = _expected_kwh_per_kw(history, field)
    found = [(s, lost_kwh(s, expected * peers.capacity_kw[s.unit])) for s in verdict.suspects]
    found.sort(key=lambda pair: -pair[1])
    # a healthy unit wanders within the threshold: so much of what was due may be nobody's fault, or hidden
    due = sum(float(np.nansum(np.where(inside, expected, np.nan))) * peers.capacity_kw[s.unit] for s, _ in found)
    total = sum(kwh for _, kwh in found)
    looked = int((verdict.lit & inside).sum())
    off = verdict.threshold * due
    share = 0.0 if verdict.reason else 1.0 - len(verdict.silent) / len(peers.names)
    lost = Sum(None if verdict.reason else total, max(total - off, 0.0), total + off, share)
    body = {
        "kind": peers.kind,
        "units": len(peers.names),
        "intervals": looked,
        "threshold_percent": 100.0 * verdict.threshold,
        "suspects": [_suspect(site, peers, s, kwh, start_ns) for s, kwh in found],
        "silent": [_name(peers, unit) for unit in verdict.silent],
        "reason": verdict.reason,
    }
    return body, lost


def _suspect(site: Site, peers: _Peers, suspect: Suspect, kwh: float, start_ns: I64) -> dict[str, Any]:
    since = None if suspect.first is None else site.calendar.local(int(start_ns[suspect.first])).isoformat(timespec="minutes")
    return {
        **_name(peers, suspect.unit),
        "cause": str(suspect.cause),
        "lost_kwh": kwh,
        "deficit_percent": 100.0 * suspect.deficit,
        "since": since,
        "hours": list(suspect.hours),
    }


def _name(peers: _Peers, unit: int) -> dict[str, str]:
    meter, quantity = peers.names[unit]
    return {"meter": meter, "quantity": quantity}


def _clock(site: Site, start_ns: I64) -> tuple[I64, I64]:
    """Hour of the plant's day and running number of the day of each interval. The zone's offset is looked up at both ends of a
    day, and at each interval of one on which it changes."""
    days, inverse = np.unique(start_ns // DAY_NS, return_inverse=True)
    ends = np.array([[_offset_s(site, int(d + after) * DAY_NS) for after in (0, 1)] for d in days], np.int64).reshape(-1, 2)
    seconds = ends[inverse, 0]
    changing = ends[inverse, 0] != ends[inverse, 1]
    seconds[changing] = [_offset_s(site, int(t)) for t in start_ns[changing]]
    local_h = (start_ns // 1_000_000_000 + seconds) // 3600
    return local_h % 24, local_h // 24


def _offset_s(site: Site, t_ns: int) -> int:
    offset = site.calendar.local(t_ns).utcoffset()
    return 0 if offset is None else round(offset.total_seconds())


def _expected_kwh_per_kw(history: Period, field: SolarField) -> F64:
    """Energy per kW of modules in each interval at the field's own performance ratio, irradiance that is missing as none."""
    of = seen(history, field)
    whole = ratio_parts(history, field, of)["performance_ratio"].ratio().value
    own = USUAL_RATIO if whole is None else whole / 100.0
    return np.nan_to_num(of.irradiation) * own


def _lost(period: Period, node: str, groups: Sequence[tuple[dict[str, Any], Sum]]) -> Figure:
    """The larger of what strings and inverters lost: an inverter that stands takes its strings with it, so they never add up."""
    known = [lost for _, lost in groups if lost.value is not None]
    if not known:
        return figure_of(period, node, "solar_lost", Sum(None, None, None, 0.0))
    return figure_of(period, node, "solar_lost", max(known, key=lambda s: s.value or 0.0))


def ratio_drop(period: Period, node: str, by_day: Sequence[dict[str, Any]]) -> Figure | None:
    """By how many points the days of the period lie below those before; None without enough days of either."""
    first = str(period.site.calendar.local(period.span.start_ns).date())
    before = [d["percent"] for d in by_day if d["day"] < first]
    during = [d["percent"] for d in by_day if d["day"] >= first]
    if len(before) < DAYS_LEAST or not during:
        return None
    drop = float(np.median(before) - np.median(during))
    # days scatter on their own: within what that leaves of the medians a drop is none
    apart = np.concatenate([np.abs(np.array(days) - np.median(days)) for days in (before, during)])
    scatter = max(1.4826 * float(np.median(apart)), SCATTER_MIN)
    half = SURE * scatter * float(np.sqrt(1.0 / len(before) + 1.0 / len(during)))
    share = min(float(np.mean([d["measured_share"] for d in by_day if (d["day"] < first) == side])) for side in (True, False))
    return figure_of(period, node, "performance_ratio_drop", Sum(drop, drop - half, drop + half, share))


def _trend(history: Period, field: SolarField) -> dict[str, Any]:
    """Performance ratio by day, and by how many points a day it moves: what soils a whole field no peer can tell."""
    of = seen(history, field)
    _, day = _clock(history.site, history.rows.start_ns)
    factor = np.where(np.isfinite(of.temperature_factor), of.temperature_factor, 1.0)
    both = np.isfinite(of.energy) & np.isfinite(of.irradiation)
    first = int(day.min()) if len(day) else 0
    made = np.bincount(day[both] - first, of.energy[both])
    sun = np.bincount(day[both] - first, of.irradiation[both])
    reference = np.bincount(day[both] - first, (of.irradiation * factor)[both]) * field.dc_capacity_kw
    bright = np.flatnonzero(sun >= SUN_LEAST_KWH_PER_M2)
    lit = of.irradiation != 0  # or unknown
    told = np.where(both, np.nan_to_num(of.share, nan=1.0) * of.sun_share, 0.0)
    share = np.bincount(day[lit] - first, told[lit]) / np.maximum(np.bincount(day[lit] - first), 1)
    ratio = 100.0 * made[bright] / reference[bright]
    slope = median_slope(bright.astype(float), ratio)
    origin = np.datetime64("1970-01-01")
    return {
        "performance_ratio_by_day": [
            {"day": str(origin + int(d) + first), "percent": float(r), "measured_share": float(share[d])}
            for d, r in zip(bright, ratio, strict=True)
        ],
        "trend_points_per_day": slope if np.isfinite(slope) else None,
    }


STUDY = Study("solar", _wants, _compute, kinds=("day", "month"), in_reports=("month",))
