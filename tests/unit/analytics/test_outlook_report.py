"""Outlook and baseline through the service: asked by name, and in the month report."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from analytics_plant import NS, meter_toml, small_plant

from api.render.table import note

DAY_S = 86_400
START = 1_793_462_400 * NS  # 2026-11-01T00:00 in Shanghai
QUANTITIES = ("active_power", "energy_import", "energy_export")
TEXT = (
    """
branch = [{ id = "tie", kind = "grid_tie", bus = "b" }, { id = "mill", kind = "feeder", bus = "b" }]
[[baseline]]
id = "mill"
reference_start = 2026-11-01
reference_end = 2026-11-11
variables = ["ingots"]
"""
    + meter_toml("tie", 1, 'branch = "tie", rated_power_kw = 2000', 900)
    + meter_toml("mill", 2, 'branch = "mill", rated_power_kw = 2000', 900)
)


@pytest.mark.parametrize("asked", ["study", "report"])
async def test_a_month_half_over(tmp_path: Path, asked: str) -> None:
    async with small_plant(tmp_path, TEXT, START, dict.fromkeys(("tie", "mill"), QUANTITIES)) as plant:
        t_ns = START + np.arange(0, 20 * DAY_S + 1, 900, dtype=np.int64) * NS
        power = 1000.0 + 10.0 * np.sin(t_ns / NS / DAY_S * 2.1)
        energy = 5000.0 + np.concatenate([[0.0], np.cumsum((power[1:] + power[:-1]) / 8)])
        for meter in ("tie", "mill"):
            await plant.feed(meter, t_ns, active_power=power, energy_import=energy, energy_export=np.zeros(len(t_ns)))
        plant.clock.t_ns = int(t_ns[-1]) + 300 * NS
        await plant.work()
        if asked == "study":
            found = await plant.analytics.study("outlook", "month", "2026-11")
            figure = found.figures["plant"]["load_energy_outlook"]
            assert figure.low is not None and figure.value is not None and figure.high is not None
            assert f"site@{plant.site.edition}" in figure.editions
            assert any(edition.startswith("rules@") for edition in figure.editions)
            assert figure.low < figure.value < figure.high
            assert figure.value == pytest.approx(720_000, rel=0.01)
            assert "specific_energy_e1_outlook" not in found.figures["plant"]  # there is no potline
        else:
            studies = (await plant.analytics.report("month", "2026-11")).body["studies"]
            outlook = studies["outlook"]["figures"]["plant"]["grid_import_outlook"]
            assert outlook["low"] < outlook["value"] < outlook["high"]
            assert studies["baseline"]["baselines"][0]["reason"] == "the reference has 0 points, 10 are needed"


async def test_air_temperature_is_kept_for_a_baseline(tmp_path: Path) -> None:
    text = (
        TEXT.replace('["ingots"]', '["heating_degree_days"]\nweather_meter = "sky"')
        + """
[[meter]]
id = "sky"
profile = "x"
endpoint = "g"
unit = 3
poll_interval_s = 900
"""
    )
    known = {**dict.fromkeys(("tie", "mill"), QUANTITIES), "sky": ("ambient_temperature",)}
    async with small_plant(tmp_path, text, START, known) as plant:
        t_ns = START + np.arange(0, 14 * DAY_S + 1, 900, dtype=np.int64) * NS
        cold = 18.0 - ((t_ns - START) // (DAY_S * NS) * 7 % 11)
        energy = np.concatenate([[0.0], np.cumsum(200.0 + (18.0 - cold[:-1]))])
        for meter in ("tie", "mill"):
            await plant.feed(meter, t_ns, energy_import=energy)
        await plant.feed("sky", t_ns, ambient_temperature=cold)
        plant.clock.t_ns = int(t_ns[-1]) + 300 * NS
        await plant.work()
        found = await plant.analytics.study("baseline", "month", "2026-11")
        (fitted,) = found.body["baselines"][0]["fit"]["variables"]
        assert fitted["slope"] == pytest.approx(96, rel=1e-6)  # a kWh a quarter of an hour for each degree
        assert found.figures["baseline:mill"]["baseline_saving"].value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "reason",
    [
        "9 days are known, 14 are needed for an outlook",
        "too little of the settled part was measured",
        "[outlook] names no place: the sun is not known more than 45 days ahead",
        "too few of the past days were measured whole",
        "the reference has 2 points, 10 are needed",
        "a relevant variable stands still or follows from the others",
        "R2 0.410 of the baseline is below 0.75",
        "the baseline may be chance: p 0.210 is above 0.05",
        "nothing shows that energy depends on ingots",
        "no whole month of the period is measured well enough",
        "31 of 31 points lie beyond the range of the baseline",
        "certificates still to be cancelled are not projected",
        "the period is settled to its end",
        "the days before the period are not settled yet",
        "too little light",
        "fewer than 3 peers have readings",
        "7 of 96 intervals have too few readings",
    ],
)
def test_reasons_have_their_chinese(reason: str) -> None:
    chinese = note(reason, "zh")
    assert chinese != reason
    assert all(number in chinese for number in re.findall(r"\d+(?:\.\d+)?", reason.replace("R2", "")))
