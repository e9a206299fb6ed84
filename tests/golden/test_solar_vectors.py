"""Vectors of the PV and supply-quality figures, worked out by hand."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import pytest

from analytics.power_quality import thd_percent
from analytics.solar import performance_ratio
from plant.rulebook import parse_rules, shipped_rule_texts, status


def test_performance_ratio_of_a_day() -> None:
    # Yf = 4200 kWh / 1000 kWp = 4.2 h; Yr = 5.4 kWh/m2 / (1 kW/m2) = 5.4 h; 4.2 / 5.4
    assert performance_ratio(4200.0, 1000.0, 5.4) == pytest.approx(0.777778, abs=5e-7)


def test_performance_ratio_at_25_degrees() -> None:
    # modules at 48 degC, gamma -0.35 %/K: Yr x (1 - 0.0035 x 23) = 5.4 x 0.9195 = 4.9653 h; 4.2 / 4.9653
    assert performance_ratio(4200.0, 1000.0, 5.4, 1.0 - 0.0035 * 23.0) == pytest.approx(0.845870, abs=5e-7)
    assert math.isclose(4.2 / 4.9653, 0.845870, abs_tol=5e-7)


def test_thd_of_four_harmonics_stands_within_the_limit_at_110_kv() -> None:
    # sqrt(1.2^2 + 0.9^2 + 0.6^2 + 0.4^2) = sqrt(1.44 + 0.81 + 0.36 + 0.16) = sqrt(2.77)
    found = thd_percent([1.2, 0.9, 0.6, 0.4])
    assert found == pytest.approx(1.6643, abs=5e-5)
    book = parse_rules(shipped_rule_texts())
    for voltage_kv, limit in ((0.38, "5"), (10.0, "4"), (35.0, "3"), (110.0, "2"), (220.0, "2")):
        (rule,) = book.for_indicator("voltage_thd", date(2026, 11, 1), ("CN",), voltage_kv)
        assert rule.value == Decimal(limit) and rule.placeholder
        assert status(rule, "voltage_thd", "month", found, found, found) == "met"
    assert book.for_indicator("voltage_thd", date(2026, 11, 1)) == []  # without a voltage none of them holds
