"""Screening: limits, checks and clocks to quality bits, from message and profile alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from collector_blocks import T0_NS, block
from hypothesis import given
from hypothesis import strategies as st

from collector.screen import ScreenRules, clock_offsets_s, screen
from devices.catalog import shipped_profiles
from devices.maps import Check
from plant.quality import ABSENT, Quality

DC = ("dc_current", "dc_voltage", "dc_power")


def rules(*limits: tuple[float, float], checks: tuple[Check, ...] = ()) -> ScreenRules:
    low, high = np.array(limits).T
    return ScreenRules(low, high, checks)


OPEN = rules((-np.inf, np.inf), (-np.inf, np.inf))


def test_value_outside_its_limits_is_invalid_and_kept() -> None:
    given_block = block(3)
    given_block.value[:, 0] = [99.0, 100.0, 100.5]
    out = screen(given_block, rules((99.5, 100.0), (0, 10)))
    assert out.quality[:, 0].tolist() == [
        int(Quality.INVALID | Quality.OUT_OF_RANGE),
        0,
        int(Quality.INVALID | Quality.OUT_OF_RANGE),
    ]
    assert out.value[:, 0].tolist() == [99.0, 100.0, 100.5]
    assert not given_block.quality.any(), "the block given is not changed"


def test_missing_and_infinite_values_get_a_reason() -> None:
    given_block = block(4)
    given_block.value[:, 0] = [np.nan, np.inf, np.nan, 1.0]
    given_block.quality[2, 0] = int(Quality.INVALID | Quality.FAILURE)
    out = screen(given_block, OPEN)
    assert out.quality[:, 0].tolist() == [
        int(ABSENT),
        int(Quality.INVALID | Quality.OVERFLOW),
        int(Quality.INVALID | Quality.FAILURE),
        0,
    ]
    assert np.isnan(out.value[:3, 0]).all()


def test_product_that_does_not_fit_makes_all_three_questionable() -> None:
    given_block = block(4, quantities=DC)
    given_block.value[:] = [[350, 800, 280_000], [350, 800, 284_000], [350, 800, np.nan], [350, 800, 290_000]]
    given_block.quality[2, 2] = int(ABSENT)
    given_block.quality[3, 0] = int(Quality.INVALID)
    free = [(-np.inf, np.inf)] * 3
    out = screen(given_block, rules(*free, checks=(Check("product", DC[:2], "dc_power", 0.01, 1.0),)))
    wrong = int(Quality.QUESTIONABLE | Quality.INCONSISTENT)
    assert out.quality.tolist() == [[0, 0, 0], [wrong] * 3, [0, 0, int(ABSENT)], [int(Quality.INVALID), 0, 0]]


def test_sum_check() -> None:
    given_block = block(2, quantities=("active_power_l1", "active_power_l2", "active_power"))
    given_block.value[:] = [[1, 2, 3], [1, 2, 4]]
    check = Check("sum", ("active_power_l1", "active_power_l2"), "active_power", 0.1, 0.01)
    out = screen(given_block, rules(*[(-10.0, 10.0)] * 3, checks=(check,)))
    assert out.quality.any(axis=1).tolist() == [False, True]


def test_near_zero_only_what_exceeds_the_floor_disagrees() -> None:
    given_block = block(3, quantities=("active_power_l1", "active_power_l2", "active_power"))
    given_block.value[:] = [[0.02, 0.03, 0.0], [0.0, 0.0, -0.09], [0.2, 0.0, 0.0]]
    check = Check("sum", ("active_power_l1", "active_power_l2"), "active_power", 0.01, 0.1)
    out = screen(given_block, rules(*[(-10.0, 10.0)] * 3, checks=(check,)))
    assert out.quality.any(axis=1).tolist() == [False, False, True]


@pytest.mark.parametrize(("instant_s", "bad"), [(0, True), (946_684_800, True), (978_307_200, False), (4_102_444_800, True)])
def test_clock_that_was_never_set_is_told_by_the_instant(instant_s: int, bad: bool) -> None:
    given_block = replace(block(1), t_ns=np.array([instant_s * 10**9]))
    assert screen(given_block, OPEN).quality.tolist() == [[int(Quality.INVALID | Quality.CLOCK) if bad else 0] * 2]


def test_what_no_meter_can_show_is_invalid_whatever_the_profile_leaves_open() -> None:
    names = ("energy_import", "frequency", "power_factor_l2", "active_power")
    given_block = block(3, quantities=names)
    given_block.value[:] = [[-0.1, 499.8, 1.2, -5.0], [0.0, 49.98, -1.0, 5.0], [1e9, -1.0, 0.9, 0.0]]
    out = int(Quality.INVALID | Quality.OUT_OF_RANGE)
    expected = [[out, out, out, 0], [0, 0, 0, 0], [0, out, 0, 0]]
    assert screen(given_block, ScreenRules.of_quantities(names)).quality.tolist() == expected


def test_a_shipped_profile_refuses_a_counter_below_zero_unless_it_says_that_the_register_is_a_signed_sum() -> None:
    profiles = shipped_profiles()
    rules_ = ScreenRules.of(profiles["carlo_gavazzi_em340"])
    lowest = dict(zip(profiles["carlo_gavazzi_em340"].quantities, rules_.low.tolist(), strict=True))
    assert (lowest["energy_import"], lowest["active_power"]) == (0.0, -np.inf)
    dlt = profiles["dlt645_2007_three_phase"]
    lowest = dict(zip(dlt.quantities, ScreenRules.of(dlt).low.tolist(), strict=True))
    assert (lowest["energy_import"], lowest["reactive_energy_import"]) == (0.0, -799999.99)


def test_other_columns_than_the_profiles_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="2 quantities in the block, 3 in the rules"):
        screen(block(1), ScreenRules.of_quantities(DC))


@given(st.lists(st.floats(), min_size=1, max_size=8))
def test_screening_twice_changes_nothing(values: list[float]) -> None:
    given_block = block(len(values))
    given_block.value[:, 0] = values
    once = screen(given_block, rules((-5, 5), (0, 3)))
    twice = screen(once, rules((-5, 5), (0, 3)))
    assert twice.quality.tobytes() == once.quality.tobytes()
    assert twice.value.tobytes() == once.value.tobytes()
    assert np.isfinite(once.value[(once.quality & int(Quality.INVALID)) == 0]).all()


def test_clock_offset_is_the_newest_instant_against_the_receipt() -> None:
    given_block = block(4, meters=("a", "b"))
    assert clock_offsets_s(given_block, T0_NS) == {"a": 2.0, "b": 3.0}
    assert clock_offsets_s(replace(given_block, t_ns=np.zeros(4, np.int64)), T0_NS) == {}
