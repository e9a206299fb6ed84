"""Virtual points: the arithmetic of their parts, bands that hold it, and rows like any other point's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.flags import IntervalFlag
from analytics.intervals import PointIntervals
from analytics.virtual import virtual_intervals
from plant import nodes
from plant.config import parse_site
from plant.series import QUARTER, Span
from plant.site import Site
from tests.analytics_plant import HEAD, NS, meter_toml, small_plant

START = 1_780_272_000 * NS
HOUR_NS = 3_600 * NS
SITE = (
    """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" }, { id = "mill", kind = "feeder", bus = "b" },
  { id = "rest", kind = "feeder", bus = "b" }, { id = "sun", kind = "pv", bus = "b" },
]
virtual = [
  { id = "rest", branch = "rest", formula = "tie - mill", rated_power_kw = 2000 },
  { id = "ties", branch = "tie", formula = "2 * tie" },
  { id = "sun", branch = "sun", formula = "mill - tie" },
]
"""
    + meter_toml("tie", 1, 'branch = "tie", rated_power_kw = 2000, class_percent = 0.2')
    + meter_toml("mill", 2, 'branch = "mill", rated_power_kw = 2000, class_percent = 0.5')
)
KNOWN = dict.fromkeys(("tie", "mill"), ("energy_import", "energy_export"))


def site() -> Site:
    return parse_site(HEAD.replace("ZONE", "Asia/Shanghai") + SITE, "site.toml")


def part(into: float, out: float, off: float, share: float = 1.0) -> PointIntervals:
    one = np.ones(1)
    return PointIntervals(
        one * into, one * into * (1 - off), one * into * (1 + off), one * out, one * out * (1 - off), one * out * (1 + off),
        one * (into - out) * 4, one, one * share, np.zeros(1, np.int64), one * np.nan,
    )  # fmt: skip


energy = st.floats(0, 1e5)


@settings(deadline=None)
@given(st.lists(st.tuples(energy, energy, st.floats(-3, 3), st.floats(-1, 1)), min_size=1, max_size=4), st.sampled_from([*"rst"]))
def test_a_virtual_point_is_the_arithmetic_of_its_parts_and_its_band_holds_theirs(
    drawn: list[tuple[float, float, float, float]], which: str
) -> None:
    name = {"r": "rest", "s": "sun", "t": "ties"}[which]
    parts = [(part(into, out, 0.01), factor) for into, out, factor, _ in drawn]
    found = virtual_intervals(site(), site().points[name], parts, 0.25)
    net = sum(f * (i - o) for i, o, f, _ in drawn)
    true = sum(f * (i - o) + f * 0.01 * (at * i - at * o) for i, o, f, at in drawn)
    assert found.energy_import[0] - found.energy_export[0] == pytest.approx(net, abs=1e-6 + 1e-9 * abs(net))
    low = found.energy_import_low[0] - found.energy_export_high[0]
    high = found.energy_import_high[0] - found.energy_export_low[0]
    assert low - 1e-6 <= true <= high + 1e-6
    assert found.energy_import_low[0] <= found.energy_import[0] <= found.energy_import_high[0]
    assert found.energy_export_low[0] <= found.energy_export[0] <= found.energy_export_high[0]


def test_what_is_left_of_estimates_is_not_proven_and_the_wrong_way_is_flagged() -> None:
    point = site().points["rest"]
    found = virtual_intervals(site(), point, [(part(100, 0, 0.0), 1.0), (part(95, 0, 0.0, share=0.9), -1.0)], 0.25)
    assert found.measured_share[0] == 0  # 9.5 kWh are estimated, 5 are left
    against = virtual_intervals(site(), point, [(part(90, 0, 0.0), 1.0), (part(95, 0, 0.0), -1.0)], 0.25)
    assert against.energy_import[0] == -5 and against.flags[0] & int(IntervalFlag.NEGATIVE)


async def test_rows_figures_and_the_live_plant_know_it(tmp_path: Path) -> None:
    t_ns = START + np.arange(0, 6 * 60 + 1, dtype=np.int64) * 60 * NS
    zero, hours = np.zeros(len(t_ns)), (t_ns - START) / HOUR_NS
    silent = (hours > 2) & (hours < 4)
    async with small_plant(tmp_path, SITE, START + 7 * HOUR_NS, KNOWN) as plant:
        await plant.feed("tie", t_ns, energy_import=5e5 + 1000 * hours, energy_export=zero)
        await plant.feed("mill", t_ns[~silent], energy_import=9e5 + 900 * hours[~silent], energy_export=zero[~silent])
        await plant.work()
        span = Span(START, START + 6 * HOUR_NS)
        fields = ("energy_import", "energy_import_low", "energy_import_high", "measured_share")
        rows = await plant.store.read_derived(QUARTER, [nodes.point("rest"), nodes.branch("rest")], fields, span)
        own = rows.value[rows.node_index == 0]
        np.testing.assert_array_equal(own, rows.value[rows.node_index == 1])
        found = await plant.analytics.figures(span)
        live = await plant.analytics.live()
    np.testing.assert_allclose(own[:, 0], 25.0, rtol=1e-6)
    np.testing.assert_allclose(own[:8, 2] - own[:8, 0], 0.002 * 250 + 0.005 * 225, rtol=1e-6)
    assert (own[8:16, 2] - own[8:16, 1] > 50).all() and (own[9:15, 3] == 0).all() and (own[:8, 3] == 1).all()
    (energies,) = [p for p in found.points if p.point == "rest"]
    assert energies.energy_import_kwh == pytest.approx(600) and energies.flags
    assert live.branches["rest"].active_power_kw is None
