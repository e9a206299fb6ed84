"""Vectors B1 and B2 of energy baselines, and tail probabilities from printed tables.

B1: E = a + b P over six months, P = 30, 31, 28.5, 32, 29, 33 kt, E = 402.1, 414.9, 383.2, 427.0, 389.6, 440.1 GWh:
sum of (P - mean)^2 = 14.208333, of (P - mean)(E - mean) = 179.009..., so b = 12.598904 and a = 409.483333 - 30.583333 b.
B2: 30.5 kt expect a + 30.5 b = 408.433425 GWh; 405.0 were used.
"""

from __future__ import annotations

import numpy as np
import pytest

from analytics.distributions import f_above, t_quantile, t_two_sided
from analytics.regression import Regression, fit

METAL_KT = np.array([30, 31, 28.5, 32, 29, 33.0])
ENERGY_GWH = np.array([402.1, 414.9, 383.2, 427.0, 389.6, 440.1])


@pytest.fixture
def line() -> Regression:
    found = fit(("metal_produced",), METAL_KT[:, None], ENERGY_GWH)
    assert found is not None
    return found


def test_b1_energy_on_metal(line: Regression) -> None:
    assert line.slopes[0] == pytest.approx(12.598904, abs=5e-7)
    assert line.intercept == pytest.approx(24.166849, abs=5e-7)
    assert line.r2 == pytest.approx(0.999928, abs=5e-7)


def test_b2_saving(line: Regression) -> None:
    expected = float(line.predict(np.array([[30.5]]))[0])
    assert expected == pytest.approx(408.433425, abs=5e-7)
    assert expected - 405.0 == pytest.approx(3.433425, abs=5e-7)
    assert 100 * (expected - 405.0) / expected == pytest.approx(0.8406, abs=5e-5)
    # by hand: rmse 0.1971, sqrt(1 + 1/6 + (30.5 - 30.5833)^2 / 14.2083) = 1.0803, t (0.9, 4) = 2.1318
    assert line.half_width(np.array([[30.5]]), 0.9) == pytest.approx(2.1318 * line.rmse * 1.08035, rel=1e-4)


@pytest.mark.parametrize(
    ("probability", "freedom", "quantile"),
    [(0.9, 4, 2.1318), (0.95, 10, 2.2281), (0.8, 30, 1.3104), (0.99, 1, 63.657), (0.95, 1000, 1.9623)],
)
def test_student_table(probability: float, freedom: float, quantile: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(quantile, rel=5e-5)
    assert t_two_sided(quantile, freedom) == pytest.approx(1 - probability, rel=2e-3)


F_TABLE = [(4.9646, 1, 10, 0.05), (3.4928, 2, 20, 0.05), (7.5624, 1, 30, 0.01)]


@pytest.mark.parametrize(("f", "between", "within", "above"), F_TABLE)
def test_f_table(f: float, between: float, within: float, above: float) -> None:
    assert f_above(f, between, within) == pytest.approx(above, rel=2e-3)
