"""Vectors of the carbon account with their derivation, by the shipped formulas and the shipped rules."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from analytics.carbon import deviation, electricity_t
from analytics.carbon_factors import Factors
from analytics.period_rows import Period
from analytics.process_voltage import effect_minutes_per_pot_day
from analytics.table import Table
from plant.config import parse_site
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER, QUARTER_NS

RULES = parse_rules(shipped_rule_texts())


def _factors(province: str = "guizhou", carbon: str = "", day: date = date(2026, 6, 1)) -> Factors:
    """The rules in force for a plant on a day."""
    head = f'plant = {{ id = "p", name = {{ en = "P" }}, zone = "Asia/Shanghai", province = "{province}" }}'
    bus = '\nbus = [{ id = "b" }]\n'
    site = parse_site(head + bus + carbon, "site.toml")
    span = site.calendar.day(day)
    return Factors(Period(site, RULES, span, "day", Table(QUARTER, np.zeros(0, np.int64), QUARTER_NS, {}), "provisional"))


def test_c1_anodes() -> None:
    # 0.411 * (1 - 0.02 - 0.004) * 44/12 = 1.470832 a tonne
    factors = _factors()
    formula, default = factors.anodes(), factors.value("anode-net-consumption")
    assert formula is not None
    assert default is not None
    assert formula.co2_t(default) == pytest.approx(1.470832, abs=5e-7)
    assert formula.co2_t(10_000 * default) == pytest.approx(14_708.32, abs=0.005)


def test_c2_gross_anodes() -> None:
    # 0.480 * (1 - 0.1518) = 0.407136 net; * 0.976 * 44/12 = 1.457004
    formula = _factors().anodes()
    assert formula is not None
    assert formula.net_of_gross(0.480) == pytest.approx(0.407136, abs=5e-10)
    assert formula.co2_t(formula.net_of_gross(0.480)) == pytest.approx(1.457004, abs=5e-7)


@pytest.mark.parametrize(
    ("method", "expected"),
    [("china-2024", 0.110682), ("ipcc-ar5", 0.114015), ("ipcc-ar4", 0.126787)],
)
def test_c3_c4_anode_effects_by_method_set(method: str, expected: float) -> None:
    # 0.143 * 0.10 = 0.0143 kg CF4; * (6630 + 0.1 * 11 100), (6630 + 0.121 * 11 100), (7390 + 0.121 * 12 200), in g
    found = _factors(carbon=f'[carbon]\npfc_method = "{method}"').pfc()
    assert found is not None
    assert found.name == method
    assert found.of_effects(0.10) == pytest.approx(expected, abs=5e-7)


def test_c5_default_without_a_record() -> None:
    # 0.034 * 6.630 + 0.0034 * 11.100
    factors = _factors()
    method, default = factors.pfc(), factors.pfc_default()
    assert method is not None
    assert default is not None
    assert method.co2e_t_per_t(*default) == pytest.approx(0.26316, abs=5e-9)


def test_c7_direct_intensity() -> None:
    # C1 + C3, at the minutes of C6's pattern scaled to 0.10
    factors = _factors()
    formula, method = factors.anodes(), factors.pfc()
    assert formula is not None
    assert method is not None
    assert formula.co2_t(0.411) + method.of_effects(0.10) == pytest.approx(1.581514, abs=5e-7)


def test_c6_minutes() -> None:
    # 285 s over 300 pots in a day
    assert effect_minutes_per_pot_day(285.0, 300.0) == pytest.approx(0.0158333, abs=5e-8)


def test_c8_to_c10_electricity() -> None:
    # M 18.3 MWh, matched 9.0 and contracted 12.0 MWh: 18.3 * 0.5683; 9.3 * 0.6096; 6.3 * 0.6096
    factors = _factors()
    grid, residual = factors.value("grid-factor"), factors.value("grid-factor-residual")
    assert grid is not None
    assert residual is not None
    assert electricity_t(18_300, 0.0, grid) == pytest.approx(10.39989, abs=5e-9)
    assert electricity_t(18_300, 9_000.0, residual) == pytest.approx(5.66928, abs=5e-9)
    assert electricity_t(18_300, 12_000.0, residual) == pytest.approx(3.84048, abs=5e-9)
    assert electricity_t(18_300, 20_000.0, residual) == 0.0


@pytest.mark.parametrize(("province", "expected"), [("guizhou", 7.6152), ("yunnan", 1.7862), ("", 7.1100)])
def test_c11_electricity_of_a_tonne(province: str, expected: float) -> None:
    # 13.4 MWh a tonne at the factor of the province, else of the nation
    factor = _factors(province).value("grid-factor")
    assert factor is not None
    assert electricity_t(13_400, 0.0, factor) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("year", "expected"), [(2021, 0.5182), (2022, 0.4989), (2023, 0.5683), (2026, 0.5683)])
def test_factors_are_of_the_year_of_the_energy_and_the_newest_stands_for_later_ones(year: int, expected: float) -> None:
    factors = _factors(day=date(year, 6, 1))
    assert factors.value("grid-factor") == expected
    (edition,) = factors.editions
    assert edition.startswith(f"grid-factor@{min(year, 2023)}-01-01/guizhou/")
    assert factors.stand_in == ""


def test_the_nations_factor_stands_in_for_a_province_and_is_told_apart() -> None:
    own, nation = _factors("yunnan", day=date(2023, 6, 1)), _factors("yunnan", day=date(2022, 6, 1))
    assert own.value("grid-factor") != nation.value("grid-factor")
    assert (own.stand_in, nation.stand_in) == ("", "no grid-factor of yunnan is in force, the nation's stands in")
    assert nation.editions == ["grid-factor@2022-01-01/2024-12-26"]
    assert _factors("").stand_in == ""


def test_a_year_without_a_factor_has_none() -> None:
    factors = _factors(day=date(2019, 6, 1))
    assert factors.value("grid-factor") is None
    assert factors.reason == "no rule grid-factor is in force"


@pytest.mark.parametrize(
    ("own", "alpha", "surplus_t"),
    [(1.58, 0.001875, 1481.25), (1.70, -0.009375, -7968.75), (1.20, 0.03, 18_000.0), (2.00, -0.03, -30_000.0)],
)
def test_c12_allowances(own: float, alpha: float, surplus_t: float) -> None:
    # balance 1.60, 500 kt: X = 1.25, -6.25, 25, -25 %; 0.15 X up to 20 %, then 3 %; surplus = 500 000 * own * alpha
    rule = _factors().allowances()
    assert rule is not None
    found = rule.alpha(deviation(1.60, own))
    assert found == pytest.approx(alpha, abs=1e-12)
    assert 500_000 * own * found == pytest.approx(surplus_t, abs=1e-6)


def test_the_cap_holds_from_its_deviation_on() -> None:
    rule = _factors().allowances()
    assert rule is not None
    assert (rule.alpha(0.20), rule.alpha(-0.20)) == (0.03, -0.03)
    assert rule.alpha(0.1999) == pytest.approx(0.029985)


def test_method_sets_tell_cells_apart() -> None:
    by_cell = {
        cell: _factors(carbon=f'[carbon]\npfc_method = "ipcc-ar5"\ncell_technology = "{cell}"').pfc() for cell in ("cwpb", "vss")
    }
    assert {cell: method and method.slope for cell, method in by_cell.items()} == {"cwpb": 0.143, "vss": 0.092}


def test_an_unknown_method_set_is_named() -> None:
    factors = _factors(carbon='[carbon]\npfc_method = "own-2030"')
    assert factors.pfc() is None
    assert "pfc-own-2030-slope" in factors.reason
