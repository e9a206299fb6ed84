"""Vectors of process energy with their derivation: voltage, what a change is worth, effects, ingots, coal, whole lines."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from analytics.balance import Banded
from analytics.faraday import faraday_yields
from analytics.intensity import per_tonne
from analytics.metal import efficiency_of, faraday_t
from analytics.process_casthouse import ingot_energy_kwh, standard_coal_kgce
from analytics.process_voltage import (
    dc_energy_kwh_per_t,
    effect_minutes_per_pot_day,
    pot_charge_kah,
    voltage_budget_v,
    worth_of_10_mv_kwh_per_t,
    worth_of_efficiency_point_kwh_per_t,
)
from plant.config import parse_site
from plant.rulebook import Rule, Rulebook, grade, parse_rules, shipped_rule_texts

RULES = parse_rules(shipped_rule_texts())
DAY = date(2026, 6, 1)
K = 0.335573  # kg/(kA h)
K_UNROUNDED = 26.98154 * 3600 / (3 * 96_485.33212) * 1000 / 1000  # g/(A h) = kg/(kA h): what the vectors carry


def test_the_rule_is_the_constant_of_nature() -> None:
    rule = RULES.in_force("faraday-yield", DAY)
    assert rule is not None
    assert float(rule.value) == pytest.approx(K_UNROUNDED, rel=2e-6)


def test_dc_and_ac_energy_of_a_voltage() -> None:
    # 1000 / 0.3355727 = 2979.98; 2979.98 * 3.95 / 0.935 = 12 589.22; over 0.98 = 12 846.14
    assert pytest.approx(2979.98, abs=0.005) == 1000 / K_UNROUNDED
    dc = dc_energy_kwh_per_t(3.95, 0.935, K_UNROUNDED)
    assert dc == pytest.approx(12_589.22, abs=0.01)
    assert dc / 0.98 == pytest.approx(12_846.14, abs=0.01)


def test_metal_with_either_rounding_of_the_yield() -> None:
    # 500 kA * 24 h * 0.935 = 11 220 kAh: 3765.13 kg with 0.335573, 3765.43 with 0.3356
    for k, kg in ((K, 3765.13), (0.3356, 3765.43)):
        assert float(faraday_t(np.array([12_000.0]), np.array([1.0]), k)[0]) * 0.935 * 1000 == pytest.approx(kg, abs=0.005)


def test_a_line_of_300_pots() -> None:
    # N V I = 300 * 3.95 * 500 = 592 500 kW; / 0.98 = 604.592 MW; its mean voltage comes back from energy and ampere-hours
    dc_kw = 300 * 3.95 * 500
    assert dc_kw / 0.98 / 1000 == pytest.approx(604.592, abs=0.001)
    metal = faraday_t(np.array([12_000.0]), np.array([300.0]), K)
    assert float(metal[0]) * 0.935 == pytest.approx(1129.538, abs=0.001)
    assert float(metal[0]) * 0.935 * 365 / 1000 == pytest.approx(412.281, abs=0.001)
    assert dc_kw * 24 / float(pot_charge_kah(metal, np.array([K]))[0]) == pytest.approx(3.95, rel=1e-12)


def test_energy_now_and_restated() -> None:
    # last 24 h of the line above by the stated efficiency give the AC figure; with the weighed 0.938487 it is restated
    energy = np.array([300 * 3.95 * 500 / 0.98 * 24.0])
    tonne = {ce: faraday_t(np.array([12_000.0]), np.array([300.0]), K_UNROUNDED) * ce for ce in (0.935, 0.938487)}
    now, restated = (per_tonne(Banded(energy, energy, energy), Banded(m, m, m)).best[0] for m in tonne.values())
    assert now == pytest.approx(12_846.14, abs=0.01)
    assert restated == pytest.approx(12_846.14 * 0.935 / 0.938487, abs=0.02)


def test_efficiency_from_weighed_metal() -> None:
    # 90 400 kg tapped + 300 kg more in the pot; 0.3355727 * 500 * 24 * 24 = 96 644.9 kg at 100 %
    assert efficiency_of(90_400.0, 300.0, K_UNROUNDED * 500 * 24 * 24) == pytest.approx(0.938487, abs=5e-7)


def test_the_voltage_that_meets_the_benchmark() -> None:
    # 13 000 * 0.98 * 0.935 / 2979.98
    benchmark = RULES.in_force("benchmark", DAY)
    assert benchmark is not None
    assert voltage_budget_v(float(benchmark.value), 0.98, 0.935, K_UNROUNDED) == pytest.approx(3.9973, abs=5e-5)


def test_what_ten_millivolts_and_a_point_are_worth() -> None:
    # 29.7998 / 0.935 = 31.87; 2979.98 * 3.95 * (1/0.935 - 1/0.945) = 133.2
    assert worth_of_10_mv_kwh_per_t(0.935, K) == pytest.approx(31.9, abs=0.05)
    assert worth_of_efficiency_point_kwh_per_t(3.95, 0.935, K) == pytest.approx(133.0, abs=0.5)


def test_anode_effect_minutes() -> None:
    # (90 + 45 + 150) s = 4.75 min over 300 pots and a day; 3 effects / 300 = 0.01, of 1.58333 min each
    assert effect_minutes_per_pot_day(90 + 45 + 150, 300.0) == pytest.approx(0.0158333, abs=5e-8)
    assert effect_minutes_per_pot_day(90 + 45 + 150, 300.0) == pytest.approx(0.01 * 1.58333, rel=1e-5)


def test_ingots_and_their_coal() -> None:
    # a tonne charged at 13 350 with 50 kWh in the casthouse: 13 400; * 0.1229 = 1646.86 before fuels
    energy = ingot_energy_kwh(13_350.0, 1.0, 50.0)
    assert energy == 13_400.0
    found = [RULES.in_force(name, DAY) for name in ("coal-of-electricity", "heat-of-coal")]
    per_kwh, heat = (float(rule.value) for rule in found if rule is not None)
    assert standard_coal_kgce(energy, 0.0, per_kwh, heat) == pytest.approx(1646.86, abs=1e-9)
    # grade 2 leaves 1680 - 1646.86 = 33.1 kgce of other fuels: 971 MJ
    assert standard_coal_kgce(energy, 33.14 * 29.3076, per_kwh, heat) == pytest.approx(1680.0, abs=1e-9)


@pytest.mark.parametrize(
    ("indicator", "value", "expected"),
    [
        ("specific_energy_e3", "13300", "1"),
        ("specific_energy_e3", "13300.01", "2"),
        ("specific_energy_e3", "13750", "3"),
        ("specific_energy_e3", "13750.01", "over"),
        ("specific_energy_e4", "1670", "1"),
        ("specific_energy_e4", "1680", "2"),
        ("specific_energy_e4", "1720", "3"),
        ("specific_energy_e4", "1720.01", "over"),
    ],
)
def test_grades_of_ingots(indicator: str, value: str, expected: str) -> None:
    rules = RULES.for_indicator(indicator, DAY)
    assert grade([r for r in rules if r.kind == "grade"], indicator, Decimal(value)) == expected


def test_each_interval_takes_the_yield_of_its_own_day() -> None:
    site = parse_site('plant = { id = "p", name = { en = "P" }, zone = "Asia/Shanghai" }\nbus = [{ id = "b" }]', "site.toml")
    old = next(r for r in RULES.rules if r.id == "faraday-yield")
    book = Rulebook((old, _later(old)), "two")
    midnight = site.calendar.instant_ns(date(2026, 7, 1))
    slots = midnight + np.arange(-2, 2, dtype=np.int64) * 900 * 10**9
    assert faraday_yields(site, book, slots).tolist() == [0.335573, 0.335573, 0.3356, 0.3356]
    assert faraday_yields(site, book, slots[:0]).tolist() == []


def _later(old: Rule) -> Rule:
    return old.model_copy(update={"value": Decimal("0.3356"), "valid_from": date(2026, 7, 1)})
