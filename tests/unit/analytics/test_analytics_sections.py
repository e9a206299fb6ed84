"""Sections of a plant: couplers that open, transformers that feed, flows that end, storage without a record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from analytics_plant import HEAD, NS, SmallPlant, meter_toml, small_plant

from analytics.figures import PeriodFigures
from analytics.storage_origin import Pool
from analytics.topology import divided
from plant.config import parse_site
from plant.errors import ConfigError
from plant.series import QUARTER_NS, Span

HOUR_NS = 3600 * NS
START = round(datetime(2026, 5, 31, 16, tzinfo=UTC).timestamp()) * NS
AC = ("active_power", "energy_import", "energy_export")
SECTIONS = 'bus = [{ id = "b" }, { id = "c" }]'


def _meters(*names: str) -> str:
    return "".join(meter_toml(name, i + 1, f'branch = "{name}", rated_power_kw = 9000') for i, name in enumerate(names))


def _two_sections(text: str) -> str:
    return HEAD.replace("ZONE", "Asia/Shanghai").replace('bus = [{ id = "b" }]', SECTIONS) + text


COUPLED = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "sun", kind = "pv", bus = "c" },
  { id = "unit", kind = "generator", bus = "b", source = "captive_gas" },
  { id = "coupler", kind = "coupler", bus = "b", to_bus = "c" },
  { id = "press", kind = "feeder", bus = "c" },
]
""" + _meters("tie", "sun", "unit", "coupler", "press")
STEPPED_DOWN = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "sun", kind = "pv", bus = "b" },
  { id = "down", kind = "transformer", bus = "b", to_bus = "c" },
  { id = "mill", kind = "feeder", bus = "b" },
  { id = "press", kind = "feeder", bus = "c" },
]
""" + _meters("tie", "sun", "down", "mill", "press")


@pytest.fixture
async def coupled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmallPlant]:
    monkeypatch.setattr("analytics_plant.HEAD", HEAD.replace('bus = [{ id = "b" }]', SECTIONS))
    meters = ("tie", "sun", "unit", "coupler", "press")
    async with small_plant(tmp_path, COUPLED, START, dict.fromkeys(meters, AC)) as made:
        yield made


async def _feed(plant: SmallPlant, meter: str, *power_kw: float) -> None:
    """Minutes of a meter at a power, + import, hour by hour."""
    minute = np.arange(60 * len(power_kw) + 1)
    by_minute = np.repeat(power_kw, 60)
    into, out = (1e6 + np.concatenate([[0.0], np.cumsum(np.maximum(s * by_minute, 0)) / 60]) for s in (1, -1))
    power = np.append(by_minute, power_kw[-1])
    await plant.feed(meter, START + minute * 60 * NS, active_power=power, energy_import=into, energy_export=out)


async def _settled(plant: SmallPlant, hours: int) -> PeriodFigures:
    plant.clock.t_ns = START + hours * HOUR_NS + 300 * NS
    await plant.work()
    return await plant.analytics.figures(Span(START, START + hours * HOUR_NS))


async def test_a_coupler_without_flow_divides(coupled: SmallPlant) -> None:
    # one hour open: what b exports is all of its own unit; one hour carrying 100 kW: one mix of both sources
    powers = {"tie": (-500, -400), "unit": (-500, -500), "coupler": (0, 100), "sun": (-600, -500), "press": (600, 600)}
    for meter, kw in powers.items():
        await _feed(coupled, meter, *kw)
    found = await _settled(coupled, 2)
    assert {(f.source, f.sink): f.energy_kwh for f in found.flows} == pytest.approx(
        {("unit", "tie"): 500.0 + 200, ("unit", "load"): 300.0, ("sun", "load"): 600.0 + 300, ("sun", "tie"): 200.0}
    )
    share = found.figure("plant", "green_share_physical")
    assert share is not None
    assert share.value == pytest.approx(100 * 900 / 1200)


def test_a_section_without_sources_stays_connected() -> None:
    # nothing on the coupler while the press runs: its meter is wrong, since nothing else could have fed the press
    site = parse_site(_two_sections(COUPLED), "site.toml")
    fed = replace(site, branches={b.id: b for b in site.branches.values() if b.id != "sun"})
    assert [part.buses for part in divided(site, ["coupler"])] == [("b",), ("c",)]
    assert [part.buses for part in divided(fed, ["coupler"])] == [("b", "c")]


async def test_a_section_behind_a_transformer_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics_plant.HEAD", HEAD.replace('bus = [{ id = "b" }]', SECTIONS))
    meters = ("tie", "sun", "down", "mill", "press")
    async with small_plant(tmp_path, STEPPED_DOWN, START, dict.fromkeys(meters, AC)) as plant:
        for meter, kw in {"tie": 700.0, "sun": -300.0, "down": 410.0, "mill": 590.0, "press": 400.0}.items():
            await _feed(plant, meter, kw)
        found = await _settled(plant, 1)
        load, share = (found.figure("plant", name) for name in ("load_energy", "green_share_physical"))
        assert load is not None
        assert load.value == pytest.approx(1000.0)
        assert share is not None
        assert share.value == pytest.approx(30.0)
        assert found.residual_kwh == pytest.approx({"b": 0.0, "c": 10.0})


def test_a_section_that_nothing_feeds_is_a_fault() -> None:
    with pytest.raises(ConfigError, match=r"bus\[c\]"):
        parse_site(_two_sections(STEPPED_DOWN.replace(', to_bus = "c" }', " }")), "site.toml")


async def test_a_flow_that_ends_leaves_no_row_behind(coupled: SmallPlant) -> None:
    for meter, kw in {"tie": 1000.0, "unit": -300.0, "coupler": 10.0, "sun": -600.0, "press": 1900.0}.items():
        await _feed(coupled, meter, kw)
    assert "sun" in {f.source for f in (await _settled(coupled, 1)).flows}
    turned = COUPLED.replace('branch = "sun", rated', 'branch = "sun", direction = "reverse", rated')
    coupled.site = parse_site(_two_sections(turned), "site.toml")
    coupled.restart()
    await coupled.ledger.mark_dirty("p", "point:sun", list(range(START, START + HOUR_NS, QUARTER_NS)))
    assert "sun" not in {f.source for f in (await _settled(coupled, 1)).flows}


async def test_a_flow_without_readings_is_estimated_like_the_sum_it_is_part_of(coupled: SmallPlant) -> None:
    for meter, kw in {"tie": 1000.0, "unit": -300.0, "coupler": 10.0, "sun": -600.0, "press": 1900.0}.items():
        await _feed(coupled, meter, *[kw] * (3 if meter == "tie" else 4))
    found = await _settled(coupled, 4)
    grid = found.figure("plant", "grid_import")
    assert grid is not None
    assert sum(f.energy_kwh or 0.0 for f in found.flows if f.source == "tie") == pytest.approx(grid.value)


def test_storage_without_a_record_is_of_unknown_origin() -> None:
    full = Pool((60.0, 20.0, 0.0, 20.0))
    assert full.without_record(50.0).content_kwh == pytest.approx((30.0, 10.0, 0.0, 60.0))
    assert full.without_record(1000.0).content_kwh == pytest.approx((0.0, 0.0, 0.0, 100.0))
    assert full.without_record(float("nan")).content_kwh == pytest.approx((0.0, 0.0, 0.0, 100.0))
    assert full.without_record(0.0) == full
