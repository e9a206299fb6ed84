"""Vectors of the PV and supply-quality figures, worked out by hand."""

from __future__ import annotations

import math

import pytest

from analytics.solar import performance_ratio


def test_performance_ratio_of_a_day() -> None:
    # Yf = 4200 kWh / 1000 kWp = 4.2 h; Yr = 5.4 kWh/m2 / (1 kW/m2) = 5.4 h; 4.2 / 5.4
    assert performance_ratio(4200.0, 1000.0, 5.4) == pytest.approx(0.777778, abs=5e-7)


def test_performance_ratio_at_25_degrees() -> None:
    # modules at 48 degC, gamma -0.35 %/K: Yr x (1 - 0.0035 x 23) = 5.4 x 0.9195 = 4.9653 h; 4.2 / 4.9653
    assert performance_ratio(4200.0, 1000.0, 5.4, 1.0 - 0.0035 * 23.0) == pytest.approx(0.845870, abs=5e-7)
    assert math.isclose(4.2 / 4.9653, 0.845870, abs_tol=5e-7)
