"""A gap of the sun that its register closes within the period: what the total proves is not open in any figure made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from analytics_plant import NS, meter_toml, small_plant

from plant.indicators import Figure
from plant.series import Span

START = 1_780_272_000 * NS
DAY_MIN = 1440
RATED_KW = {"tie": 10_000, "sun": 1_000, "load": 10_000}
BRANCHES = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "sun", kind = "pv", bus = "b", capacity_kw = 1000 },
  { id = "load", kind = "feeder", bus = "b" },
]
"""
SITE = BRANCHES + "".join(
    meter_toml(name, i + 1, f'branch = "{name}", rated_power_kw = {rated}') for i, (name, rated) in enumerate(RATED_KW.items())
)
QUANTITIES = ("active_power", "energy_import", "energy_export")


async def _figures(folder: Path, *, silent_min: tuple[int, int] = (0, 0)) -> dict[str, Figure]:
    """Two days of 3 MW of load under 800 kW of sun at noon; the meter of the sun is silent for some minutes."""
    async with small_plant(folder, SITE, START, dict.fromkeys(RATED_KW, QUANTITIES)) as plant:
        minute = np.arange(2 * DAY_MIN + 30)
        t_ns = START + minute * 60 * NS
        sun = np.clip(800 * np.sin((minute % DAY_MIN / 60 - 6) / 12 * np.pi), 0, None)
        load = np.full(len(minute), 3_000.0)
        for meter, power in (("sun", -sun), ("load", load), ("tie", load - sun)):
            into, out = (np.r_[0, np.cumsum(np.maximum(p, 0)[:-1] / 60)] for p in (power, -power))
            kept = (minute < silent_min[0]) | (minute >= silent_min[1]) if meter == "sun" else np.ones(len(minute), bool)
            await plant.feed(meter, t_ns[kept], active_power=power[kept], energy_import=into[kept], energy_export=out[kept])
        plant.clock.t_ns = int(t_ns[-1]) + 3600 * NS
        await plant.work()
        figures: dict[str, Figure] = (await plant.analytics.figures(Span(START, START + 2 * DAY_MIN * 60 * NS), "month")).figures[
            "plant"
        ]
        return figures


async def test_a_gap_that_the_period_holds_whole_leaves_green_as_sharp_as_generation(tmp_path: Path) -> None:
    for name in ("whole", "holed"):
        (tmp_path / name).mkdir()
    whole = await _figures(tmp_path / "whole")
    holed = await _figures(tmp_path / "holed", silent_min=(DAY_MIN + 480, DAY_MIN + 960))
    for name in ("renewable_generation", "green_to_load", "green_share_physical", "load_energy"):
        one, other = whole[name], holed[name]
        assert one.low is not None and one.high is not None and other.low is not None and other.high is not None
        assert other.low <= (one.value or 0.0) <= other.high, name
        assert other.high - other.low < 1.2 * (one.high - one.low), name


async def test_of_a_gap_that_is_not_over_no_more_is_green_than_was_made(tmp_path: Path) -> None:
    found = await _figures(tmp_path, silent_min=(DAY_MIN + 480, 3 * DAY_MIN))
    green, made = found["green_to_load"], found["renewable_generation"]
    assert green.high is not None and made.high is not None
    assert green.high <= made.high
