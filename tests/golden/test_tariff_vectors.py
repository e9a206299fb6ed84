"""Vectors of the tiered price: threshold 13 300 kWh/t, 20 kWh/t a step, 0.01 yuan/kWh a step (year 2025 and on)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from analytics.tariff import TieredPrice, adder, discount, overdue, specific_energy, steps, tiered_price, yuan
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.settings.tariff import Assessment

RULEBOOK = parse_rules(shipped_rule_texts())
HOW = Assessment()


def price(incentive: str | None = None) -> TieredPrice:
    found = tiered_price(RULEBOOK, 2026, ("guizhou", "CN"))
    assert found is not None
    known = None if incentive is None else Decimal(incentive)
    return TieredPrice(
        *(getattr(found, n) for n in TieredPrice.__slots__ if n not in ("incentive_percent", "editions")), known, ()
    )


# ceil((e - 13 300) / 20): 0.01 above the threshold starts a step, 13 320 still is one, 85 / 20 = 4.25 starts the fifth
@pytest.mark.parametrize(
    ("specific", "expected"),
    [
        ("13299.9", "0"),
        ("13300", "0"),
        ("13300.01", "0.01"),
        ("13320", "0.01"),
        ("13320.01", "0.02"),
        ("13385", "0.05"),
        ("13700", "0.20"),
    ],
)
def test_adder_by_specific_energy(specific: str, expected: str) -> None:
    assert adder(steps(Fraction(specific), price()), price()) == Decimal(expected)


def test_steps_are_exact_where_the_ratio_of_whole_kwh_and_kg_meets_an_edge() -> None:
    # 13 300 kWh/t x 29 999.999 t = 398 999 986.7 kWh: the whole kWh below meets the threshold, the one above starts a step
    assert steps(specific_energy(398_999_986, 29_999_999), price()) == 0
    assert steps(specific_energy(398_999_987, 29_999_999), price()) == 1


# s = 18.4 %: 3 whole points above 15, or 3.4: 0.05 x 0.97 and 0.05 x 0.966; all 18 points: 0.05 x 0.82
@pytest.mark.parametrize(
    ("share", "incentive", "how", "expected"),
    [
        ("18.4", "14", Assessment(), "0.0485"),
        ("18.4", "14", Assessment(discount_points="continuous"), "0.0483"),
        ("18.4", "14", Assessment(discount_from="all"), "0.0410"),
        ("15.0", "14", Assessment(), "0.05"),
        ("18.4", "19", Assessment(), "0.05"),
        ("18.4", "18.4", Assessment(), "0.0485"),
    ],
)
def test_green_discount(share: str, incentive: str, how: Assessment, expected: str) -> None:
    found = discount(price(incentive), how, Decimal(share))
    assert adder(5, price(incentive), found.points) == Decimal(expected)


def test_a_discount_that_rests_on_an_unknown_weight_is_possible_and_not_counted() -> None:
    found = discount(price(), HOW, Decimal("18.4"))
    assert (found.points, found.least, found.most) == (0, 0, 3)
    assert "non-hydro-incentive" in found.reason


# 1 000 000 MWh at 0.05 and at 0.0485 yuan/kWh; unpaid 90 days after the notice: x 1.5
def test_yuan_of_a_year() -> None:
    energy_kwh = 1_000_000_000
    assert yuan(adder(5, price()) * energy_kwh) == Decimal(50_000_000)
    assert yuan(adder(5, price(), Decimal(3)) * energy_kwh) == Decimal(48_500_000)


def test_late_factor_from_the_ninetieth_day_on() -> None:
    notified = date(2026, 3, 1)
    assert overdue(RULEBOOK, notified, date(2026, 5, 29), ("CN",)).factor == 1
    assert overdue(RULEBOOK, notified, date(2026, 5, 30), ("CN",)).factor == Decimal("1.5")


@pytest.mark.parametrize(
    ("year", "indicator", "threshold"),
    [
        (2022, "specific_energy_e2", 13650),
        (2023, "specific_energy_e2_tariff", 13450),
        (2024, "specific_energy_e2_tariff", 13450),
        (2025, "specific_energy_e2_tariff", 13300),
        (2026, "specific_energy_e2_tariff", 13300),
    ],
)
def test_threshold_of_each_year_names_its_indicator(year: int, indicator: str, threshold: int) -> None:
    found = tiered_price(RULEBOOK, year, ("CN",))
    assert found is not None
    assert (found.indicator, found.threshold) == (indicator, threshold)


def test_before_the_rule_there_is_no_tiered_price() -> None:
    assert tiered_price(RULEBOOK, 2021, ("CN",)) is None
