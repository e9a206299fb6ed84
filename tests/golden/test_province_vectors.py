"""Vectors of the province: three plants of 500, 400 and 300 kt at 12 980, 13 020 and 13 360 kWh/t.

Ratio of sums: (500 x 12 980 + 400 x 13 020 + 300 x 13 360) / 1 200 = 15 706 000 / 1 200 = 13 088.33 kWh/t; the mean of the three
ratios, 13 120.00, is wrong. Capacity at the benchmark (13 000): 500 of 1 200 = 41.67 %; below the baseline (13 350): 300 of 1 200
= 25.00 %.
"""

from __future__ import annotations

from datetime import date

import pytest

from analytics.aggregate import PlantFigures, aggregated, capacity_share
from plant.indicators import Figure
from plant.rulebook import MET, MISSED, parse_rules, shipped_rule_texts, status

PLANTS = ((500.0, 12_980.0), (400.0, 13_020.0), (300.0, 13_360.0))


def _plant(number: int, metal_kt: float, e1_kwh_per_t: float) -> PlantFigures:
    words = {
        "benchmark": MET if e1_kwh_per_t <= 13_000 else "exceeded",
        "baseline": MET if e1_kwh_per_t <= 13_350 else "exceeded",
    }
    e1 = Figure("specific_energy_e1", e1_kwh_per_t, e1_kwh_per_t, e1_kwh_per_t, 1.0, 1.0, status=words)
    metal = Figure("metal_produced", metal_kt * 1e3, metal_kt * 1e3, metal_kt * 1e3, 1.0, 1.0)
    figures = {"specific_energy_e1": e1, "metal_produced": metal}
    return PlantFigures(f"p{number}", f"e{number}", "guizhou", figures, {"line-1": figures}, {"line-1": metal_kt * 1e3})


def test_energy_per_tonne_of_a_province_is_the_ratio_of_sums() -> None:
    found = aggregated([_plant(i, *one) for i, one in enumerate(PLANTS)])["specific_energy_e1"]
    assert found.value == pytest.approx(15_706_000 / 1_200, abs=1e-9)
    assert round(found.value, 2) == 13_088.33


def test_capacity_at_the_benchmark_and_below_the_baseline() -> None:
    share = capacity_share([_plant(i, *one) for i, one in enumerate(PLANTS)])
    least, most = share.percent(share.benchmark_t_per_y) or (0.0, 0.0)
    assert round(least, 2) == round(most, 2) == 41.67
    assert share.percent(share.below_baseline_t_per_y) == (25.0, 25.0)
    rule = parse_rules(shipped_rule_texts()).in_force("capacity-at-benchmark", date(2025, 12, 31), ("guizhou", "CN"))
    assert rule is not None
    assert status(rule, rule.indicator, "year", least, least, most) == MISSED
