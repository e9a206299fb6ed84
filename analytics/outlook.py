"""Study ``outlook``: what a month or year is expected to come to, with a band, and what must happen to keep its limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from analytics.chapter import NodeFields
from analytics.clear_sky import SLOTS_A_DAY, clear_slots, envelope
from analytics.counters import F64
from analytics.day_sums import days_of, sums_of
from analytics.green import certificates_of_year
from analytics.limits import standing
from analytics.outlook_model import PER_TONNE, RATIOS, SUMS, Ahead, Days, Key, outcome, simulate
from analytics.outlook_targets import Prospect, targets
from analytics.period_rows import Period
from analytics.study import Material, Question, Studied, Study, Wants
from plant import nodes
from plant.indicators import Figure
from plant.indicators.outlook import OUTLOOK_SUFFIX
from plant.series import QUARTER_NS, Span
from plant.site import Site

LOW, HIGH = 0.1, 0.9
DAY_NS = 86_400_000_000_000
PAST_DAYS = {"month": 120, "year": 400}
KNOWN_SHARE_MIN = 0.9  # of the slots of a day
REST_OF_PAST = 4  # the rest may be this many times as long as the days known
SEASON_DAYS = 45  # so far ahead the sun of the last weeks tells without a place
SEED = 50006
_ENERGY = (
    "load_energy",
    "grid_import",
    "grid_export",
    "renewable_generation",
    "renewable_export",
    "captive_generation",
    "storage_charge",
    "storage_discharge",
    "green_to_load",
)
_PROCESS = ("metal_produced", *PER_TONNE)
_TRUST = ("completeness", "measured_share")
_OF_PLANT = (
    "load_energy",
    "grid_import",
    "renewable_generation",
    "green_to_load",
    "green_share_physical",
    "pv_self_consumption",
    "pv_feed_in",
)
_OF_METAL = (
    "metal_produced",
    "rectifier_energy",
    "specific_energy_e1",
    "specific_energy_e2",
    "specific_energy_e2_tariff",
)


def wants(question: Question) -> Wants:
    """Rows of the period and of the days before it, and the certificates of its year."""
    site, back_ns = question.site, PAST_DAYS[question.kind] * DAY_NS
    start_ns = max(min(question.span.start_ns, question.settled_ns - back_ns), 0)
    columns: list[NodeFields] = [([nodes.PLANT], (*_ENERGY, *_PROCESS, *_TRUST))]
    columns.append(([nodes.line(line) for line in site.potlines], (*_PROCESS, *_TRUST)))
    columns.append(([nodes.branch(b.id) for b in site.branches_of("pv")], ("energy_export",)))
    years = Span(max(question.span.start_ns - 730 * DAY_NS, 0), question.span.end_ns + 730 * DAY_NS)
    entries = ("certificate",) if question.kind == "year" else ()
    return Wants(Span(start_ns, max(question.span.end_ns, start_ns)), columns, years, entries)


def compute(material: Material) -> Studied:
    """The outlook of a period that has begun and is not over. The same data give the same answer."""
    question, until_ns = material.question, material.span.end_ns
    if until_ns >= question.span.end_ns:
        return Studied({}, {"status": "over", "reason": "the period is settled to its end"})
    if until_ns < question.span.start_ns:
        return Studied({}, {"status": "refused", "reason": "the days before the period are not settled yet"})
    days, ahead = _days(material), _ahead(material)
    known = int(np.isfinite(days.of(nodes.PLANT, "load_energy")).sum())
    needed = max(question.site.outlook.history_days_min, -(-len(ahead.hours) // REST_OF_PAST))
    body: dict[str, Any] = {
        "settled_until": question.site.calendar.local(until_ns).isoformat(),
        "days_known": known,
        "days_needed": needed,
        "hours_left": float(ahead.hours.sum()),
        "probability": round(HIGH - LOW, 3),
    }
    if known < needed:
        why = f"{known} days are known, {needed} are needed for an outlook"
        return Studied(_refused(material, why), body | {"status": "refused", "reason": why})
    prospect = _prospect(material, days, ahead)
    figures = _figures(material, prospect)
    found = targets(question, prospect)
    return Studied(figures, body | {"status": "outlook", "targets": found})


def _prospect(material: Material, days: Days, ahead: Ahead) -> Prospect:
    question = material.question
    rng = np.random.default_rng((SEED, question.span.start_ns // QUARTER_NS, material.span.end_ns // QUARTER_NS))
    rest = simulate(days, ahead, question.site.outlook.history_days, rng)
    settled = _settled(material)
    total = outcome(settled, rest)
    certified_mwh = None
    if question.kind == "year":
        year = question.site.calendar.local(question.span.start_ns).year
        certified_mwh = certificates_of_year(material.entries, year).total_mwh
        use = [(nodes.PLANT, name) for name in ("load_energy", "storage_loss")]
        if all(key in settled and key in rest for key in use):
            power_mwh: F64 = np.sum([settled[key] + rest[key] for key in use], axis=0) / 1000.0
            total[nodes.PLANT, "certificate_ratio"] = 100.0 * certified_mwh / power_mwh
    return Prospect(days, ahead, settled, rest, total, certified_mwh, _surplus_kw(material))


def _period(material: Material) -> Period:
    """The settled part of the period, summed like any other."""
    question = material.question
    span = Span(question.span.start_ns, material.span.end_ns)
    rows = material.rows.take(slice(int(np.searchsorted(material.rows.start_ns, span.start_ns)), None))
    return Period(question.site, question.rulebook, span, question.kind, rows, "provisional", (), material.efficiency)


def _settled(material: Material) -> dict[Key, float]:
    """Sums of the settled part; what too little was measured of is absent."""
    period, site = _period(material), material.question.site
    found: dict[Key, float] = {}
    for node, names in ((nodes.PLANT, (*_ENERGY, *_PROCESS)), *((nodes.line(n), _PROCESS) for n in site.potlines)):
        for name in names:
            if not len(period.rows.start_ns):
                found[node, name] = 0.0
                continue
            one = period.sum(node, name)
            if one.value is not None and one.measured_share >= site.accounting.measured_share_min:
                found[node, name] = one.value
    plant = nodes.PLANT
    for name, more, less in (
        ("storage_loss", "storage_charge", "storage_discharge"),
        ("renewable_used", "renewable_generation", "renewable_export"),
    ):
        if (plant, more) in found and (plant, less) in found:
            found[plant, name] = found[plant, more] - found[plant, less]
    if not site.branches_of("storage"):
        found[plant, "storage_loss"] = 0.0
    return found


def _days(material: Material) -> Days:
    """The whole local days of the rows. A day of which less than nine tenths is known is none."""
    site, rows = material.question.site, material.rows
    named = days_of(site.calendar, Span(material.span.start_ns, material.span.end_ns))
    spans = [span for _, span in named]

    def daily(values: F64) -> F64:
        total, share = sums_of(values, spans, rows)
        return np.where(share >= KNOWN_SHARE_MIN, total, np.nan)

    sums: dict[Key, F64] = {}
    for node, names in ((nodes.PLANT, (*_ENERGY, *_PROCESS)), *((nodes.line(n), _PROCESS) for n in site.potlines)):
        sums |= {(node, name): daily(rows.column(node, name)) for name in names}
    plant = nodes.PLANT
    loss = sums[plant, "storage_charge"] - sums[plant, "storage_discharge"]
    sums[plant, "storage_loss"] = loss if site.branches_of("storage") else np.zeros(len(spans))
    made = sums[plant, "renewable_generation"]
    solar = daily(_solar_slots(material))
    hours = np.array([span.seconds / 3600.0 for span in spans])
    weekday = np.array([day.weekday() for day, _ in named], np.int64)
    if not site.branches_of("pv"):
        return Days(weekday, hours, np.ones(len(hours)), np.zeros(len(made)), sums)
    clear = _clear_slots(material, rows.start_ns)
    total, _ = sums_of(clear, spans, rows)
    return Days(weekday, hours, np.where(total > 0, total, np.nan), solar, sums)


def _solar_slots(material: Material) -> F64:
    """Energy of the PV fields in each slot: all that is renewable where nothing else is, so that a field whose rows are absent
    counts as the balance has it."""
    site, rows = material.question.site, material.rows
    others = [b for b in site.branches_of("generator") if b.source not in ("", "captive_coal", "captive_gas", "waste_heat")]
    if not others:
        return rows.column(nodes.PLANT, "renewable_generation")
    fields = [rows.column(nodes.branch(b.id), "energy_export") for b in site.branches_of("pv")]
    return np.sum(fields, axis=0) if fields else np.zeros(len(rows.start_ns))


def _clear_slots(material: Material, start_ns: Any) -> F64:
    """Relative clear-sky energy of slots: by the place, else the most that each time of day gave in the last weeks."""
    placed = clear_slots(start_ns, material.question.site.outlook)
    if placed is not None:
        return placed
    most = envelope(material.rows.start_ns, _solar_slots(material), SEASON_DAYS)
    return np.asarray(most[(start_ns // QUARTER_NS) % SLOTS_A_DAY])


def _ahead(material: Material) -> Ahead:
    """The rest of the period by local days."""
    question, calendar = material.question, material.question.site.calendar
    at_ns, end_ns = material.span.end_ns, question.span.end_ns
    parts = []
    while at_ns < end_ns:
        day = calendar.local(at_ns).date()
        next_ns = min(calendar.instant_ns(day + timedelta(days=1)), end_ns)
        parts.append((day.weekday(), Span(at_ns, next_ns)))
        at_ns = next_ns
    hours = np.array([span.seconds / 3600.0 for _, span in parts])
    weekday = np.array([number for number, _ in parts], np.int64)
    if not question.site.branches_of("pv"):
        return Ahead(weekday, hours, np.zeros(len(hours)))
    if question.site.outlook.latitude_deg is None and len(hours) > SEASON_DAYS:
        return Ahead(weekday, hours, None)
    clear = np.array([_clear_slots(material, span.bounds(QUARTER_NS)[:-1]).sum() for _, span in parts])
    return Ahead(weekday, hours, clear)


def _surplus_kw(material: Material) -> float | None:
    """Mean power of what was exported of renewable energy, over the slots of the past in which any was."""
    exported = material.rows.column(nodes.PLANT, "renewable_export")
    some = exported[np.isfinite(exported) & (exported > 0)]
    return float(some.mean()) * 4.0 if len(some) else None


@dataclass(frozen=True, slots=True)
class _Trust:
    completeness: float
    measured_share: float


def _figures(material: Material, prospect: Prospect) -> dict[str, dict[str, Figure]]:
    found: dict[str, dict[str, Figure]] = {}
    for node, name in _asked(material.question):
        trust = _trust(material, node)
        amounts = prospect.total.get((node, name)) if name != "certificate_ratio" or prospect.certified_mwh else None
        if amounts is None:
            figure = _null(name, trust, _why(material.question, prospect, node, name))
        elif name == "certificate_ratio":
            # what is cancelled so far is the least that the year ends with; what is cancelled yet the load does not tell
            least = float(np.quantile(amounts, LOW))
            figure = replace(_null(name, trust, "certificates still to be cancelled are not projected"), low=least)
        else:
            figure = _figure(material.question, name, amounts, trust)
        found.setdefault(node, {})[figure.indicator] = figure
    return found


def _figure(question: Question, name: str, amounts: F64, trust: _Trust) -> Figure:
    low, value, high = (float(x) for x in np.quantile(amounts, (LOW, 0.5, HIGH)))
    day = question.site.calendar.local(question.span.end_ns - 1).date()
    held = standing(question.rulebook, question.site, name, value, low, high, day, question.kind)
    return Figure(
        name + OUTLOOK_SUFFIX,
        value,
        low,
        high,
        trust.completeness,
        trust.measured_share,
        "",
        held.status,
        held.editions,
    )


def _null(name: str, trust: _Trust, reason: str) -> Figure:
    return Figure(name + OUTLOOK_SUFFIX, None, None, None, trust.completeness, trust.measured_share, reason)


def _refused(material: Material, reason: str) -> dict[str, dict[str, Figure]]:
    found: dict[str, dict[str, Figure]] = {}
    for node, name in _asked(material.question):
        found.setdefault(node, {})[name + OUTLOOK_SUFFIX] = _null(name, _trust(material, node), reason)
    return found


def _asked(question: Question) -> list[Key]:
    """What is projected: of the plant what it has, of each line its metal and its energy per tonne."""
    site: Site = question.site
    renewable = site.branches_of("pv") or any(b.source in ("wind", "hydro", "biomass") for b in site.branches_of("generator"))
    found = [(nodes.PLANT, n) for n in (_OF_PLANT if renewable else _OF_PLANT[:2])]
    if site.potlines:
        found += [(node, n) for node in (nodes.PLANT, *map(nodes.line, site.potlines)) for n in _OF_METAL]
    return found + ([(nodes.PLANT, "certificate_ratio")] if question.kind == "year" else [])


def _trust(material: Material, node: str) -> _Trust:
    """Of all rows that the outlook rests on."""
    completeness, share = (np.nan_to_num(material.rows.column(node, name)) for name in _TRUST)
    return _Trust(float(completeness.mean()), float(share.mean())) if len(share) else _Trust(0.0, 0.0)


def _why(question: Question, prospect: Prospect, node: str, name: str) -> str:
    """Why a figure has no outlook."""
    if name == "certificate_ratio" and not prospect.certified_mwh:
        year = question.site.calendar.local(question.span.start_ns).year
        return f"no certificate cancelled for {year} is in the ledger"
    part, whole, _ = RATIOS.get(name, (name, name, 1.0))
    missing = [key for key in (part.removesuffix("_by_metal"), whole) if (node, key) not in prospect.settled]
    if missing and name != "certificate_ratio":
        return "too little of the settled part was measured"
    if prospect.ahead.clear is None:
        return f"[outlook] names no place: the sun is not known more than {SEASON_DAYS} days ahead"
    return "too few of the past days were measured whole"


STUDY = Study("outlook", wants, compute, ("month", "year"), ("month", "year"))
assert set(SUMS) <= {*_OF_PLANT, *_OF_METAL}
