"""The figures of a province from its plants' reports: partitions over Dask, the same bytes however many workers there are."""

from __future__ import annotations

import hashlib
from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from analytics.aggregate import Aggregate, CapacityShare, PlantFigures, aggregated, capacity_share, of_months, suppressed
from plant.errors import Fault
from plant.indicators import INDICATORS, Figure
from plant.rulebook import UNKNOWN, Rule, Rulebook, status
from potwatt.partitions import over_partitions
from potwatt.province_inputs import Handed, checked, files_of, read_report
from potwatt.province_recompute import months_of, recomputed

ALL = "all"  # every province together
TARGET = "capacity-at-benchmark"
WITHHELD = "of too few enterprises, or told by the total less the others"


def province_answer(
    paths: Sequence[Path],
    period: str,
    rulebook: Rulebook,
    *,
    workers: int = 1,
    companies_min: int = 3,
    expected: Sequence[str] = (),
) -> dict[str, Any]:
    """What the reports of a period say together, ready for JSON, with every report it rests on.

    ``expected`` are plants that ought to be there; those without a report are named. Raises ConfigError with every fault.
    """
    reports = checked(over_partitions(read_report, files_of(paths), workers), period)
    return answer_of(reports, period, rulebook, companies_min=companies_min, expected=expected)


def recomputed_answer(
    folder: Path, period: str, rulebook: Rulebook, *, workers: int = 1, companies_min: int = 3, expected: Sequence[str] = ()
) -> dict[str, Any]:
    """The same from the plants' readings: every month of every plant computed anew (``potwatt.province_recompute``)."""
    months = months_of(period)
    found = recomputed(folder, months, workers)
    return answer_of_months(found, period, rulebook, companies_min=companies_min, expected=expected)


def answer_of_months(
    found: Sequence[Handed | list[Fault]], period: str, rulebook: Rulebook, *, companies_min: int, expected: Sequence[str]
) -> dict[str, Any]:
    """What recomputed months, in the order of ``recomputed``, say together of a month or a year."""
    months = months_of(period)
    by_month = [checked(found[i :: len(months)], month) for i, month in enumerate(months)]
    if len(months) == 1:
        return answer_of(by_month[0], period, rulebook, companies_min=companies_min, expected=expected)
    years = [_year(period, list(plant), rulebook) for plant in zip(*by_month, strict=True)]
    return answer_of(years, period, rulebook, companies_min=companies_min, expected=expected)


def _year(period: str, months: Sequence[Handed], rulebook: Rulebook) -> Handed:
    """A plant's year from its months."""
    chained = hashlib.sha256("".join(m.sha256 for m in months).encode()).hexdigest()
    hashes = hashlib.sha256("".join(m.interval_hash for m in months).encode()).hexdigest()
    figures, last = of_months([m.figures for m in months]), months[-1]
    lines = {line: _held(by, figures.province, rulebook, _last_day(period)) for line, by in figures.lines.items()}
    figures = replace(figures, lines=lines)
    return Handed(figures.plant, chained, "year", period, 0, "provisional", hashes, last.data_until, figures)


def _held(by: Mapping[str, Figure], scope: str, rulebook: Rulebook, at: date) -> dict[str, Figure]:
    """Figures of a line's year against the limits that name them."""
    found = {}
    for name, f in by.items():
        rules = [r for r in rulebook.for_indicator(name, at, (scope, "CN")) if r.holds_for("year") and r.kind != "grade"]
        found[name] = replace(f, status={r.id: status(r, name, "year", f.value, f.low, f.high) for r in rules})
    return found


def answer_of(
    reports: Sequence[Handed], period: str, rulebook: Rulebook, *, companies_min: int, expected: Sequence[str]
) -> dict[str, Any]:
    """What reports of one period say together; see ``province_answer``."""
    body = {
        "period": period,
        "kind": reports[0].kind,
        "companies_min": companies_min,
        "provinces": _provinces(reports, rulebook, companies_min),
        "missing_plants": sorted(set(expected) - {r.figures.plant for r in reports}),
        "provisional_plants": [r.figures.plant for r in reports if r.status != "closed"],
        "rules": rulebook.edition,
        "reports": [_source(r) for r in reports],
    }
    return body | {"sha256": digest(body)}


def digest(body: Mapping[str, Any]) -> str:
    """SHA-256 of an answer without its own ``sha256``."""
    plain = {name: value for name, value in body.items() if name != "sha256"}
    return hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()


def differences(answer: Mapping[str, Any], again: Mapping[str, Any], path: str = "") -> list[str]:
    """Where two answers differ, as lines ``path: found, recomputed``."""
    found = []
    for name in sorted({*answer, *again} - ({"sha256"} if not path else set())):
        one, other, where = answer.get(name), again.get(name), f"{path}{name}"
        if isinstance(one, dict) and isinstance(other, dict):
            found += differences(one, other, f"{where}.")
        elif one != other:
            found.append(f"{where}: {one!r}, recomputed {other!r}")
    return found


def _source(report: Handed) -> dict[str, Any]:
    return {
        "plant": report.figures.plant,
        "enterprise": report.figures.enterprise,
        "province": report.figures.province,
        "file": report.file,
        "sha256": report.sha256,
        "version": report.version,
        "status": report.status,
        "interval_hash": report.interval_hash,
        "data_until": report.data_until,
    }


def _provinces(reports: Sequence[Handed], rulebook: Rulebook, companies_min: int) -> dict[str, Any]:
    """Figures by province, and of all of them together (``all``) where there are several; withheld ones say so."""
    by: dict[str, list[Handed]] = {}
    for report in sorted(reports, key=lambda r: r.figures.province):
        by.setdefault(report.figures.province, []).append(report)
    groups = by | ({ALL: list(reports)} if len(by) > 1 else {})
    plants = {name: [r.figures for r in group] for name, group in groups.items()}
    found = {name: aggregated(group) for name, group in plants.items()}
    hidden = {
        indicator: withheld({name: of[indicator].companies for name, of in found.items() if indicator in of}, companies_min)
        for indicator in INDICATORS
    }
    stating = {name: _companies([p for p in group if p.capacity_t_per_y]) for name, group in plants.items()}
    hidden_capacity = withheld({name: n for name, n in stating.items() if n}, companies_min)
    last = _last_day(reports[0].period)
    return {
        name: {
            "companies": _companies(group),
            "plants": [p.plant for p in group] if companies_min <= 1 else len(group),
            "figures": {
                indicator: _hidden(a) if name in hidden[indicator] else _figure(a, len(group), companies_min)
                for indicator, a in found[name].items()
            },
            "capacity": {"withheld": WITHHELD}
            if name in hidden_capacity
            else _capacity(capacity_share(group), rulebook.in_force(TARGET, last, (name, "CN")), reports[0].kind, companies_min),
        }
        for name, group in plants.items()
    }


def withheld(companies: Mapping[str, int], companies_min: int) -> set[str]:
    """Groups (provinces, and ``all`` of them) of a figure that is not shown: of too few enterprises, or told by the total."""
    parts = {name: n for name, n in companies.items() if name != ALL}
    if ALL not in companies:
        return {name for name, n in parts.items() if n < companies_min}
    hidden = suppressed(parts, companies_min)
    told = len(hidden) == 1 or (bool(hidden) and len(hidden) == len(parts))
    return hidden | ({ALL} if told or companies[ALL] < companies_min else set())


def _companies(plants: Sequence[PlantFigures]) -> int:
    return len({p.enterprise or p.plant for p in plants})


def _last_day(period: str) -> date:
    """The last day of a period, by which its rules are looked up."""
    if len(period) == 10:
        return date.fromisoformat(period)
    year, month = int(period[:4]), int(period[5:] or 12)
    return date(year, month, monthrange(year, month)[1])


def _hidden(a: Aggregate) -> dict[str, Any]:
    return {"unit": INDICATORS[a.indicator].unit, "companies": a.companies, "withheld": WITHHELD}


def _figure(a: Aggregate, plants: int, companies_min: int) -> dict[str, Any]:
    """A figure of several plants. Limits name companies and lines: none is held against it."""
    named = companies_min <= 1
    return {
        "unit": INDICATORS[a.indicator].unit,
        "value": a.value,
        "low": a.low,
        "high": a.high,
        "known_value": a.known_value if named or not a.missing else None,
        "completeness": a.completeness,
        "measured_share": a.measured_share,
        "companies": a.companies,
        "missing": list(a.missing) if named else len(a.missing),
        "plants": list(a.plants) if named else len(a.plants),
        "without": plants - len(a.plants),
    }


def _limit(rule: Rule) -> dict[str, Any]:
    edition = {"edition": rule.edition, "sure": rule.sure, "placeholder": rule.placeholder}
    return {"id": rule.id, "value": float(rule.value), **edition}


def _capacity(share: CapacityShare, target: Rule | None, kind: str, companies_min: int) -> dict[str, Any]:
    """Share of capacity at or above the benchmark, and below the baseline; the target is a year's, and held against
    a year alone."""
    found: dict[str, Any] = {"total_t_per_y": share.total_t_per_y}
    parts = {
        "at_benchmark": share.benchmark_t_per_y,
        "between": share.between_t_per_y,
        "below_baseline": share.below_baseline_t_per_y,
    }
    for name, part in parts.items():
        found[f"{name}_percent_low"], found[f"{name}_percent_high"] = share.percent(part) or (None, None)
    undecided = share.undecided_t_per_y
    found["undecided_lines"] = dict(sorted(undecided.items())) if companies_min <= 1 else len(undecided)
    if target is not None:
        low, high = found["at_benchmark_percent_low"], found["at_benchmark_percent_high"]
        word = status(target, target.indicator, kind, low, low, high) if target.holds_for(kind) else UNKNOWN
        found["target"] = _limit(target) | {"status": word}
    return found
