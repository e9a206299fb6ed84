"""The band of the assessed energy per tonne is the one that the figures of the same period have."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from analytics_plant import HEAD, meter_toml

from analytics.period import period_figures
from analytics.period_rows import Period
from analytics.study import Question
from analytics.table import Columns, Table
from analytics.tariff_projection import AssessedUnit, specific
from analytics.tariff_study import wants
from plant import nodes
from plant.config import parse_site
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER, QUARTER_NS, Span

SITE = (
    """
branch = [
  { id = "t1", kind = "grid_tie", bus = "b" },
  { id = "t2", kind = "grid_tie", bus = "b" },
  { id = "r1", kind = "rectifier_group", bus = "b", potline = "a" },
]
[[potline]]
id = "a"
name = { en = "A" }
current_efficiency_ref = 0.93
pots = [{ valid_from = 2020-01-01T00:00:00+08:00, running = 100 }]
"""
    + meter_toml("t1", 1, 'branch = "t1", class_percent = 0.5')
    + meter_toml("t2", 2, 'branch = "t2", class_percent = 0.5')
    + meter_toml("r1", 3, 'branch = "r1", class_percent = 0.5')
)
FIELD = "comprehensive_energy_tariff"


def banded(name: str, kwh: np.ndarray[tuple[int], np.dtype[np.float64]], half: float) -> Columns:
    return {f"{name}{e}": kwh * f for e, f in (("", 1.0), ("_low", 1 - half), ("_high", 1 + half))}


def test_meters_of_the_assessed_energy_err_apart() -> None:
    site = parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + SITE, "site.toml")
    span = Span(site.calendar.instant_ns(date(2026, 5, 1)), site.calendar.instant_ns(date(2026, 5, 8)))
    start_ns = span.bounds(QUARTER_NS)[:-1]
    one = np.ones(len(start_ns))
    trust = {"completeness": one, "measured_share": one}
    columns: dict[str, Columns] = {
        nodes.point(p): banded("energy_import", kwh * one, 0.005)
        | banded("energy_export", 0 * one, 0)
        | trust
        | {"flags": 0 * one}
        for p, kwh in (("t1", 5000.0), ("t2", 5000.0), ("r1", 10000.0))
    }
    for node in (nodes.PLANT, nodes.line("a")):
        columns[node] = banded(FIELD, 10000 * one, 0.005) | {"metal_produced": 0.75 * one, "current_efficiency": 93 * one} | trust
    columns[nodes.PLANT] |= banded("load_energy", 10000 * one, 0.005)
    rulebook = parse_rules(shipped_rule_texts())
    period = Period(site, rulebook, span, "interval", Table(QUARTER, start_ns, QUARTER_NS, columns), "provisional")
    figure = period_figures(period).figures[nodes.PLANT]["specific_energy_e2_tariff"]
    found, _ = specific(period, AssessedUnit(nodes.PLANT, ("a",), FIELD))
    assert (found.value, found.low, found.high) == pytest.approx((figure.value, figure.low, figure.high))
    for name in period.rows.columns:  # rows alone carry every meter at its worst
        if name.startswith("point:"):
            columns[name] = {}
    worst, _ = specific(
        Period(site, rulebook, span, "interval", period.rows, "provisional"), AssessedUnit(nodes.PLANT, ("a",), FIELD)
    )
    assert worst.low is not None
    assert found.low is not None
    assert found.low > worst.low


def test_the_study_reads_the_rows_of_the_meters() -> None:
    site = parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + SITE, "site.toml")
    asked = Question(site, parse_rules(shipped_rule_texts()), "year", site.calendar.year(2026), 0, 0)
    read = {(node, field) for names, fields in wants(asked).columns for node in names for field in fields}
    assert {(nodes.point(p), "energy_import") for p in ("t1", "t2", "r1")} <= read
