"""How a figure stands to the limits that name it, on the day the energy was used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from plant.indicators import INDICATORS
from plant.rulebook import UNDECIDABLE, UNKNOWN, Rule, Rulebook, grade, status
from plant.site import Site

PeriodKind = Literal["interval", "day", "month", "year"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Status word by rule id (grades under ``<prefix>-grade``), and the editions that were used."""

    status: dict[str, str]
    editions: tuple[str, ...]


def standing(
    rulebook: Rulebook,
    site: Site,
    indicator: str,
    value: float | None,
    low: float | None,
    high: float | None,
    at: date,
    kind: PeriodKind,
    voltage_kv: float | None = None,
) -> Standing:
    """Hold a figure with its band against every limit and grade in force ``at`` that names it, its period and, where limits
    differ by it, the nominal voltage of its bus section.

    A band across a limit is not decidable. The site's own targets stand under ``target``, each for periods of its own kind.
    """
    words: dict[str, str] = {}
    editions: list[str] = []
    grades: dict[str, list[Rule]] = {}
    for rule in rulebook.for_indicator(indicator, at, (site.province, "CN"), voltage_kv, site.green.limits):
        if not rule.holds_for(kind):
            continue
        editions.append(rule.edition)
        if rule.kind == "grade":
            grades.setdefault(rule.id.rpartition("-")[0], []).append(rule)
        else:
            words[rule.id] = status(rule, indicator, kind, value, low, high)
    for name, rules in grades.items():
        words[name] = _grade(rules, indicator, value, low, high)
    target = _target(site, indicator, kind)
    if target is not None:
        words["target"] = _against(target, value, low, high)
    return Standing(words, tuple(editions))


def limit_rows(rulebook: Rulebook, site: Site, at: date) -> dict[str, list[dict[str, Any]]]:
    """The limits in force on a day for each indicator that has one, the province's before the nation's, ready for JSON."""
    scope = (site.province, "CN") if site.province else ("CN",)
    levels = (None, *dict.fromkeys(site.bus_voltage_kv.values()))
    found = {
        name: list(
            {r.edition: r for level in levels for r in rulebook.for_indicator(name, at, scope, level, site.green.limits)}.values()
        )
        for name in INDICATORS
    }
    return {name: [_limit_row(rule) for rule in rules] for name, rules in found.items() if rules}


def _limit_row(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "kind": rule.kind,
        "value": float(rule.value),
        "unit": rule.unit,
        "period": rule.period,
        "boundary": rule.boundary,
        "document": rule.document,
        "edition": rule.edition,
        "sure": rule.sure,
        "placeholder": rule.placeholder,
    }


def _grade(rules: list[Rule], indicator: str, value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return UNKNOWN
    best, worst = (grade(rules, indicator, Decimal(repr(round(edge, 6)))) for edge in (low, high))
    return best if best == worst else UNDECIDABLE


def _target(site: Site, indicator: str, kind: PeriodKind) -> float | None:
    targets = {
        "green_share_physical": site.accounting.green_share_target(kind),
        "certificate_ratio": site.accounting.quota_target_percent,
    }
    return targets.get(indicator)


def _against(target: float, value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return UNKNOWN
    return "met" if low >= target else "missed" if high < target else UNDECIDABLE
