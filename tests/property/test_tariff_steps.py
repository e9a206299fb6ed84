"""The tiered price over all ratios of whole kWh and whole kg: monotone, and exact at the edges of steps."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from analytics.tariff import TieredPrice, adder, edge_below, rounded, specific_energy, steps

PRICE = TieredPrice("e", Decimal(13300), Decimal(20), Decimal("0.01"), Decimal(15), Decimal(1), None, ())
ENERGY_KWH = st.integers(0, 10**11)
METAL_KG = st.integers(1, 10**10)
DECIMALS = st.one_of(st.none(), st.integers(0, 4))


@given(ENERGY_KWH, ENERGY_KWH, METAL_KG, DECIMALS)
def test_more_energy_never_costs_less(one: int, other: int, metal_kg: int, decimals: int | None) -> None:
    less, more = (steps(specific_energy(e, metal_kg), PRICE, decimals) for e in sorted((one, other)))
    assert less <= more


@given(st.integers(0, 300), METAL_KG)
def test_an_edge_belongs_to_the_step_below_and_one_kwh_more_to_the_next(count: int, metal_kg: int) -> None:
    # the edge 13 300 + 20 n kWh/t of whole tonnes is a whole number of kWh
    energy_kwh = (13300 + 20 * count) * metal_kg
    assert steps(specific_energy(energy_kwh, metal_kg * 1000), PRICE) == count
    assert steps(specific_energy(energy_kwh + 1, metal_kg * 1000), PRICE) == count + 1


@given(ENERGY_KWH, METAL_KG)
def test_the_edge_below_has_exactly_one_step_less(energy_kwh: int, metal_kg: int) -> None:
    count = steps(specific_energy(energy_kwh, metal_kg), PRICE)
    if count:
        edge = edge_below(count, PRICE)
        assert steps(edge, PRICE) == count - 1
        assert specific_energy(energy_kwh, metal_kg) > edge


@given(ENERGY_KWH, METAL_KG, st.integers(0, 4))
def test_rounding_moves_by_at_most_half_of_the_last_place(energy_kwh: int, metal_kg: int, decimals: int) -> None:
    specific = specific_energy(energy_kwh, metal_kg)
    assert 2 * abs(rounded(specific, decimals) - specific) * 10**decimals <= 1


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_adder_is_whole_steps(count: int, points: int) -> None:
    assert adder(count, PRICE) == Decimal(count) / 100
    assert adder(count, PRICE, Decimal(min(points, 100))) <= adder(count, PRICE)
