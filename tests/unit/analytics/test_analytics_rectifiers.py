"""Lines whose rectifier groups are not all metered, and calendars that no slot can follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from analytics_plant import HEAD

from analytics.derive import Evidence, PlantModel, assemble
from analytics.intervals import PointIntervals
from plant.config import parse_site
from plant.errors import ConfigError
from plant.series import QUARTER_NS
from plant.site import Site

T0 = 1_780_000_200_000_000_000 // QUARTER_NS * QUARTER_NS
LINE = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "r1", kind = "rectifier_group", bus = "b", potline = "l" },
  { id = "r2", kind = "rectifier_group", bus = "b", potline = "l" },
]
potline = [{ id = "l", pots = [{ valid_from = 2020-01-01T00:00:00Z, running = 100 }] }]
"""


def _text(*metered: tuple[str, str]) -> str:
    meters = [
        f'\n[[meter]]\nid = "{branch}-{side}"\nprofile = "x"\nendpoint = "g"\nunit = {i}\n'
        f'measures = {{ branch = "{branch}", side = "{side}" }}\n'
        for i, (branch, side) in enumerate(metered, 1)
    ]
    return HEAD.replace("ZONE", "Asia/Shanghai") + LINE + "".join(meters)


ALL = (("tie", "ac"), ("r1", "ac"), ("r2", "ac"), ("r1", "dc"), ("r2", "dc"))


def _energy(kwh: float, kah: float) -> PointIntervals:
    known, one, none = np.array([kwh]), np.ones(1), np.zeros(1)
    return PointIntervals(known, known, known, none, none, none, known * 4, one, one, np.zeros(1, np.int64), np.array([kah]))


@pytest.mark.parametrize("side", ["ac", "dc"])
def test_a_group_without_a_meter_is_a_fault(side: str) -> None:
    parse_site(_text(*ALL), "site")
    with pytest.raises(ConfigError, match=f"metering point on its {side} side"):
        parse_site(_text(*(place for place in ALL if place != ("r2", side))), "site")


def _metal(site: Site, without: str) -> dict[str, float]:
    points = {name: p for name, p in site.points.items() if name != without}
    site = replace(site, points=points)
    model = PlantModel.of(site, 0.335573, lambda _meter, _quantity: None)
    per_point = {n: [_energy(100e3, 50.0 if n.endswith("dc") else np.nan)] * 2 for n in points}
    found = assemble(model, Evidence({}), per_point, np.array([T0, T0 + QUARTER_NS]), 1)
    row = found.coarse.columns["line:l"]
    return {name: float(row[name][0]) for name in ("metal_produced", "dc_energy", "rectifier_energy")}


def test_what_a_group_without_a_meter_took_is_unknown() -> None:
    site = parse_site(_text(*ALL), "site")
    whole = _metal(site, "")
    assert whole["dc_energy"] == whole["rectifier_energy"] == 200e3
    no_dc, no_ac = _metal(site, "r2-dc"), _metal(site, "r2-ac")
    assert np.isnan(no_dc["metal_produced"]) and np.isnan(no_dc["dc_energy"])
    assert no_dc["rectifier_energy"] == 200e3
    assert np.isnan(no_ac["rectifier_energy"])
    assert no_ac["metal_produced"] == whole["metal_produced"] > 0


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("production_day_start = 07:50:00", "plant.production_day_start"),
        ("shift_starts = [00:00:00, 08:05:00]", "plant.shift_starts"),
        ("production_day_start = 07:45:30", "plant.production_day_start"),
    ],
)
def test_a_day_that_starts_inside_a_slot_is_a_fault(setting: str, key: str) -> None:
    text = HEAD.replace('zone = "ZONE"', f'zone = "UTC", {setting}')
    with pytest.raises(ConfigError, match=key):
        parse_site(text, "site")


def test_a_day_that_starts_with_a_slot_is_none() -> None:
    text = HEAD.replace('zone = "ZONE"', 'zone = "UTC", production_day_start = 07:45:00, shift_starts = [07:45:00, 19:45:00]')
    assert parse_site(text, "site").calendar.production_day_start.minute == 45
