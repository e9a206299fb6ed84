"""Study ``suspects``: what each bus section and rectifier group leaves against its band, and which meters are wrong, ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from analytics.chapter import Found, NodeFields
from analytics.counters import F64, Mask
from analytics.flags import IntervalFlag
from analytics.meter_quality import diagnosed
from analytics.period_rows import Period
from analytics.sensitivity import Sensitivity
from analytics.study import Material, Question, Studied, Study, Wants
from analytics.suspects_equations import UNMETERED, blind, equations_of, main_point
from analytics.suspects_model import DAY_SLOTS, RUN_LEAST
from analytics.suspects_search import Accused, Fault, Findings, search
from plant import nodes
from plant.indicators import Figure
from plant.rulebook import Rulebook
from plant.series import QUARTER_NS, Span
from plant.site import MeteringPoint, Site

WEEK_NS = 7 * DAY_SLOTS * QUARTER_NS
BROKEN = int(IntervalFlag.SPREAD | IntervalFlag.GAP | IntervalFlag.RESET)  # such slots say nothing of a meter's gain
POINT_FIELDS = (
    "energy_import",
    "energy_import_low",
    "energy_import_high",
    "energy_export",
    "energy_export_low",
    "energy_export_high",
    "completeness",
    "measured_share",
    "flags",
)
RANKED_SHOWN = 5
CERTAIN = 0.999  # no statistics of a few days are surer


def _wants(question: Question) -> Wants:
    # a week, also of a month: with more of them small things that no model of a plant holds begin to look like faults
    end_ns = min(question.span.end_ns, max(question.settled_ns, question.span.start_ns))
    return Wants(Span(end_ns - WEEK_NS, end_ns), _columns(question.site))


def _columns(site: Site) -> Sequence[NodeFields]:
    residual = ("residual", "residual_low", "residual_high", "completeness")
    return [([nodes.point(p) for p in site.points], POINT_FIELDS), ([nodes.bus(b) for b in site.buses], residual)]


def _compute(material: Material) -> Studied:
    question, rows = material.question, material.rows
    site = question.site
    period = Period(site, question.rulebook, material.span, question.kind, rows, "provisional")
    points = [p for p in site.points.values() if p.mountings]
    kwh = {p.id: rows.column(nodes.point(p.id), "energy_import") - _exported(period, p) for p in points}
    valid = {p.id: _valid(period, p, kwh[p.id]) for p in points}
    band = rectifier_band(question.rulebook, period)
    known = {p: np.nan_to_num(v) for p, v in kwh.items()}
    equations = equations_of(site, known, valid, band)
    most = max((int(e.valid.sum()) for e in equations), default=0)
    reason = "" if most >= RUN_LEAST else f"{most} intervals were measured, {RUN_LEAST} are needed to compare meters"
    classes = {p.id: p.mountings[-1].class_percent / 100.0 for p in points}
    found = Findings((), ()) if reason else search(equations, known, classes)
    body = {
        "from": _instant(site, material.span.start_ns),
        "to": _instant(site, material.span.end_ns),
        "reason": reason,
        "sections": [_section(period, bus) for bus in site.buses],
        "groups": [g for b in site.branches_of("rectifier_group") if (g := _group(period, b.id, known, valid, band))],
        "suspects": [_suspect(period, question.span, a) for a in found.accused],
        "ranked": [_ranked(site, f) for f in found.ranked[:RANKED_SHOWN] if f.point],
    }
    return Studied(_figures(period, question.span, found, reason), body)


def _exported(period: Period, point: MeteringPoint) -> F64:
    return period.rows.column(nodes.point(point.id), "energy_export")


def _valid(period: Period, point: MeteringPoint, kwh: F64) -> Mask:
    flags = np.nan_to_num(period.rows.column(nodes.point(point.id), "flags")).astype(np.int64)
    mounted = period.rows.start_ns >= point.mountings[-1].valid_from_ns  # another meter has an error of its own
    good: Mask = np.isfinite(kwh) & ((flags & BROKEN) == 0) & mounted
    return good


def rectifier_band(rulebook: Rulebook, period: Period) -> tuple[float, float] | None:
    """The least and the most that DC energy of a rectifier group can be of its AC energy (0..1), None without such rules."""
    scope = (period.site.province, "CN")
    low, high = (rulebook.in_force(f"rectifier-plausible-{edge}", period.day, scope) for edge in ("min", "max"))
    return None if low is None or high is None else (float(low.value) / 100.0, float(high.value) / 100.0)


def _section(period: Period, bus: str) -> dict[str, Any]:
    """The residual of a section over the window against the classes of its meters, and against what may be lost there."""
    node = nodes.bus(bus)
    found = Sensitivity.of(period).residual(bus, period.sum(node, "residual")).sum
    without = blind(period.site, bus)
    through = _through(period, bus)
    beyond = None
    if found.low is not None and found.high is not None and not without:
        beyond = max(-found.high, found.low - UNMETERED * through, 0.0)
    return {
        "node": node,
        "residual_kwh": found.value,
        "low_kwh": found.low,
        "high_kwh": found.high,
        "flow_kwh": through,
        "beyond_kwh": beyond,
        "without_meter": without,
    }


def _through(period: Period, bus: str) -> float:
    """Half of all that went onto and off a section, kWh."""
    branches = [b for b in period.site.branches.values() if bus in (b.bus, b.to_bus)]
    points = [p for b in branches if (p := main_point(period.site, b.id)) is not None]
    columns = [period.rows.column(nodes.point(p.id), f"energy_{d}") for p in points for d in ("import", "export")]
    return float(sum(np.nansum(c) for c in columns)) / 2.0


def _group(
    period: Period, branch: str, kwh: Mapping[str, F64], valid: Mapping[str, Mask], band: tuple[float, float] | None
) -> dict[str, Any] | None:
    """DC of AC energy of a rectifier group with the band of both classes, and what it lies beyond."""
    ac, dc = main_point(period.site, branch), main_point(period.site, branch, "dc")
    if ac is None or dc is None:
        return None
    both = valid[ac.id] & valid[dc.id]
    energy = float(kwh[ac.id][both].sum())
    value = float(kwh[dc.id][both].sum()) / energy if energy else None
    off = (ac.mountings[-1].class_percent + dc.mountings[-1].class_percent) / 100.0
    low, high = (None, None) if value is None else (value - abs(value) * off, value + abs(value) * off)
    beyond = None if band is None or low is None or high is None else low > band[1] or high < band[0]
    return {"node": nodes.branch(branch), "dc_of_ac": value, "low": low, "high": high, "plausible": band, "beyond": beyond}


def _suspect(period: Period, asked: Span, accused: Accused) -> dict[str, Any]:
    fault, site = accused.fault, period.site
    mounting, told = site.points[fault.point].mountings[-1], diagnosed(fault)
    meter = site.meters[mounting.meter]
    start_ns = period.rows.start_ns
    since_ns = int(start_ns[fault.since])
    en, zh = told.ailment.value
    gained = fault.kind in ("gain", "drift")
    return {
        **_ranked(site, fault),
        "title": {"en": meter.title_en or meter.id, "zh": meter.title_zh or meter.id},
        "factor": told.factor,
        "shows_of_truth_low": fault.gain - 2.0 * fault.error if gained else None,
        "shows_of_truth_high": fault.gain + 2.0 * fault.error if gained else None,
        "since": _instant(site, since_ns),
        "since_before_window": fault.since == 0,
        "misread_kwh": _misread(period, asked, fault),
        "confidence": min(1.0 - float(np.exp(-min(accused.lead, 50.0))), CERTAIN),
        "check": {"en": en, "zh": zh},
        "annotation": {
            "meter": mounting.meter,
            "quantity": "",
            "from": _instant(site, since_ns),
            "to": _instant(site, int(start_ns[-1]) + QUARTER_NS),
            "verdict": told.verdict,
        },
    }


def _ranked(site: Site, fault: Fault) -> dict[str, Any]:
    point = site.points[fault.point]
    return {
        "point": fault.point,
        "branch": point.branch,
        "meter": point.mountings[-1].meter,
        "kind": diagnosed(fault).ailment.word,
        "shows_of_truth": fault.gain if fault.kind in ("gain", "drift") else None,
        "clock_late_s": fault.shift_s if fault.kind == "clock" else None,
        "score": fault.score,
    }


def _misread(period: Period, asked: Span, fault: Fault) -> float:
    """What a meter showed beyond the truth within the span asked about, kWh; of a clock the sizes of both sides."""
    inside = (period.rows.start_ns >= asked.start_ns) & (period.rows.start_ns < asked.end_ns)
    excess = fault.excess[inside]
    return float(np.abs(excess).sum() / 2.0 if fault.kind == "clock" else excess.sum())


def _figures(period: Period, asked: Span, found: Findings, reason: str) -> Found:
    """How many meters are under suspicion, and what each misread; the band is that of its gain."""
    complete = float(np.mean([period.completeness(nodes.point(p)) for p in period.site.points] or [0.0]))
    number = None if reason else float(len(found.accused))
    figures: Found = {nodes.PLANT: {"suspect_meters": Figure("suspect_meters", number, number, number, complete, 1.0, reason)}}
    for accused in found.accused:
        fault = accused.fault
        kwh = _misread(period, asked, fault)
        # excess = shown (1 - 1/gain): by how much that moves with the gain
        off = abs(kwh) * 2.0 * fault.error / max(abs(fault.gain * (fault.gain - 1.0)), 1e-9) if fault.kind == "gain" else abs(kwh)
        node = nodes.point(fault.point)
        figure = Figure("suspect_energy", kwh, kwh - off, kwh + off, period.completeness(node), 1.0)
        figures[node] = {"suspect_energy": figure}
    return figures


def _instant(site: Site, t_ns: int) -> str:
    local: datetime = site.calendar.local(t_ns)
    return local.isoformat(timespec="minutes")


STUDY = Study("suspects", _wants, _compute, kinds=("day", "month"))
