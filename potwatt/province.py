"""The figures of a province from its plants' reports: partitions over Dask, the same bytes however many workers there are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from analytics.aggregate import Aggregate, CapacityShare, aggregated, capacity_share, of_months, suppressed
from plant.errors import Fault
from plant.indicators import INDICATORS, Figure
from plant.rulebook import Rule, Rulebook, status
from potwatt.partitions import over_partitions
from potwatt.province_inputs import Handed, checked, files_of, read_report
from potwatt.province_recompute import months_of, recomputed


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
    """Figures by province, and of all of them together where there are several; withheld ones are null and say so."""
    by: dict[str, list[Handed]] = {}
    for report in reports:
        by.setdefault(report.figures.province, []).append(report)
    companies = {name: _companies(group) for name, group in by.items()}
    several = len(by) > 1
    withheld = suppressed(companies, companies_min) if several else {n for n, c in companies.items() if c < companies_min}
    found = {
        name: _withheld(group, companies_min) if name in withheld else _group(name, group, rulebook, companies_min)
        for name, group in sorted(by.items())
    }
    if several and _companies(reports) >= companies_min and not _gives_away(withheld, companies):
        found["all"] = _group("CN", reports, rulebook, companies_min)
    return found


def _gives_away(withheld: set[str], companies: Mapping[str, int]) -> bool:
    """Whether the total less what is shown would be the figures of a single withheld province."""
    return len(withheld) == 1 or (bool(withheld) and len(withheld) == len(companies))


def _companies(reports: Sequence[Handed]) -> int:
    return len({r.figures.enterprise or r.figures.plant for r in reports})


def _withheld(group: Sequence[Handed], companies_min: int) -> dict[str, Any]:
    return {
        "companies": _companies(group),
        "withheld": f"fewer than {companies_min} enterprises, or told by the total less others",
    }


def _group(scope: str, group: Sequence[Handed], rulebook: Rulebook, companies_min: int) -> dict[str, Any]:
    plants = [r.figures for r in group]
    last = _last_day(group[0].period)
    figures = {name: _figure(a, scope, rulebook, group[0].kind, last, companies_min) for name, a in aggregated(plants).items()}
    return {
        "companies": _companies(group),
        "plants": [p.plant for p in plants] if companies_min <= 1 else len(plants),
        "figures": figures,
        "capacity": _capacity(capacity_share(plants), scope, rulebook, last, companies_min),
    }


def _last_day(period: str) -> date:
    """A day of the period by which its rules are looked up: the last of a year, the first of the last month else."""
    if len(period) == 4:
        return date(int(period), 12, 31)
    return date.fromisoformat(period if len(period) == 10 else f"{period}-01")


def _figure(a: Aggregate, scope: str, rulebook: Rulebook, kind: str, at: date, companies_min: int) -> dict[str, Any]:
    """A figure with how it stands to the limits that name it; one of too few enterprises is withheld."""
    row = INDICATORS[a.indicator]
    if a.companies < companies_min:
        return {"unit": row.unit, "companies": a.companies, "withheld": f"of fewer than {companies_min} enterprises"}
    rules = [r for r in rulebook.for_indicator(a.indicator, at, (scope, "CN")) if r.holds_for(kind) and r.kind != "grade"]
    shown = {"missing": list(a.missing), "plants": list(a.plants)} if companies_min <= 1 else {"missing": len(a.missing)}
    return {
        "unit": row.unit,
        "value": a.value,
        "low": a.low,
        "high": a.high,
        "known_value": a.known_value if companies_min <= 1 or not a.missing else None,
        "completeness": a.completeness,
        "measured_share": a.measured_share,
        "companies": a.companies,
        "status": {r.id: status(r, a.indicator, kind, a.value, a.low, a.high) for r in rules},
        "limits": [_limit(r) for r in rules],
        **shown,
    }


def _limit(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "edition": rule.edition,
        "value": float(rule.value),
        "sure": rule.sure,
        "placeholder": rule.placeholder,
    }


def _capacity(share: CapacityShare, scope: str, rulebook: Rulebook, at: date, companies_min: int) -> dict[str, Any]:
    """Share of capacity at or above the benchmark, and below the baseline, against the province's target for it."""
    found: dict[str, Any] = {"total_t_per_y": share.total_t_per_y}
    parts = {
        "at_benchmark": share.benchmark_t_per_y,
        "between": share.between_t_per_y,
        "below_baseline": share.below_baseline_t_per_y,
    }
    for name, part in parts.items():
        percent = share.percent(part)
        found[f"{name}_percent_low"], found[f"{name}_percent_high"] = percent or (None, None)
    undecided = share.undecided_t_per_y
    found["undecided_lines"] = dict(sorted(undecided.items())) if companies_min <= 1 else len(undecided)
    target = rulebook.in_force("capacity-at-benchmark", at, (scope, "CN"))
    if target is not None:
        low, high = found["at_benchmark_percent_low"], found["at_benchmark_percent_high"]
        found["target"] = _limit(target) | {"status": status(target, target.indicator, "year", low, low, high)}
    return found
