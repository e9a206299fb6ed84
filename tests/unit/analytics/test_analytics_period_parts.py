"""What a period says of its documents and rules, and of a part of it that holds no slot."""

from __future__ import annotations

import numpy as np
import pytest
from analytics_plant import HEAD, NS, entry

from analytics.period import period_figures
from analytics.period_rows import Period
from analytics.table import Table
from plant import nodes
from plant.config import parse_site
from plant.ports import LedgerEntry
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER, QUARTER_NS, Span

DAY_NS = 86_400 * NS
START = 1_793_462_400 * NS  # 2026-11-01 00:00 in Shanghai
RULES = parse_rules(shipped_rule_texts())
LINE = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "r", kind = "rectifier_group", bus = "b", potline = "l" },
]
potline = [{ id = "l", pots = [{ valid_from = 2020-01-01T00:00:00Z, running = 100 }] }]
"""


def _period(entries: list[LedgerEntry], settled_days: int = 10) -> Period:
    site = parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + LINE, "site")
    span = Span(START, START + 10 * DAY_NS)
    start_ns = span.bounds(QUARTER_NS)[:-1]
    complete = np.where(start_ns < START + settled_days * DAY_NS, 1.0, np.nan)
    columns = {
        nodes.PLANT: {"completeness": complete, "load_energy": 100 * complete},
        "flow:tie>load": {"flow_energy": 100 * complete},
    }
    rows = Table(QUARTER, start_ns, QUARTER_NS, columns)
    return Period(site, RULES, span, "day", rows, "provisional", entries)


def _taps(days: int) -> list[LedgerEntry]:
    return [entry("metal_tapped", "l", START + i * DAY_NS + 9 * 3600 * NS, 10_000) for i in range(days)]


@pytest.mark.parametrize(("tapped", "settled", "share"), [(10, 10, 1.0), (4, 10, 0.4), (4, 4, 1.0), (4, 5, 0.8)])
def test_taps_are_complete_by_the_days_that_have_one(tapped: int, settled: int, share: float) -> None:
    found = period_figures(_period(_taps(tapped), settled)).figures[nodes.line("l")]["metal_tapped"]
    assert found.value == tapped * 10
    assert (found.completeness, found.measured_share) == pytest.approx((share, share))
    assert (found.reason == "") == (share == 1)


def test_metal_names_the_rule_it_rests_on() -> None:
    found = period_figures(_period([]))
    rule = RULES.in_force("faraday-yield", _period([]).day)
    assert rule is not None
    assert rule.edition in found.editions


def test_a_part_without_a_slot_has_figures_without_values() -> None:
    part = _period([]).part(Span(START + 2 * 60 * NS, START + 10 * 60 * NS), "day")
    assert len(part.rows.start_ns) == 0
    found = period_figures(part)
    assert all(f.value is None for by in found.figures.values() for f in by.values())
    assert [(f.source, f.energy_kwh, f.power_kw) for f in found.flows] == [("tie", None, None)]
