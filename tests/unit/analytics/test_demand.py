"""Maximum demand, reactive energy and power factor of grid ties, over real rows of a small plant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from analytics_plant import HEAD, NS, SmallPlant, meter_toml, small_plant

from analytics.demand import demand
from analytics.figures import PeriodFigures
from analytics.limits import PeriodKind
from analytics.period_rows import Period
from analytics.reactive import reactive_columns
from analytics.table import Table
from plant import nodes
from plant.config import parse_site
from plant.errors import ConfigError
from plant.indicators import Figure
from plant.ports import Annotation
from plant.rulebook import Rulebook
from plant.series import QUARTER, QUARTER_NS, Series, Span

BRANCHES = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "mill", kind = "feeder", bus = "b" },
]
"""
SITE = (
    BRANCHES
    + meter_toml("tie", 1, 'branch = "tie", rated_power_kw = 5000, class_percent = 0.2')
    + meter_toml("mill", 2, 'branch = "mill", rated_power_kw = 5000')
    + """
[tariff]
reactive_class_percent = 1.0
[[tariff.demand]]
tie = "tie"
valid_from = 2026-01-01
contracted_kw = 4000
price_yuan_per_kw = 35
[[tariff.power_factor]]
valid_from = 2026-01-01
rows = [{ below = 0.9, percent = 0.5 }, { below = 0.85, percent = 3.5 }, { below = 0.7, percent = 15 }]
"""
)
KNOWN = {
    "tie": ("active_power", "energy_import", "energy_export", "reactive_energy_import", "reactive_energy_export"),
    "mill": ("active_power", "energy_import"),
}
PLANT = parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + SITE, "site.toml")
DAY = PLANT.calendar.day(date(2026, 3, 1))
PEAK = 57  # the quarter of an hour from 14:15 on


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[SmallPlant]:
    async with small_plant(tmp_path, SITE, DAY.start_ns, KNOWN) as small:
        yield small


async def metered(plant: SmallPlant, missing: range = range(0)) -> None:
    """A day of minutes at 2 000 kW and 1 000 kvar, at 3 000 kW from 14:15 to 14:30."""
    t_ns = DAY.start_ns + np.arange(24 * 60 + 16, dtype=np.int64) * 60 * NS
    minute = np.arange(len(t_ns))
    power = np.where(minute // 15 == PEAK, 3000.0, 2000.0)
    energy = np.concatenate([[0.0], np.cumsum(power / 60)[:-1]])
    keep = ~np.isin(minute, list(missing))
    zero = np.zeros(len(t_ns))
    tie = {
        "active_power": power,
        "energy_import": 5000 + energy,
        "energy_export": zero,
        "reactive_energy_import": 700 + minute * 1000 / 60,
        "reactive_energy_export": zero + 3,
    }
    await plant.feed("tie", t_ns[keep], **{name: column[keep] for name, column in tie.items()})
    await plant.feed("mill", t_ns, active_power=power, energy_import=energy)
    plant.clock.t_ns = int(t_ns[-1]) + 600 * NS
    await plant.work()


async def found(plant: SmallPlant, kind: PeriodKind = "day", span: Span = DAY) -> PeriodFigures:
    return await plant.analytics.figures(span, kind)


async def test_demand_is_the_largest_quarter_and_says_when(plant: SmallPlant) -> None:
    await metered(plant)
    figures = await found(plant)
    demand = figures.figures["branch:tie"]["maximum_demand"]
    assert demand.value == pytest.approx(3000, rel=1e-3)  # readings lie on the bounds, power between them is a line
    assert demand.value is not None
    assert demand.low is not None
    assert demand.high is not None
    assert demand.low < demand.value * 0.9985 < demand.value * 1.0015 < demand.high
    assert demand.reason == ""
    assert figures.details["demand"]["ties"][0]["at"] == "2026-03-01T14:15:00+08:00"
    assert figures.figures["branch:tie"]["demand_of_contract"].value == pytest.approx(75, rel=1e-3)


async def test_a_missing_quarter_leaves_open_how_high_demand_was(plant: SmallPlant) -> None:
    await metered(plant, range(PEAK * 15 - 30, PEAK * 15 + 45))
    demand = (await found(plant)).figures["branch:tie"]["maximum_demand"]
    assert demand.value is not None
    assert demand.value < 2600
    assert demand.high is not None
    assert demand.high > 3000


async def test_power_factor_of_the_day_and_its_band(plant: SmallPlant) -> None:
    await metered(plant)
    factor = (await found(plant)).figures["branch:tie"]["power_factor_mean"]
    active, reactive = 2000 * 24 + 250, 1000 * 24
    assert factor.value == pytest.approx(active / np.hypot(active, reactive), rel=1e-4)
    assert factor.low == pytest.approx(active / np.hypot(active, reactive * 1.012), rel=1e-4)
    assert factor.high == pytest.approx(active / np.hypot(active, reactive * 0.988), rel=1e-4)
    assert factor.measured_share == 1


async def test_a_month_has_its_charge_and_its_adjustment_a_day_has_none(plant: SmallPlant) -> None:
    await metered(plant)
    day, month = await found(plant, "day"), await found(plant, "month")
    assert "demand_charge" not in day.figures["branch:tie"]
    assert "power_factor_adjustment" not in day.figures["branch:tie"]
    demand, charge = (month.figures["branch:tie"][n].value for n in ("maximum_demand", "demand_charge"))
    assert demand is not None
    assert charge == 35 * round(demand)
    # 0.8953 -> 0.90 is not below 0.90; its band from 0.8932 on reaches into the next row
    adjustment = month.figures["branch:tie"]["power_factor_adjustment"]
    assert (adjustment.value, adjustment.low, adjustment.high) == (0.0, 0.0, 0.5)


def half_known(rated_kw: float, kind: PeriodKind = "month") -> dict[str, Figure]:
    """A day of 5 000 kWh in each quarter of an hour; the reactive energy of the first half is not known, that of the other 0."""
    text = SITE.replace("rated_power_kw = 5000, class_percent = 0.2", f"rated_power_kw = {rated_kw}, class_percent = 0.2")
    site = parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + text, "site.toml")
    start_ns = DAY.bounds(QUARTER_NS)[:-1]
    zero, one = np.zeros(len(start_ns)), np.ones(len(start_ns))
    reactive = np.where(np.arange(len(start_ns)) < len(start_ns) // 2, np.nan, 0.0)
    point = {f"energy_import{e}": 5000 * one for e in ("", "_low", "_high")} | {
        f"energy_export{e}": zero for e in ("", "_low", "_high")
    }
    point |= {"reactive_import": reactive, "reactive_export": reactive}
    rows = Table(QUARTER, start_ns, QUARTER_NS, {nodes.point("tie"): point, "branch:tie": {"completeness": one}})
    return demand(Period(site, Rulebook((), "none"), DAY, kind, rows, "provisional"), {}).figures["branch:tie"]


def test_reactive_energy_that_is_not_known_opens_the_power_factor_by_its_share() -> None:
    found = half_known(20000)
    factor, adjustment = found["power_factor_mean"], found["power_factor_adjustment"]
    # the rating lets 5 000 kvarh through a quarter of an hour: 2 : 1, so that 0.5 kvarh/kWh in that half (0.970) lies inside
    assert (factor.value, factor.high) == (1, 1)
    assert factor.low == pytest.approx(2 / np.hypot(2, 1))
    assert factor.measured_share == 0.5
    assert factor.reason == "reactive energy is known of 50.0% of the intervals"
    assert (adjustment.value, adjustment.low, adjustment.high) == (0, 0, 0.5)  # 0.89 at least
    unrated = half_known(0)["power_factor_mean"]
    assert (unrated.low, unrated.high) == (0, 1)


def ramp(kvar: float, first_ns: int, n: int = 61) -> Series:
    t_ns = first_ns + np.arange(n, dtype=np.int64) * 60 * NS
    return Series(t_ns, 100 + np.arange(n) * kvar / 60, np.zeros(n, np.int16))


BOUNDS = np.arange(DAY.start_ns, DAY.start_ns + 5 * QUARTER_NS, QUARTER_NS)


def test_a_reversed_mounting_swaps_the_reactive_registers_and_applies_the_ratio() -> None:
    text = HEAD.replace("ZONE", "UTC") + BRANCHES
    text += meter_toml("tie", 1, 'branch = "tie", rated_power_kw = 5000, direction = "reverse", ct_ratio = 40, vt_ratio = 100')
    site = parse_site(text, "site.toml")
    readings = {
        ("tie", "reactive_energy_export"): ramp(2.0, DAY.start_ns),
        ("tie", "reactive_energy_import"): ramp(0.0, DAY.start_ns),
    }
    rows = reactive_columns(site, readings, BOUNDS, lambda *_: None)
    (columns,) = rows.values()
    assert columns["reactive_import"] == pytest.approx([2000.0] * 4)
    assert columns["reactive_export"] == pytest.approx([0.0] * 4)


def test_without_registers_reactive_power_is_integrated_by_direction() -> None:
    t_ns = DAY.start_ns + np.arange(61, dtype=np.int64) * 60 * NS
    power = Series(t_ns, np.where(np.arange(61) < 30, 600.0, -300.0), np.zeros(61, np.int16))
    (columns,) = reactive_columns(PLANT, {("tie", "reactive_power"): power}, BOUNDS, lambda *_: None).values()
    assert columns["reactive_import"] == pytest.approx([150, 150 - 600 / 60 / 2, 0, 0], abs=6)
    assert columns["reactive_export"] == pytest.approx([0, 0, 75, 75], abs=6)


def test_a_wrap_of_the_reactive_register_counts_and_a_gap_is_unknown() -> None:
    series = ramp(600.0, DAY.start_ns, 121)
    wrapped = Series(series.t_ns, np.where(series.value >= 1000, series.value - 1000, series.value), series.quality)
    export = ramp(0.0, DAY.start_ns, 121)
    pairs = {("tie", "reactive_energy_import"): wrapped, ("tie", "reactive_energy_export"): export}
    (columns,) = reactive_columns(PLANT, pairs, BOUNDS + 4 * QUARTER_NS, lambda *_: 1000.0).values()
    assert columns["reactive_import"] == pytest.approx([150.0] * 4)
    bad = Annotation("p", "tie", "", int(BOUNDS[0]), int(BOUNDS[-1]) + 1, "bad", "li", "test")
    assert reactive_columns(PLANT, pairs, BOUNDS, lambda *_: 1000.0, [bad]).get(nodes.point("tie")) is None


def test_a_tie_that_is_not_there_is_a_fault() -> None:
    with pytest.raises(ConfigError, match="a branch of kind grid_tie: tie"):
        parse_site(HEAD.replace("ZONE", "UTC") + SITE.replace('tie = "tie"\n', 'tie = "mill"\n'), "site.toml")
