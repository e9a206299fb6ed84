"""The study of a field asked of a plant: the dead string first, in kWh, and what it says of inverters without peers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from analytics.period_rows import Period
from analytics.solar import seen
from analytics.solar_study import _clock, ratio_drop
from analytics.table import Table
from devices.catalog import shipped_profiles
from plant.config import parse_site
from plant.errors import InputError
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER_NS, Span
from potwatt.gauge_checks import gauge_notes
from tests.analytics_plant import HEAD, NS, meter_toml, small_plant

START_NS = 1_793_462_400 * NS  # 2026-11-01 00:00 in Shanghai
STRINGS = 6
SITE = (
    """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "roof", kind = "pv", bus = "b" },
]
[[solar]]
id = "roof"
branch = "roof"
weather_meter = "sky"
dc_capacity_kw = 600
inverters = [{ meter = "m-roof", dc_capacity_kw = 600 }]
strings = [{ meter = "box", quantity = "string_dc_current", count = 6, dc_capacity_kw = 100 }]
"""
    + meter_toml("m-tie", 1, 'branch = "tie", rated_power_kw = 1000')
    + meter_toml("m-roof", 2, 'branch = "roof", rated_power_kw = 1000')
    + "".join(
        f'[[meter]]\nid = "{name}"\nprofile = "x"\nendpoint = "g"\nunit = {unit}\npoll_interval_s = 60\n'
        for name, unit in (("sky", 3), ("box", 4))
    )
)
KNOWN = {
    "m-tie": ("active_power", "energy_import", "energy_export"),
    "m-roof": ("active_power", "energy_import", "energy_export"),
    "sky": ("irradiance", "module_temperature"),
    "box": tuple(f"string_dc_current_{i}" for i in range(1, STRINGS + 1)),
}


async def test_the_dead_string_is_first_with_its_loss(tmp_path: Path) -> None:
    t_s = np.arange(0, 10 * 3600, 60)
    t_ns = START_NS + t_s * NS
    sun = np.sin(np.pi * t_s / t_s[-1]) * 800.0
    strings = np.array([sun / 100.0 * (1.0 + 0.005 * i) for i in range(STRINGS)])
    strings[3][t_s >= 3 * 3600] = 0.0
    power = 0.8 * 600 * sun / 1000.0 * strings.sum(axis=0) / np.where(sun > 0, sun / 100.0 * STRINGS, 1.0)
    energy = np.concatenate([[0.0], np.cumsum(power[1:] + power[:-1]) / 120.0])
    zero = np.zeros(len(t_s))
    async with small_plant(tmp_path, SITE, START_NS + 11 * 3600 * NS, KNOWN) as plant:
        await plant.feed("m-tie", t_ns, active_power=zero + 500.0, energy_import=t_s / 7.2, energy_export=zero)
        await plant.feed("m-roof", t_ns, active_power=-power, energy_import=zero, energy_export=energy)
        await plant.feed("sky", t_ns, irradiance=sun, module_temperature=zero + 25.0)
        await plant.feed("box", t_ns, **{f"string_dc_current_{i + 1}": s for i, s in enumerate(strings)})
        await plant.work()
        studied = await plant.analytics.study("solar", "day", "2026-11-01")
        with pytest.raises(InputError, match="solar"):
            await plant.analytics.study("solar", "year", "2026")
    (field,) = studied.body["fields"]
    inverters, boxes = field["groups"]
    assert inverters["suspects"] == [] and inverters["reason"] == "fewer than 3 peers have readings"
    (suspect,) = boxes["suspects"]
    assert (suspect["meter"], suspect["quantity"], suspect["cause"]) == ("box", "string_dc_current_4", "dead")
    assert suspect["since"] == "2026-11-01T03:00+08:00"
    # 100 kW of modules under the sun of 03:00 to 10:00, at the 0.8 less a string that the field still had in the mean
    due = 100.0 * sun[t_s >= 3 * 3600].sum() / 60.0 / 1000.0
    assert 0.65 * due < suspect["lost_kwh"] < 0.8 * due
    lost = studied.figures["branch:roof"]["solar_lost"]
    assert lost.value == suspect["lost_kwh"] and lost.low is not None and lost.high is not None
    assert lost.low < 0.8 * due < lost.high * 1.05
    assert [d["day"] for d in field["performance_ratio_by_day"]] == ["2026-11-01"]


def test_a_drop_is_told_against_the_median_of_days_and_needs_enough_of_them() -> None:
    site = parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + SITE, "site.toml")
    start_ns = START_NS + 9 * 86_400 * NS
    rows = Table("15m", np.array([start_ns]), QUARTER_NS, {})
    period = Period(site, parse_rules(shipped_rule_texts()), Span(start_ns, start_ns + QUARTER_NS), "day", rows, "live")
    days = [{"day": f"2026-11-0{n}", "percent": 84.0 + n % 2, "measured_share": 1.0} for n in range(1, 8)]
    today = {"day": "2026-11-10", "percent": 77.0, "measured_share": 0.8}
    figure = ratio_drop(period, "branch:roof", [*days, today])
    assert figure is not None and figure.value == 8.0
    assert figure.low is not None and figure.high is not None and figure.low < 7.5 and figure.high > 8.5
    assert figure.measured_share == pytest.approx(0.8)
    poor = ratio_drop(period, "branch:roof", [*days, today | {"measured_share": 0.2}])
    assert poor is not None and poor.value is None and "measured share 20.0%" in poor.reason
    risen = ratio_drop(period, "branch:roof", [*days, today | {"percent": 95.0}])
    assert risen is not None and risen.value == -10.0 and risen.low is not None and risen.low < -10.5
    assert ratio_drop(period, "branch:roof", [*days[:4], today]) is None
    assert ratio_drop(period, "branch:roof", days) is None


def test_hours_are_those_of_the_clock_on_the_day_it_changes() -> None:
    site = parse_site(HEAD.replace("ZONE", "Europe/Berlin") + SITE, "site.toml")
    start_ns = 1_774_483_200 * NS + np.arange(0, 5 * 96, dtype=np.int64) * QUARTER_NS  # around 2026-03-29
    hour, day = _clock(site, start_ns)
    wall = [site.calendar.local(int(t)) for t in start_ns]
    assert hour.tolist() == [w.hour for w in wall]
    assert [int(d) for d in day] == [(w.date() - date(1970, 1, 1)).days for w in wall]


def test_few_readings_of_the_sun_are_no_irradiation() -> None:
    site = parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + SITE, "site.toml")
    start_ns = START_NS + np.arange(4, dtype=np.int64) * QUARTER_NS
    sky = {
        "irradiance": np.full(4, 800.0),
        "irradiance_count": np.array([15.0, 15, 1, 15]),
        "completeness": np.array([1.0, 1, 1 / 15, 0.8]),
    }
    rows = Table("15m", start_ns, QUARTER_NS, {"meter:sky": sky})
    span = Span(int(start_ns[0]), int(start_ns[-1]) + QUARTER_NS)
    period = Period(site, parse_rules(shipped_rule_texts()), span, "day", rows, "live")
    of = seen(period, site.solar[0])
    assert np.isfinite(of.irradiation).tolist() == [True, True, False, True]
    assert of.sun_share.tolist() == [1.0, 1.0, 0.0, 0.8]


def test_a_site_is_told_of_gauges_that_its_meters_have_not() -> None:
    text = SITE.replace("dc_capacity_kw = 600 }]", "dc_capacity_kw = 500 }]")
    site = parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + text, "site.toml")
    profiles = dict(shipped_profiles())
    blind = next(name for name, p in profiles.items() if "irradiance" not in p.quantities)
    site = replace(site, meters={n: replace(m, profile=blind) for n, m in site.meters.items()})
    notes = gauge_notes(site, profiles)
    assert any("solar[roof].weather_meter" in n and "no irradiance" in n for n in notes)
    assert any("500 kW of modules together" in n for n in notes)
