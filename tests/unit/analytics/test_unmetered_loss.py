"""Energy per tonne of a plant where not every branch has a meter: what looks like loss may be none of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from analytics_plant import NS, meter_toml, small_plant

from plant import nodes
from plant.indicators import Figure
from plant.series import Span

START = 1_780_272_000 * NS
HOUR_NS = 3_600 * NS
HOURS = 24
SITE = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "rect", kind = "rectifier_group", bus = "b", potline = "a" },
  { id = "cast", kind = "feeder", bus = "b", purpose = "casthouse" },
  MORE
]
[[potline]]
id = "a"
current_efficiency_ref = 0.935
pots = [{ valid_from = 2020-01-01T00:00:00Z, running = 300 }]
"""
POWER_KW = {"tie": 1030.0, "rect": 1000.0, "cast": 20.0}
SIDES = {"tie": "", "rect": ", class_percent = 0.2", "cast": ""}
CURRENT_A = 5_000.0


async def _e2(folder: Path, without: str = "", more: str = "") -> tuple[Figure, Figure]:
    """(e2, e1) of the plant over a day with 10 kW of loss; ``without`` has no meter."""
    names = [name for name in POWER_KW if name != without]
    meters = "".join(meter_toml(n, i, f'branch = "{n}", rated_power_kw = 2000{SIDES[n]}') for i, n in enumerate(names, 1))
    meters += meter_toml("rect-dc", 9, 'branch = "rect", side = "dc", rated_power_kw = 2000')
    known = dict.fromkeys(names, ("energy_import", "energy_export")) | {"rect-dc": ("energy_import", "dc_charge")}
    async with small_plant(folder, SITE.replace("MORE", more) + meters, START + (HOURS + 1) * HOUR_NS, known) as plant:
        t_ns = START + np.arange(0, HOURS * 60 + 1, dtype=np.int64) * 60 * NS
        hours = (t_ns - START) / HOUR_NS
        for name in names:
            await plant.feed(name, t_ns, energy_import=1e6 + POWER_KW[name] * hours, energy_export=0 * hours)
        await plant.feed("rect-dc", t_ns, energy_import=1e6 + 980 * hours, dc_charge=1e6 + CURRENT_A / 1000 * hours)
        await plant.work()
        found = (await plant.analytics.figures(Span(START, START + HOURS * HOUR_NS), "day")).figures[nodes.PLANT]
    return found["specific_energy_e2"], found["specific_energy_e1"]


async def test_an_unmetered_branch_may_be_all_of_what_looks_like_loss(tmp_path: Path) -> None:
    (metered, _), (blind, e1) = await _e2(tmp_path), await _e2(tmp_path, "cast")
    assert metered.reason == ""
    assert None not in (blind.value, blind.low, blind.high, metered.value, e1.value)
    assert blind.value == pytest.approx(1030 / 1000 * e1.value)  # type: ignore[operator]
    assert blind.low < metered.value <= blind.high  # type: ignore[operator]
    assert blind.low <= e1.value  # type: ignore[operator]
    assert blind.reason == "without a meter on cast its energy cannot be told from loss"


async def test_nothing_bounds_the_loss_behind_an_unmetered_source(tmp_path: Path) -> None:
    sun = '{ id = "sun", kind = "pv", bus = "b", capacity_kw = 400 },'
    e2, e1 = await _e2(tmp_path, more=sun)
    assert e1.high is not None
    assert e2.value is not None
    assert (e2.high, e2.reason) == (None, "without a meter on sun what the sources gave is not known")
    assert set(e2.status.values()) <= {"unknown"}
