"""Study of emission trading: allowances of the year beyond or short of own emissions, to date and projected, and their value.

Verified emissions where the ledger has them, else what the carbon account reckons. Allocation = verified x (1 + alpha).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from analytics.carbon import AllowanceRule, deviation
from analytics.carbon_chapter import KINDS, carbon_figures
from analytics.carbon_factors import Factors
from analytics.estimate import Sum
from analytics.gather import PROCESS_FIELDS
from analytics.period_metal import process_metal, subjects_of
from analytics.period_rows import Period
from analytics.period_sums import because, figure_of, independent_ratio
from analytics.process_documents import by_kind, of_subjects
from analytics.process_pots import KINDS as POT_KINDS
from analytics.process_pots import pot_figures
from analytics.study import Material, Question, Studied, Study, Wants
from plant import nodes
from plant.indicators import Figure
from plant.ports import LedgerEntry
from plant.series import Span
from plant.settings.carbon import BalanceValue
from plant.site import Site

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
    verified = _verified(site, by_kind(material.entries).get("verified_emissions", []), question.span)
    body: dict[str, Any] = {"year": year, "balance_value": None if balance is None else balance.model_dump()}
    if not site.potlines or material.span.end_ns <= material.span.start_ns:
        return Studied(body=body | {"reason": "no potline" if not site.potlines else "nothing is settled"})
    metal = process_metal(period, nodes.PLANT, list(site.potlines))
    emitted = _reckoned(period, metal) if verified is None else _of_verified(verified, metal)
    figures, more = _allowances(_of_compliance_year(period, year), balance, emitted)
    elapsed = (material.span.end_ns - material.span.start_ns) / (question.span.end_ns - question.span.start_ns)
    if verified is None and elapsed < 1 and (surplus := figures["ets_surplus"].value) is not None:
        more["projected_surplus_t"] = surplus / elapsed
        more["projection"] = f"as the {elapsed:.0%} of the year so far"
    return Studied({nodes.PLANT: figures}, body | more | {"emissions": emitted.said})


def _of_compliance_year(period: Period, year: int) -> Period:
    """The same, read by the rules of the end of its compliance year: they are decided after it began."""
    calendar = period.site.calendar
    end_ns = max(period.span.end_ns, calendar.instant_ns(date(year + 1, 1, 1)))
    return replace(period, span=Span(period.span.start_ns, end_ns))


def _verified(site: Site, entries: Sequence[LedgerEntry], year: Span) -> float | None:
    """Verified emissions of a year, t: those whose span begins in it; of the plant, else of all its lines together."""
    of_year = [e for e in entries if year.start_ns <= e.start_ns < year.end_ns]
    own = of_subjects(of_year, (nodes.PLANT,))
    by_line = [of_subjects(of_year, subjects_of([line])) for line in site.potlines]
    if not own and all(by_line):
        own = [e for line in by_line for e in line]
    return sum(e.amount / 1000 for e in own) if own else None


@dataclass(frozen=True, slots=True)
class _Emitted:
    """Emissions of the year as an amount times its rate: what was verified (rate 1) or the metal (its intensity). The two err
    apart, while emissions that follow from the metal do not err apart from it."""

    intensity: Sum  # t a tonne of metal
    amount: Sum
    per_amount: Literal["one", "intensity"]
    said: str

    @property
    def tonnes(self) -> float | None:
        """Emissions, t."""
        value, rate = self.amount.value, self.intensity.value
        return None if value is None or rate is None else value * (1.0 if self.per_amount == "one" else rate)


def _of_verified(tonnes: float, metal: Sum) -> _Emitted:
    sure = Sum(tonnes, tonnes, tonnes, 1.0)
    return _Emitted(independent_ratio(sure, metal), sure, "one", "verified")


def _reckoned(period: Period, metal: Sum) -> _Emitted:
    """Direct emissions as the carbon account has them."""
    found = carbon_figures(period, pot_figures(period, {}).figures).figures
    figure = found[nodes.PLANT]["direct_emissions_intensity"]
    rate = Sum(figure.value, figure.low, figure.high, figure.measured_share)
    return _Emitted(rate, metal, "intensity", "reckoned, not verified")


def _allowances(period: Period, balance: BalanceValue | None, emitted: _Emitted) -> tuple[dict[str, Figure], dict[str, Any]]:
    factors = Factors(period)
    rule, price = factors.allowances(), factors.value("ets-price")
    share = min(emitted.intensity.measured_share, emitted.amount.measured_share)
    tonnes, own = emitted.tonnes, emitted.intensity.value
    nothing = Sum(None, None, None, share)
    if balance is None or rule is None or tonnes is None or not own:
        why = factors.reason or "emissions or metal are not known"
        if balance is None:
            why = "no balance value of the year is set ([carbon] ets_balance)"
        names = ("ets_surplus", "ets_surplus_value")
        return {name: replace(figure_of(period, nodes.PLANT, name, nothing), reason=why) for name in names}, {"reason": why}
    x = deviation(balance.t_per_t, own)
    alpha = rule.alpha(x)
    slots = max(emitted.intensity.estimated_slots, emitted.amount.estimated_slots)
    surplus = Sum(tonnes * alpha, *_edges(emitted, balance, rule), share, slots)
    found = {"ets_surplus": _figure(period, "ets_surplus", surplus, emitted, factors)}
    body: dict[str, Any] = {"own_intensity_t_per_t": own, "deviation_percent": 100 * x, "alpha": alpha}
    if price is None:
        found["ets_surplus_value"] = because(figure_of(period, nodes.PLANT, "ets_surplus_value", nothing), factors.reason)
        return found, body
    ends = (surplus.value, surplus.low, surplus.high)
    yuan = [None if t is None else (Decimal(repr(t)) * Decimal(repr(price))).quantize(CENT) for t in ends]
    value, low, high = (None if y is None else float(y) for y in yuan)
    found["ets_surplus_value"] = _figure(period, "ets_surplus_value", Sum(value, low, high, share, slots), emitted, factors)
    if found["ets_surplus_value"].value is not None:
        body["value_yuan"] = str(yuan[0])
    return found, body


def _figure(period: Period, name: str, amount: Sum, emitted: _Emitted, factors: Factors) -> Figure:
    figure = because(figure_of(period, nodes.PLANT, name, amount), f"emissions {emitted.said}")
    return replace(figure, editions=tuple(factors.editions))


def _edges(emitted: _Emitted, balance: BalanceValue, rule: AllowanceRule) -> tuple[float | None, float | None]:
    """Least and most of the surplus over what the intensity and the amount may be: at their ends, and where alpha bends."""
    least, most = emitted.intensity.low, emitted.intensity.high
    amounts = (emitted.amount.low, emitted.amount.high)
    if least is None or most is None:
        return None, None
    bends = [balance.t_per_t * (1 + sign * rule.deviation_cap) for sign in (-1, 1)]
    inner = [rate for rate in (*bends, balance.t_per_t / 2) if least < rate < most]
    found = []
    for rate in (least, most, *inner):
        for amount in amounts:
            if amount is None:
                return None, None
            tonnes = amount if emitted.per_amount == "one" else amount * rate
            found.append(tonnes * rule.alpha(deviation(balance.t_per_t, rate)))
    return min(found), max(found)


STUDY = Study("ets", wants, compute, kinds=("year",), in_reports=("year",))
