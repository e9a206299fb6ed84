"""Anode effects of a line by when they were listened to: quiet days, deaf weeks, and the emissions of both."""

from __future__ import annotations

import numpy as np
import pytest
from analytics_plant import entry
from process_rows import METAL_T, RULES, SITE, rows_of, site_of

from analytics.carbon_chapter import carbon_figures
from analytics.period_rows import Period
from analytics.process_pots import pot_figures
from plant import nodes
from plant.indicators import Figure
from plant.ports import LedgerEntry
from plant.series import Span
from plant.site import Site

NODE = nodes.line("a")
MONTH = SITE.calendar.month(2026, 6)
D, H = 86_400_000_000_000, 3_600_000_000_000
METERS = "".join(
    f'[[meter]]\nid = "{name}"\nprofile = "x"\nendpoint = "g"\nunit = {unit}\npoll_interval_s = 60\n'
    for name, unit in (("effects", 8), ("feed", 9))
)
LISTENING = site_of(METERS, line='effect_meter = "effects"')
FED = site_of(METERS, line='effect_meter = "effects"\nfeed_meter = "feed"')


def _effects(days: range, seconds: int = 120, a_day: int = 6) -> list[LedgerEntry]:
    return [entry("anode_effect", "a", MONTH.start_ns + d * D + i * H, seconds) for d in days for i in range(a_day)]


def _month(entries: list[LedgerEntry], site: Site = LISTENING) -> Period:
    return Period(site, RULES, MONTH, "month", rows_of(MONTH), "provisional", entries)


def _day(whole: Period, number: int) -> Period:
    return whole.part(Span(MONTH.start_ns + number * D, MONTH.start_ns + (number + 1) * D), "day")


def _minutes(period: Period) -> Figure:
    return pot_figures(period, {}).figures[NODE]["anode_effect_minutes"]


def _pfc(period: Period) -> Figure:
    return carbon_figures(period, {}).figures[NODE]["pfc_emissions"]


def test_emissions_of_a_month_are_those_of_its_days_quiet_ones_too() -> None:
    month = _month(_effects(range(0, 30, 2)))
    days = [_pfc(_day(month, number)).value for number in range(29)]
    assert days[1] == 0.0
    assert sum(x or 0.0 for x in days) + (_pfc(_day(month, 29)).value or 0.0) == pytest.approx(_pfc(month).value)


def test_a_quiet_day_between_days_with_effects_had_none() -> None:
    quiet = _minutes(_day(_month(_effects(range(0, 30, 2))), 1))
    assert (quiet.value, quiet.low, quiet.high, quiet.measured_share) == (0.0, 0.0, 0.0, 1.0)


def test_half_a_month_that_nobody_listened_is_not_half_the_minutes() -> None:
    whole, half = _minutes(_month(_effects(range(30)))), _minutes(_month(_effects(range(15))))
    assert (whole.measured_share, whole.high) == (1.0, whole.value)
    assert half.value == pytest.approx(whole.value)
    assert half.low == pytest.approx((whole.value or 0.0) / 2)
    assert half.high is None
    assert half.measured_share == pytest.approx(0.5)
    assert half.reason == "anode effects are known of 50% of the time"


def test_emissions_take_the_default_for_the_time_that_was_not_listened_to_alone() -> None:
    whole, half = _pfc(_month(_effects(range(30)))), _pfc(_month(_effects(range(15))))
    assert half.value == pytest.approx((whole.value or 0.0) / 2 + 0.26316 * METAL_T * 15)
    assert "default for a for 50% of the time" in half.reason


def test_a_feed_that_was_heard_tells_of_no_effects_without_any_record() -> None:
    month = _month([], FED)
    assert _minutes(month).value is None
    volts = np.where(np.arange(30 * 96) < 24 * 96, 3.95, np.nan)
    month.rows.columns[nodes.meter("feed")] = {"pot_voltage_mean": volts}
    found = _minutes(month)
    assert (found.value, found.low, found.high) == (0.0, 0.0, None)
    assert found.measured_share == pytest.approx(0.8)


def test_a_long_hole_of_a_record_is_no_quiet_time() -> None:
    found = _minutes(_month([*_effects(range(10)), *_effects(range(20, 30))]))
    assert found.measured_share == pytest.approx(2 / 3)
    assert found.value == pytest.approx(_minutes(_month(_effects(range(30)))).value)
