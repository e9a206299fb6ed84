"""Study ``certificates``: the stock, R against its target, the gap and its cost, what ends soon, what may be issued."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from analytics.certificate_gap import QUOTA, Price, Target, gap_mwh, price_of, target_of, to_buy
from analytics.certificate_stock import Issued, expiring, held, issue, self_use_by_month, stock
from analytics.estimate import Sum
from analytics.green import Certificates, certificates_of_year, ratio_of_year, total_use
from analytics.period_rows import SINKS, SOURCES, Period
from analytics.plant_balance import flow_node
from analytics.study import Material, Question, Studied, Study, Wants
from plant import nodes
from plant.indicators import Figure
from plant.rulebook import MET, MISSED, UNDECIDABLE, UNKNOWN
from plant.series import QUARTER_NS, Span
from plant.site import RENEWABLE_SOURCES, Branch, Site

LEDGER_YEARS = 2  # documents of a quota year lie within this many years of it
_FIELDS = tuple(f"{name}{end}" for name in ("load_energy", *SOURCES, *SINKS) for end in ("", "_low", "_high"))


def _wants(question: Question) -> Wants:
    site, calendar = question.site, question.site.calendar
    year = calendar.local(question.span.start_ns).year
    first, end = (date(min(max(y, 1970), 2261), 1, 1) for y in (year - LEDGER_YEARS, year + LEDGER_YEARS + 1))
    flows = [flow_node(b.id, sink) for b in _generators(site) for sink in _own_sinks(site)]
    columns = [([nodes.PLANT], (*_FIELDS, "completeness", "measured_share")), (flows, ("flow_energy",))]
    documents = Span(calendar.instant_ns(first), calendar.instant_ns(end))
    start_ns = calendar.year(max(year - 1, 1970)).start_ns  # what its December left over counts for January
    return Wants(Span(start_ns, question.span.end_ns), columns, documents, ("certificate",))


def _compute(material: Material) -> Studied:
    asked = material.question
    site, year = asked.site, asked.site.calendar.local(asked.span.start_ns).year
    today = site.calendar.local(asked.now_ns).date()
    own = Span(asked.span.start_ns, max(asked.span.start_ns, material.span.end_ns))
    rows = material.rows.take(slice(int(np.searchsorted(material.rows.start_ns, own.start_ns)), None))
    period = Period(site, asked.rulebook, own, "year", rows, "provisional", material.entries)
    batches, unreadable = held(material.entries)
    counted = certificates_of_year(material.entries, year)
    use = total_use(period)
    ratio = ratio_of_year(period, use) if len(period.rows.start_ns) else None
    target = target_of(site, asked.rulebook, date(year, 12, 31))
    price = price_of(site, asked.rulebook, min(today, date(year + 1, 12, 31)), asked.now_ns)
    issued = {b.id: _issued(material, b) for b in _generators(site)}
    body: dict[str, Any] = {
        "quota_year": year,
        "today": today.isoformat(),
        "stock_mwh": stock(batches, today),
        "counted_mwh": {
            "self_use": counted.self_use_mwh,
            "green_trade": counted.green_trade_mwh,
            "bought": counted.bought_mwh,
            "total": counted.total_mwh,
        },
        "total_use_kwh": use.value,
        "ratio_percent": None if ratio is None else ratio.value,
        "ratio_low_percent": None if ratio is None else ratio.low,
        "ratio_high_percent": None if ratio is None else ratio.high,
        "target": None if target is None else {**asdict(target), "percent": str(target.percent)},
        "price_yuan": None
        if price is None
        else {"low": str(price.low_yuan), "high": str(price.high_yuan), "origin": price.origin},
        "expiring": expiring(batches, today),
        "issue": {branch: [asdict(row) for row in rows] for branch, rows in issued.items()},
        "faults": _faults(issued, self_use_by_month(batches), counted, tuple(unreadable)),
    }
    so_far = asked.settled_ns < asked.span.end_ns
    return Studied({nodes.PLANT: _figures(period, use, counted.total_mwh, target, price, so_far)}, body)


def _generators(site: Site) -> list[Branch]:
    return [b for b in site.branches.values() if b.source in RENEWABLE_SOURCES and site.points_of(b.id)]


def _own_sinks(site: Site) -> list[str]:
    return ["load", *(b.id for b in site.branches_of("storage"))]


def _issued(material: Material, generator: Branch) -> list[Issued]:
    """Self-used energy of a generator by calendar month of the year, and its certificates; the year before is counted through for
    what its last month leaves over. What goes into a battery is used by the plant; what a battery gives gets no certificate."""
    asked, rows = material.question, material.rows
    flows = [rows.column(flow_node(generator.id, sink), "flow_energy") for sink in _own_sinks(asked.site)]
    energy = np.sum(flows, axis=0)
    year = asked.site.calendar.local(asked.span.start_ns).year
    months: list[tuple[str, int | None]] = []
    for one, number in [(one, number) for one in (year - 1, year) for number in range(1, 13)]:
        span = asked.site.calendar.month(one, number)
        first, end = np.searchsorted(rows.start_ns, [span.start_ns, span.end_ns])
        part = energy[first:end]
        whole = len(part) == (span.end_ns - span.start_ns) // QUARTER_NS and bool(np.isfinite(part).all())
        months.append((f"{one}-{number:02}", round(float(part.sum())) if whole else None))
    return issue(months)[-12:]


def _faults(
    issued: dict[str, list[Issued]], entered: dict[str, int], counted: Certificates, unreadable: tuple[int | None, ...]
) -> list[str]:
    """What cannot be as the ledger has it."""
    found = [f"entry {number}: cancelled for a year in which it was valid no more; it is not counted" for number in counted.ended]
    found += [f"entry {number}: cancelled for a year after which it was generated; it is not counted" for number in counted.later]
    found += [f"entry {number}: its data cannot be read; it is not counted" for number in unreadable]
    for months in zip(*issued.values(), strict=True):
        due = [row.certificates for row in months]
        month, most = months[0].month, sum(n or 0 for n in due) + len(due)
        if all(n is not None for n in due) and entered.get(month, 0) > most:
            found.append(
                f"{month}: {entered[month]} certificates of self-use are entered, the meters show {sum(n or 0 for n in due)}"
            )
    return found


def _figures(
    period: Period, use: Sum, total_mwh: int, target: Target | None, price: Price | None, so_far: bool
) -> dict[str, Figure]:
    completeness = period.completeness(nodes.PLANT)
    enough = use.measured_share >= period.site.accounting.measured_share_min
    gaps: list[Decimal | None] = [
        None if target is None or end is None or (i == 0 and not enough) else gap_mwh(target.percent, round(end), total_mwh)
        for i, end in enumerate((use.value, use.low, use.high))
    ]
    buy = [None if gap is None else to_buy(gap) for gap in gaps]
    prices = (None, None, None) if price is None else (price.middle_yuan, price.low_yuan, price.high_yuan)
    cost = [None if n is None or p is None else n * p for n, p in zip(buy, prices, strict=True)]
    missing = f"no target for {period.site.calendar.local(period.span.start_ns).year} is known" if target is None else ""
    least = period.site.accounting.measured_share_min
    few = "" if enough else f"measured share {use.measured_share:.1%} is below {least:.0%}"
    reasons = [missing or "; ".join(filter(None, (few, "the year so far" if so_far else "")))]
    if price is None:
        reasons.append("no price of certificates is known")
    editions = () if target is None else (f"target: {target.origin}",) if target.origin == "site" else (target.origin,)
    priced = editions if price is None or price.origin == "site" else (*editions, price.origin)
    share = use.measured_share

    def figure(name: str, ends: list[Any], reason: str, used: tuple[str, ...], words: dict[str, str]) -> Figure:
        value, low, high = (None if end is None else float(end) for end in ends)
        return Figure(name, value, low, high, completeness, share, reason, words, used)

    words = {} if target is None else {"target" if target.origin == "site" else QUOTA: _word(gaps)}
    return {
        "certificate_gap": figure("certificate_gap", gaps, reasons[0], editions, words),
        "certificates_to_buy": figure("certificates_to_buy", buy, reasons[0], editions, {}),
        "certificate_cost": figure("certificate_cost", cost, "; ".join(filter(None, reasons)), priced, {}),
    }


def _word(gaps: list[Decimal | None]) -> str:
    value, low, high = gaps
    if value is None or low is None or high is None:
        return UNKNOWN
    return MET if high <= 0 else MISSED if low > 0 else UNDECIDABLE


STUDY = Study("certificates", _wants, _compute, kinds=("year",), in_reports=("year",))
