"""Study ``statements``: the grid company's statements of ties and contracts beside our sums, and which of them reports use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analytics.chapter import Found
from analytics.estimate import Sum
from analytics.green_contracts import settled_energy
from analytics.limits import standing
from analytics.statement_compare import Compared, Stated, compared, covers, our_sum, slots_of, standing_statements
from analytics.study import Material, Question, Studied, Study, Wants
from plant import nodes
from plant.indicators import Figure
from plant.site import Site

_FIELDS = (
    *(f"energy_{direction}{end}" for direction in ("import", "export") for end in ("", "_low", "_high")),
    "completeness",
    "measured_share",
)


def _wants(question: Question) -> Wants:
    ties = [nodes.branch(tie) for tie in _ties(question.site)]
    return Wants(question.span, [(ties, _FIELDS)], entries=("statement", "contract_energy"))


def _ties(site: Site) -> list[str]:
    return [tie.id for tie in site.branches_of("grid_tie")]


def _compute(material: Material) -> Studied:
    site = material.question.site
    stated, left_out = standing_statements(material.entries, material.span)
    least = site.accounting.measured_share_min
    rows = [compared(s, _ours(material, s), least) for s in stated]
    figures: Found = {}
    for tie in _ties(site):
        figures[nodes.branch(tie)] = _of_tie(material, tie, rows)
    if figures:
        figures[nodes.PLANT] = {name: _summed(figures, site, name) for name in ("import_reported", "export_reported")}
    body = {
        "statements": [_row(one) for one in rows],
        "left_out": left_out,
        "report_energy": {tie: site.green.report_energy.get(tie, "metered") for tie in _ties(site)},
    }
    return Studied(figures, body)


def _ours(material: Material, stated: Stated) -> Sum:
    """Our sum over the span of a statement: of a tie by its meters, of a contract what was settled interval by interval."""
    contract = next((c for c in material.question.site.green.contract if c.id == stated.subject), None)
    if contract is None:
        return our_sum(material.rows, nodes.branch(stated.subject), stated.direction, stated.span)
    start_ns = material.rows.start_ns[slots_of(material.rows.start_ns, stated.span)]
    energy = settled_energy(contract, material.entries, start_ns).energy_kwh
    if not len(energy) or not np.isfinite(energy).all():
        return Sum(None, None, None, 0.0)
    total = float(round(energy.sum()))  # settled in whole kWh
    return Sum(total, total, total, 1.0)


def _of_tie(material: Material, tie: str, rows: Sequence[Compared]) -> dict[str, Figure]:
    mine = [row for row in rows if row.stated.subject == tie]
    found = {
        f"{direction}_reported": _reported(material, tie, direction, [r.stated for r in mine if r.stated.direction == direction])
        for direction in ("import", "export")
    }
    return found | ({"statement_difference": _difference(material, tie, mine)} if mine else {})


def _reported(material: Material, tie: str, direction: str, stated: Sequence[Stated]) -> Figure:
    """Energy of a tie by our meters or by the statements, as the site wants it; the reason names which."""
    site, name = material.question.site, f"{direction}_reported"
    ours = our_sum(material.rows, nodes.branch(tie), direction, material.span)
    completeness = _completeness(material, tie)
    if site.green.report_energy.get(tie, "metered") == "metered":
        enough = ours.value is not None and ours.measured_share >= site.accounting.measured_share_min
        value = ours.value if enough else None
        return Figure(name, value, ours.low, ours.high, completeness, ours.measured_share, f"energy by our meters: {tie}")
    if not stated or not covers(stated, material.span):
        reason = f"no statement covers all of {tie}"
        return Figure(name, None, ours.low, ours.high, completeness, ours.measured_share, reason)
    total = float(sum(s.energy_kwh for s in stated))
    documents = ", ".join(dict.fromkeys(s.document or s.status for s in stated))
    return Figure(name, total, total, total, 1.0, 1.0, f"energy by the grid company's statement: {documents}")


def _difference(material: Material, tie: str, rows: Sequence[Compared]) -> Figure:
    """Size of the largest difference of a tie's statements, held against the limit that names it."""
    asked = material.question
    known = [row for row in rows if row.difference_kwh is not None]
    share, completeness = min((row.ours.measured_share for row in rows), default=0.0), _completeness(material, tie)
    if not known:
        return Figure("statement_difference", None, None, None, completeness, share, "nothing was measured")
    worst = max(known, key=_size)
    low, value, high = _sizes(worst)
    day = asked.site.calendar.local(worst.stated.span.end_ns - 1).date()
    # the limit is about the two figures as they are, not about what their meters might have shown
    held = standing(asked.rulebook, asked.site, "statement_difference", value, value, value, day, asked.kind)
    if worst.difference_percent is None:
        reason = f"the statement says 0 kWh, our meters {worst.ours.value:.0f} kWh"
        return Figure("statement_difference", None, None, None, completeness, share, reason, held.status, held.editions)
    return Figure("statement_difference", value, low, high, completeness, share, "", held.status, held.editions)


def _size(row: Compared) -> float:
    """Size of a difference in %: endless where the statement says nothing."""
    return np.inf if row.difference_percent is None else abs(row.difference_percent)


def _sizes(row: Compared) -> tuple[float, float, float]:
    """Least, stated and largest size of a difference in %, over the band of our sum."""
    stated, value = row.stated.energy_kwh, _size(row)
    if not stated:
        return value, value, value
    ends = [end for end in (row.ours.low, row.ours.high) if end is not None]
    sizes = [100.0 * abs(end - stated) / stated for end in ends]
    inside = len(ends) == 2 and ends[0] <= stated <= ends[1]
    return (0.0 if inside else min([value, *sizes])), value, max([value, *sizes])


def _completeness(material: Material, tie: str) -> float:
    column = material.rows.column(nodes.branch(tie), "completeness")
    return float(np.nan_to_num(column).mean()) if len(column) else 0.0


def _summed(figures: Found, site: Site, name: str) -> Figure:
    """The ties together, and which of them stands by what."""
    parts = [figures[nodes.branch(tie)][name] for tie in _ties(site)]

    def total(values: list[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return sum(known) if len(known) == len(values) else None

    value, low, high = (total([getattr(p, end) for p in parts]) for end in ("value", "low", "high"))
    reason = "; ".join(dict.fromkeys(p.reason for p in parts))
    return Figure(name, value, low, high, min(p.completeness for p in parts), min(p.measured_share for p in parts), reason)


def _row(row: Compared) -> dict[str, Any]:
    stated = row.stated
    return {
        "subject": stated.subject,
        "direction": stated.direction,
        "start_ns": stated.span.start_ns,
        "end_ns": stated.span.end_ns,
        "document": stated.document,
        "status": stated.status,
        "stated_kwh": stated.energy_kwh,
        "ours_kwh": row.ours.value,
        "ours_low_kwh": row.ours.low,
        "ours_high_kwh": row.ours.high,
        "difference_kwh": row.difference_kwh,
        "difference_percent": row.difference_percent,
        "verdict": row.verdict,
    }


STUDY = Study("statements", _wants, _compute, kinds=("month", "year"), in_reports=("month", "year"))
