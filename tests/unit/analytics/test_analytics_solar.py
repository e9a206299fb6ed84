"""PV figures from readings: energy over sun, where both are known; what is missing widens the band or makes them null."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analytics.figures import PeriodFigures
from plant.config import parse_site
from plant.errors import ConfigError
from plant.series import Span
from tests.analytics_plant import HEAD, NS, meter_toml, small_plant

START_NS = 1_793_462_400 * NS  # 2026-11-01 00:00 in Shanghai
DAY_S = 86_400
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
dc_capacity_kw = 1000
irradiance_uncertainty_percent = 2.0
design_performance_ratio = 0.9
inverters = [
  { meter = "inv-1", dc_capacity_kw = 600, ac_limit_kw = 550 },
  { meter = "inv-2", dc_capacity_kw = 400 },
]
"""
    + meter_toml("m-tie", 1, 'branch = "tie", rated_power_kw = 1000, class_percent = 0.2')
    + meter_toml("m-roof", 2, 'branch = "roof", rated_power_kw = 1000, class_percent = 0.2')
    + "".join(
        f'[[meter]]\nid = "{name}"\nprofile = "x"\nendpoint = "g"\nunit = {unit}\npoll_interval_s = 60\n'
        for name, unit in (("sky", 3), ("inv-1", 4), ("inv-2", 5))
    )
)
KNOWN = {
    "m-tie": ("active_power", "energy_import", "energy_export"),
    "m-roof": ("active_power", "energy_import", "energy_export"),
    "sky": ("irradiance", "module_temperature"),
    "inv-1": ("active_power",),
    "inv-2": ("active_power",),
}


async def _day(folder: Path, *, blind_h: tuple[int, int] = (25, 25), second_runs: bool = True) -> PeriodFigures:
    """A day in which the sun shines at 600 W/m2 from 0 to 9 h and 0 after; the roof makes 466.666 kW while it does."""
    t_s = np.arange(0, DAY_S + 3600, 60)
    t_ns = START_NS + t_s * NS
    sun = t_s < 9 * 3600
    power = np.where(sun, 4200.0 / 9.0, 0.0)
    energy = np.minimum(t_s, 9 * 3600) / 3600 * 4200.0 / 9.0
    async with small_plant(folder, SITE, START_NS + (DAY_S + 7200) * NS, KNOWN) as plant:
        zero = np.zeros(len(t_s))
        await plant.feed("m-tie", t_ns, active_power=zero + 100, energy_import=t_s / 36.0, energy_export=zero)
        await plant.feed("m-roof", t_ns, active_power=-power, energy_import=zero, energy_export=energy)
        seen = (t_s < blind_h[0] * 3600) | (t_s >= blind_h[1] * 3600)
        await plant.feed("sky", t_ns[seen], irradiance=np.where(sun, 600.0, 0.0)[seen], module_temperature=zero[seen] + 48.0)
        await plant.feed("inv-1", t_ns, active_power=0.6 * power)
        await plant.feed("inv-2", t_ns, active_power=0.4 * power * second_runs)
        await plant.work()
        return await plant.analytics.figures(Span(START_NS, START_NS + DAY_S * NS), "day")


async def test_ratio_yield_and_temperature(tmp_path: Path) -> None:
    found = await _day(tmp_path)
    field = found.figures["branch:roof"]
    # 4200 kWh of 1000 kWp under 0.6 kW/m2 x 9 h = 5.4 kWh/m2, modules at 48 degC
    assert field["performance_ratio"].value == pytest.approx(77.7778, abs=0.02)
    assert field["performance_ratio_25c"].value == pytest.approx(84.587, abs=0.02)
    assert field["specific_yield"].value == pytest.approx(4.2, rel=1e-3)
    assert field["solar_irradiation"].value == pytest.approx(5.4, rel=1e-6)
    assert field["solar_availability"].value == 100.0
    assert field["solar_expected"].value == pytest.approx(0.9 * 5400 * 0.9195, rel=1e-6)
    low, high = field["performance_ratio"].low, field["performance_ratio"].high
    assert low is not None and high is not None and low < 76.5 and high > 79.0  # 2 % of the irradiance and 0.2 of the meter
    first, second = found.details["solar"]["fields"][0]["inverters"]
    assert first["energy_kwh"] == pytest.approx(2520.0) and second["energy_kwh"] == pytest.approx(1680.0)
    assert first["expected_kwh"] == pytest.approx(0.6 * 0.9 * 5400 * 0.9195)


async def test_without_irradiance_the_ratio_is_null_and_the_yield_stays(tmp_path: Path) -> None:
    field = (await _day(tmp_path, blind_h=(0, 25))).figures["branch:roof"]
    assert field["performance_ratio"].value is None and field["performance_ratio"].reason
    assert field["specific_yield"].value == pytest.approx(4.2, rel=1e-3)
    assert field["solar_availability"].value is None


async def test_missing_sun_widens_the_band(tmp_path: Path) -> None:
    whole = (await _day(tmp_path / "a" if (tmp_path / "a").mkdir() is None else tmp_path)).figures["branch:roof"]
    (tmp_path / "b").mkdir()
    part = (await _day(tmp_path / "b", blind_h=(6, 9))).figures["branch:roof"]["performance_ratio"]
    assert part.value == pytest.approx(77.7778, abs=0.02)
    assert part.low is not None and part.high is not None
    assert part.low <= 77.7 <= part.high
    assert part.high - part.low >= (whole["performance_ratio"].high or 0.0) - (whole["performance_ratio"].low or 0.0)


async def test_sun_that_was_not_seen_is_not_night(tmp_path: Path) -> None:
    field = (await _day(tmp_path, blind_h=(6, 25))).figures["branch:roof"]
    for name in ("solar_irradiation", "performance_ratio"):
        assert field[name].value is None and "measured share" in field[name].reason, name


async def test_an_inverter_that_stands_in_the_sun_lowers_availability(tmp_path: Path) -> None:
    field = (await _day(tmp_path, second_runs=False)).figures["branch:roof"]
    assert field["solar_availability"].value == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("found", "instead", "key"),
    [
        ('branch = "roof"\nweather', 'branch = "tie"\nweather', "solar[roof].branch"),
        ('weather_meter = "sky"', 'weather_meter = "nowhere"', "solar[roof].weather_meter"),
        ('meter = "inv-2"', 'meter = "inv-9"', "solar[roof].inverters[1].meter"),
    ],
)
def test_settings_that_name_what_is_not_there(found: str, instead: str, key: str) -> None:
    assert found in SITE
    with pytest.raises(ConfigError) as caught:
        parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + SITE.replace(found, instead), "site.toml")
    assert [fault.key for fault in caught.value.faults] == [key]
