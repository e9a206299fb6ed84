"""Network loss of a period, residual of sections behind transformers and couplers, and the evidence that reports show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plant import nodes
from plant.series import Span
from tests.analytics_plant import NS, SmallPlant, meter_toml, small_plant

START = 1_780_272_000 * NS
HOUR_NS = 3_600 * NS
HOURS = 24
BRANCHES = """
[[branch]]
id = "tie"
kind = "grid_tie"
bus = "b"
[[branch]]
id = "sun"
kind = "pv"
bus = "low"
capacity_kw = 400
[[branch]]
id = "step-down"
kind = "transformer"
bus = "b"
to_bus = "low"
[[branch]]
id = "mill"
kind = "feeder"
bus = "low"
[[branch]]
id = "big"
kind = "feeder"
bus = "b"
"""
# mean power in kW, + away from the grid; the transformer is metered on its upper side and loses 4 kW, the upper busbar 6 kW
POWER = {"tie": 1710.0, "big": 1200.0, "step-down": 504.0, "mill": 800.0, "sun": -300.0}
RATED = {"tie": 3000, "sun": 400, "step-down": 1000, "mill": 1000, "big": 2000}
KNOWN = dict.fromkeys(POWER, ("energy_import", "energy_export"))


def site(branches: str = BRANCHES) -> str:
    meters = "".join(
        meter_toml(name, unit, f'branch = "{name}", rated_power_kw = {RATED[name]}, class_percent = 0.2')
        for unit, name in enumerate(POWER, 1)
    )
    return branches + meters


async def fed(plant: SmallPlant, power_kw: dict[str, float], silent: tuple[float, float] = (0.0, 0.0)) -> None:
    t_ns = START + np.arange(0, HOURS * 60 + 1, dtype=np.int64) * 60 * NS
    hours = (t_ns - START) / HOUR_NS
    for meter, kw in power_kw.items():
        # a field takes 2 kW for itself all the while, which its import register counts
        into, out = max(kw, 0.0) + (2.0 if meter == "sun" else 0.0), max(-kw, 0.0) + (2.0 if meter == "sun" else 0.0)
        rows = ~((hours > silent[0]) & (hours < silent[1])) if meter == "mill" else np.ones(len(t_ns), bool)
        await plant.feed(meter, t_ns[rows], energy_import=1e6 + into * hours[rows], energy_export=2e6 + out * hours[rows])


async def test_loss_is_what_no_branch_took_within_the_classes_of_the_meters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.analytics_plant.HEAD", _two_sections())
    async with small_plant(tmp_path, site(), START + (HOURS + 1) * HOUR_NS, KNOWN) as plant:
        await fed(plant, POWER)
        await plant.work()
        found = await plant.analytics.figures(Span(START, START + HOURS * HOUR_NS), "day")
    of_plant = found.figures[nodes.PLANT]
    loss, share = of_plant["network_loss"], of_plant["network_loss_share"]
    true = (6.0 + 4.0) * HOURS  # what the field takes for itself is no loss
    assert loss.value == pytest.approx(true, rel=1e-6)
    assert share.value == pytest.approx(100 * true / ((POWER["tie"] + 302.0) * HOURS), rel=1e-6)
    at_worst = 0.002 * sum(abs(kw) for name, kw in POWER.items() if name != "step-down") * HOURS
    assert loss.low is not None and loss.high is not None and loss.value is not None
    assert 0.3 * at_worst < loss.high - loss.value <= 1.1 * at_worst and loss.value - loss.low <= 1.1 * at_worst
    # a section's residual is its own loss: the transformer takes from the upper and gives to the lower
    assert found.residual_kwh["b"] == pytest.approx(6 * HOURS, rel=1e-6)
    assert found.residual_kwh["low"] == pytest.approx(4 * HOURS, rel=1e-6)
    for bus, flows in (("b", 1710 + 1200 + 504), ("low", 504 + 800 + 302 + 2)):
        residual = found.figures[nodes.bus(bus)]["residual"]
        assert residual.low is not None and residual.high is not None and residual.value is not None
        assert residual.low < residual.value < residual.high
        assert residual.high - residual.value <= 0.002 * flows * HOURS * 1.01


async def test_a_branch_without_a_meter_is_not_taken_for_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.analytics_plant.HEAD", _two_sections())
    more = '\n[[branch]]\nid = "canteen"\nkind = "feeder"\nbus = "low"\n'
    async with small_plant(tmp_path, site(BRANCHES + more), START + (HOURS + 1) * HOUR_NS, KNOWN) as plant:
        await fed(plant, POWER)
        await plant.work()
        found = await plant.analytics.figures(Span(START, START + HOURS * HOUR_NS), "day")
    loss = found.figures[nodes.PLANT]["network_loss"]
    assert loss.value is None and "without a meter on canteen" in loss.reason


async def test_the_evidence_of_a_period_counts_by_kind_and_names_what_is_most_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.analytics_plant.HEAD", _two_sections())
    async with small_plant(tmp_path, site(), START + (HOURS + 1) * HOUR_NS, KNOWN) as plant:
        await fed(plant, POWER, silent=(5.0, 7.0))
        await plant.work()
        found = await plant.analytics.figures(Span(START, START + HOURS * HOUR_NS), "day")
        healthy = await plant.analytics.figures(Span(START, START + 4 * HOUR_NS))
    told = found.details["evidence"]
    assert told["counts"] == {"spread": {"incidents": 1, "intervals": 8, "points": 1}}
    (gap,) = told["largest"]
    assert (gap["point"], gap["kind"], gap["start"], gap["end"]) == (
        "mill",
        "spread",
        "2026-06-01T13:00:00+08:00",
        "2026-06-01T15:00:00+08:00",
    )
    assert gap["energy_kwh"] == pytest.approx(1600) and gap["band_kwh"] > 100
    assert "evidence" not in healthy.details


def _two_sections() -> str:
    return """
plant = { id = "p", name = { en = "P" }, zone = "ZONE" }
bus = [{ id = "b" }, { id = "low" }]
endpoint = [{ id = "g", protocol = "modbus_tcp", host = "127.0.0.1", port = 502 }]
"""
