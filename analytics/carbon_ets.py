"""Study of emission trading: allowances of the year beyond or short of own emissions, to date and projected, and their value.

Verified emissions where the ledger has them, else what the carbon account reckons. Allocation = verified x (1 + alpha).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from analytics.carbon import deviation
from analytics.carbon_chapter import KINDS, carbon_figures
from analytics.carbon_factors import Factors
from analytics.estimate import Sum
from analytics.gather import PROCESS_FIELDS
from analytics.period_metal import process_metal
from analytics.period_rows import Period
from analytics.period_sums import because
from analytics.process_documents import by_kind
from analytics.process_pots import KINDS as POT_KINDS
from analytics.process_pots import pot_figures
from analytics.study import Material, Question, Studied, Study, Wants
from plant import nodes
from plant.indicators import Figure
from plant.ports import LedgerEntry
from plant.series import Span
from plant.settings.carbon import BalanceValue

CENT = Decimal("0.01")


def wants(question: Question) -> Wants:
    """Rows and documents of the year to date, and what was verified up to the next year's end."""
    calendar = question.site.calendar
    year = calendar.local(question.span.start_ns).year
    documents = Span(question.span.start_ns, calendar.year(year + 1).end_ns)
    lines = [nodes.line(name) for name in question.site.potlines]
    columns = [([nodes.PLANT, *lines], PROCESS_FIELDS)]
    entries = (*KINDS, *POT_KINDS, "verified_emissions")
    return Wants(question.span, columns, documents=documents, entries=entries)


def compute(material: Material) -> Studied:
    """Surplus (+) or shortfall (-) of allowances of the year, in tCO2e and yuan."""
    question, site = material.question, material.question.site
    year = site.calendar.local(question.span.start_ns).year
    inside = [e for e in material.entries if e.start_ns < material.span.end_ns]
    period = Period(site, question.rulebook, material.span, "year", material.rows, "provisional", inside, material.efficiency)
    balance = site.carbon.balance_of(year)
    verified = _verified(by_kind(material.entries).get("verified_emissions", []), question.span)
    body: dict[str, Any] = {"year": year, "balance_value": None if balance is None else balance.model_dump()}
    if not site.potlines or material.span.end_ns <= material.span.start_ns:
        return Studied(body=body | {"reason": "no potline" if not site.potlines else "nothing is settled"})
    direct = _direct(period)
    emitted = direct if verified is None else Sum(verified, verified, verified, 1.0)
    metal = process_metal(period, nodes.PLANT, list(site.potlines))
    said = "reckoned, not verified" if verified is None else "verified"
    figures, more = _allowances(_of_compliance_year(period, year), balance, emitted, metal, said)
    elapsed = (material.span.end_ns - material.span.start_ns) / (question.span.end_ns - question.span.start_ns)
    if verified is None and elapsed < 1 and (surplus := figures["ets_surplus"].value) is not None:
        more["projected_surplus_t"] = surplus / elapsed
        more["projection"] = f"as the {elapsed:.0%} of the year so far"
    return Studied({nodes.PLANT: figures}, body | more | {"emissions": said})


def _of_compliance_year(period: Period, year: int) -> Period:
    """The same, read by the rules of the end of its compliance year: they are decided after it began."""
    calendar = period.site.calendar
    end_ns = max(period.span.end_ns, calendar.instant_ns(date(year + 1, 1, 1)))
    return replace(period, span=Span(period.span.start_ns, end_ns))


def _verified(entries: Sequence[LedgerEntry], year: Span) -> float | None:
    """Verified emissions of a year, t: those whose span begins in it."""
    own = [e.amount / 1000 for e in entries if year.start_ns <= e.start_ns < year.end_ns]
    return sum(own) if own else None


def _direct(period: Period) -> Sum:
    """Direct emissions as the carbon account has them."""
    found = carbon_figures(period, pot_figures(period, {}).figures).figures
    figure = found[nodes.PLANT]["direct_emissions"]
    return Sum(figure.value, figure.low, figure.high, figure.measured_share)


def _allowances(
    period: Period, balance: BalanceValue | None, emitted: Sum, metal: Sum, said: str
) -> tuple[dict[str, Figure], dict[str, Any]]:
    factors = Factors(period)
    rule, price = factors.allowances(), factors.value("ets-price")
    share = min(emitted.measured_share, metal.measured_share)
    if balance is None or rule is None or emitted.value is None or not metal.value:
        why = factors.reason or "emissions or metal are not known"
        if balance is None:
            why = "no balance value of the year is set ([carbon] ets_balance)"
        names = ("ets_surplus", "ets_surplus_value")
        return {name: Figure(name, None, None, None, share, share, why) for name in names}, {"reason": why}
    own = emitted.value / metal.value
    x = deviation(balance.t_per_t, own)
    alpha = rule.alpha(x)
    surplus = emitted.value * alpha
    edges = _edges(emitted, metal, balance, rule.alpha)
    editions = tuple(factors.editions)
    trust = period.completeness(nodes.PLANT)
    found = {"ets_surplus": Figure("ets_surplus", surplus, *edges, trust, share, f"emissions {said}", {}, editions)}
    body: dict[str, Any] = {"own_intensity_t_per_t": own, "deviation_percent": 100 * x, "alpha": alpha}
    if price is not None:
        yuan = [None if t is None else (Decimal(repr(t)) * Decimal(repr(price))).quantize(CENT) for t in (surplus, *edges)]
        body["value_yuan"] = str(yuan[0])
        value, low, high = (None if y is None else float(y) for y in yuan)
        found["ets_surplus_value"] = Figure(
            "ets_surplus_value", value, low, high, trust, share, f"emissions {said}", {}, editions
        )
    else:
        nothing = Figure("ets_surplus_value", None, None, None, trust, share)
        found["ets_surplus_value"] = because(nothing, factors.reason)
    return found, body


def _edges(emitted: Sum, metal: Sum, balance: BalanceValue, alpha: Callable[[float], float]) -> tuple[float | None, float | None]:
    """Least and most of the surplus over the corners of emissions and metal."""
    corners = []
    for t in (emitted.low, emitted.high):
        for m in (metal.low, metal.high):
            if t is None or not m:
                return None, None
            corners.append(t * alpha(deviation(balance.t_per_t, t / m)))
    return min(corners), max(corners)


STUDY = Study("ets", wants, compute, kinds=("year",), in_reports=("year",))
