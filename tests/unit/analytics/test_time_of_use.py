"""Time of use: bands exactly on their bounds, days of 23 and 25 hours, exact money, what on-site supply spared."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from analytics.period_rows import Period
from analytics.table import Columns, Table
from analytics.time_of_use import time_of_use
from analytics.wall_clock import wall_clock
from plant import nodes
from plant.config import parse_site
from plant.errors import ConfigError
from plant.rulebook import Rulebook
from plant.series import QUARTER, QUARTER_NS, Span
from plant.site import Site

PLANT = """
plant = { id = "p", name = { en = "P" }, zone = "ZONE" }
bus = [{ id = "b" }]
branch = [{ id = "t1", kind = "grid_tie", bus = "b" }, { id = "t2", kind = "grid_tie", bus = "b" }]
"""
# the shape of one province in 2021: peak 10-12 and 14-19, valley 0-8, peak : flat : valley 1.7 : 1 : 0.38, critical peak +25 %
PRICES = """
[[tariff.time_of_use]]
valid_from = 2026-01-01
base_price_yuan_per_kwh = 0.5
factors = { critical = 2.125, peak = 1.7, valley = 0.38 }
periods = [
  { band = "valley", start = "00:00", end = "08:00" },
  { band = "peak", start = "10:00", end = "12:00" },
  { band = "peak", start = "14:00", end = "19:00" },
  { band = "critical", start = "15:00", end = "17:00", months = [7, 8, 9] },
]
"""
DEARER = PRICES.replace("2026-01-01", "2026-07-15").replace("0.5\n", "0.6\n")
HOURS = {"critical": 0, "peak": 7, "flat": 9, "valley": 8}


def site(zone: str = "Asia/Shanghai", prices: str = PRICES) -> Site:
    return parse_site(PLANT.replace("ZONE", zone) + prices, "site.toml")


def period(there: Site, span: Span, **of_plant: float) -> Period:
    """Ties of 1 000 and 3 000 kW; quantities of the plant in kW."""
    start_ns = span.bounds(QUARTER_NS)[:-1]
    one = np.ones(len(start_ns))

    def banded(name: str, kwh: float, tolerance: float) -> Columns:
        return {f"{name}{e}": kwh * f * one for e, f in (("", 1), ("_low", 1 - tolerance), ("_high", 1 + tolerance))}

    trust = {"completeness": one, "measured_share": one}
    columns = {nodes.branch(t): banded("energy_import", kw / 4, 0.002) | trust for t, kw in (("t1", 1000), ("t2", 3000))}
    columns[nodes.PLANT] = {f: c for n, kw in of_plant.items() for f, c in banded(n, kw / 4, 0.0).items()} | trust
    return Period(there, Rulebook((), "none"), span, "day", Table(QUARTER, start_ns, QUARTER_NS, columns), "provisional")


def values(found: Period, node: str = nodes.PLANT) -> dict[str, float | None]:
    return {name: figure.value for name, figure in time_of_use(found, {}).figures[node].items()}


def test_energy_and_cost_of_a_day_by_band() -> None:
    there = site()
    found = period(there, there.calendar.day(date(2026, 3, 4)))
    got = values(found, "branch:t1")
    assert got["grid_import_peak"] == 7000
    assert got["grid_import_flat"] == 9000
    assert got["grid_import_valley"] == 8000
    assert "grid_import_critical" not in got
    # 0.5 x (7 000 x 1.7 + 9 000 + 8 000 x 0.38) = 11 970 yuan
    assert got["energy_cost"] == 11970
    assert got["energy_price_mean"] == pytest.approx(11970 / 24000)
    assert values(found)["energy_cost"] == 4 * 11970


def test_critical_hours_stand_over_peak_in_their_months() -> None:
    there = site()
    got = values(period(there, there.calendar.day(date(2026, 8, 4))), "branch:t1")
    assert (got["grid_import_critical"], got["grid_import_peak"]) == (2000, 5000)


def test_the_band_of_the_meter_is_in_the_cost() -> None:
    there = site()
    cost = time_of_use(period(there, there.calendar.day(date(2026, 3, 4))), {}).figures["branch:t1"]["energy_cost"]
    assert cost.low == pytest.approx(11970 * 0.998, abs=1)
    assert cost.high == pytest.approx(11970 * 1.002, abs=1)


@pytest.mark.parametrize(("day", "valley_h"), [(date(2026, 3, 29), 7), (date(2026, 10, 25), 9), (date(2026, 5, 3), 8)])
def test_days_of_23_and_25_hours(day: date, valley_h: int) -> None:
    there = site("Europe/Berlin")
    got = values(period(there, there.calendar.day(day)), "branch:t1")
    assert got["grid_import_valley"] == 1000 * valley_h
    assert (got["grid_import_peak"], got["grid_import_flat"]) == (7000, 9000)


def test_wall_clock_agrees_with_the_calendar_all_year() -> None:
    calendar = site("Europe/Berlin").calendar
    t_ns = calendar.year(2026).bounds(QUARTER_NS)[:-1]
    clock = wall_clock(calendar, t_ns)
    for i in (*range(0, len(t_ns), 977), *range(8340, 8370), *range(28500, 28530)):
        wall = calendar.local(int(t_ns[i]))
        assert clock.month[i] == wall.month
        assert clock.quarter[i] == wall.hour * 4 + wall.minute // 15
        assert clock.day[i] == (wall.date() - date(1970, 1, 1)).days


def test_a_new_price_holds_from_its_day_on() -> None:
    there = site(prices=PRICES + DEARER)
    span = Span(there.calendar.instant_ns(date(2026, 7, 14)), there.calendar.instant_ns(date(2026, 7, 16)))
    found = period(there, span)
    one = values(period(there, there.calendar.day(date(2026, 7, 14))), "branch:t1")["energy_cost"]
    assert one is not None
    assert values(found, "branch:t1")["energy_cost"] == pytest.approx(one * 2.2)
    peak = time_of_use(found, {}).details["bands"][1]
    assert (peak["band"], [Decimal(p) for p in peak["price_yuan_per_kwh"]]) == ("peak", [Decimal("0.85"), Decimal("1.02")])


def test_a_missing_quarter_is_estimated_in_its_band() -> None:
    there = site()
    found = period(there, there.calendar.day(date(2026, 3, 4)))
    for name in ("energy_import", "energy_import_low", "energy_import_high"):
        found.rows.columns["branch:t1"][name][44] = np.nan
    figures = time_of_use(found, {}).figures["branch:t1"]
    assert figures["grid_import_peak"].value == 7000
    assert figures["grid_import_peak"].measured_share == pytest.approx(1 - 1 / 28)
    assert figures["grid_import_flat"].measured_share == 1


def test_what_pv_and_battery_spared_is_told_apart() -> None:
    there = site()
    day = there.calendar.day(date(2026, 3, 4))
    found = period(there, day, renewable_generation=100, renewable_export=20, storage_charge=0, storage_discharge=0)
    columns, one = found.rows.columns[nodes.PLANT], np.ones(32)
    for edge in ("", "_low", "_high"):
        columns[f"storage_charge{edge}"][:32] = 10.0 * one  # 00-08, valley
        columns[f"storage_discharge{edge}"][40:48] = 36.0  # 10-12, peak
    got = values(found)
    # 80 kW over 24 h at 0.5 x (7 x 1.7 + 9 + 8 x 0.38)
    assert got["renewable_saving"] == pytest.approx(80 * 11.97)
    assert got["storage_saving"] == pytest.approx(288 * 0.85 - 320 * 0.19)


def test_a_battery_that_costs_more_than_it_spares_says_so() -> None:
    there = site()
    found = period(there, there.calendar.day(date(2026, 3, 4)), storage_charge=20, storage_discharge=10)
    figure = time_of_use(found, {}).figures[nodes.PLANT]["storage_saving"]
    assert figure.value == pytest.approx(-10 * 11.97)
    assert figure.low == figure.value == figure.high


def test_what_was_exported_is_not_known_so_neither_is_what_was_saved() -> None:
    there = site()
    found = period(there, there.calendar.day(date(2026, 3, 4)), renewable_generation=4000, renewable_export=0)
    columns = found.rows.columns[nodes.PLANT]
    columns["renewable_export"][:] = np.nan
    columns["renewable_export_high"][:] = 1000.0
    figure = time_of_use(found, {}).figures[nodes.PLANT]["renewable_saving"]
    # all of it may have been exported, or nothing: 96 MWh at 0.5 x (7 x 1.7 + 9 + 8 x 0.38) / 24
    assert (figure.value, figure.low) == (None, 0.0)
    assert figure.high == pytest.approx(4000 * 11.97)
    columns["renewable_export_high"][:] = np.nan
    assert time_of_use(found, {}).figures[nodes.PLANT]["renewable_saving"].low is None


def test_a_silent_tie_keeps_the_edge_that_its_rating_gives() -> None:
    there = site()
    found = period(there, there.calendar.day(date(2026, 3, 4)))
    columns = found.rows.columns["branch:t1"]
    columns["energy_import"][:] = np.nan
    columns["energy_import_low"][:] = 0.0
    columns["energy_import_high"][:] = 500.0
    figures = time_of_use(found, {}).figures
    for node, low, high in (("branch:t1", 0, 2), (nodes.PLANT, 3 * 0.998, 2 + 3 * 1.002)):
        cost = figures[node]["energy_cost"]
        assert cost.value is None
        assert (cost.low, cost.high) == (pytest.approx(low * 11970, abs=2), pytest.approx(high * 11970, abs=2))


def test_the_mean_price_lies_between_what_the_cheapest_and_the_dearest_energies_make() -> None:
    there = site()
    found = period(there, there.calendar.day(date(2026, 3, 4)))
    columns = found.rows.columns["branch:t1"]
    columns["energy_import"][40:48] = np.nan  # 10-12, peak
    columns["energy_import_low"][40:48] = 0.0
    columns["energy_import_high"][40:48] = 1000.0
    mean = time_of_use(found, {}).figures["branch:t1"]["energy_price_mean"]
    assert mean.value == pytest.approx(11970 / 24000)
    # by hand, MWh of peak (0.85), flat (0.5), valley (0.19): what costs more than the mean has its least or most
    cheap = {"peak": 5 * 0.998, "flat": 9 * 0.998, "valley": 8 * 1.002}
    dear = {"peak": 5 * 1.002 + 8, "flat": 9 * 0.998, "valley": 8 * 0.998}
    price = {"peak": 0.85, "flat": 0.5, "valley": 0.19}
    low, high = (sum(price[b] * e for b, e in of.items()) / sum(of.values()) for of in (cheap, dear))
    assert mean.low == pytest.approx(low)
    assert mean.high == pytest.approx(high)
    columns["energy_import_high"][0] = np.inf
    mean = time_of_use(found, {}).figures["branch:t1"]["energy_price_mean"]
    assert (mean.low, mean.high) == (pytest.approx(0.19), pytest.approx(0.85))


def test_quarters_before_the_first_price_leave_no_cost_and_say_so() -> None:
    there = site()
    days = [there.calendar.day(date(2025, 12, 31)), there.calendar.day(date(2026, 1, 1))]
    figures = time_of_use(period(there, Span(days[0].start_ns, days[1].end_ns)), {}).figures["branch:t1"]
    cost = figures["energy_cost"]
    assert (cost.value, cost.high) == (None, None)
    assert cost.low == pytest.approx(11970 * 0.998, abs=1)
    assert cost.reason == "96 of 192 quarters of an hour have no price"
    assert figures["energy_price_mean"].value is None
    assert figures["grid_import_peak"].value == 7000
    assert figures["grid_import_peak"].reason == cost.reason


def test_without_prices_nothing_is_claimed() -> None:
    there = site(prices="")
    assert time_of_use(period(there, there.calendar.day(date(2026, 3, 4))), {}).figures == {}
    early = site()
    assert time_of_use(period(early, early.calendar.day(date(2025, 12, 31))), {}).figures == {}


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ('{ band = "peak", start = "10:10", end = "12:00" }', "start"),
        ('{ band = "peak", start = "22:00", end = "06:00" }', "empty"),
        ('{ band = "peak", start = "10:00", end = "12:00", months = [13] }', "months"),
    ],
)
def test_hours_that_cannot_be_are_faults(wrong: str, word: str) -> None:
    text = PLANT.replace("ZONE", "Asia/Shanghai") + PRICES.replace('{ band = "peak", start = "10:00", end = "12:00" }', wrong)
    with pytest.raises(ConfigError, match=word):
        parse_site(text, "site.toml")


def test_a_band_without_a_factor_is_a_fault() -> None:
    with pytest.raises(ConfigError, match="no factor for critical"):
        site(prices=PRICES.replace("critical = 2.125, ", ""))
