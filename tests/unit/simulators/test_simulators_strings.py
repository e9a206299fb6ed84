"""The combiner box of the demo: what its faults are is found from what it reports."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.gauges import gauge_columns
from analytics.solar_strings import Cause, Group, Suspect, judge, stacked
from devices.catalog import shipped_profiles
from plant.series import QUARTER_NS, Series, Span
from plant.site import Site
from simulators.faults import Gap, Reported, Spike, sound, with_faults
from simulators.noise import NS_PER_S
from simulators.pv import StringBox
from simulators.readings import Readings
from simulators.smelter import SmelterModel

DAY_NS = 86_400 * NS_PER_S
EPOCH_NS = 1_793_404_800 * NS_PER_S  # 2026-10-31T00:00Z
METER = "pv-3-strings"
COUNT = 12


def _reported(site: Site, seed: int, first_day: int, days: int) -> Reported:
    readings = Readings(SmelterModel(seed, EPOCH_NS), site, shipped_profiles())
    t_ns = EPOCH_NS + first_day * DAY_NS + np.arange(days * 288, dtype=np.int64) * 300 * NS_PER_S
    names = readings.profile(METER).quantities
    return sound(names, t_ns, readings.reading_columns(METER, t_ns))


def _suspects(site: Site, reported: Reported) -> tuple[tuple[Suspect, ...], np.ndarray]:
    bounds = np.arange(reported.t_ns[0], reported.t_ns[-1] + QUARTER_NS, QUARTER_NS)
    series = {
        (METER, name): Series(reported.t_ns, reported.value[:, i].copy(), np.zeros(len(reported.t_ns), np.int16))
        for i, name in enumerate(reported.quantities)
    }
    rows = gauge_columns(site, series, bounds)[f"meter:{METER}"]
    columns = [rows[f"string_dc_current_{i + 1}"] for i in range(COUNT)]
    local_h = bounds[:-1] // (3600 * NS_PER_S) + 8
    every = np.ones(len(bounds) - 1, bool)
    group = Group(stacked(columns, [12.0] * COUNT), local_h % 24, local_h // 24, every, np.full(COUNT, np.inf))
    return judge(group).suspects, bounds


def test_before_the_fuse_blows_only_the_shade_is_found(site: Site) -> None:
    for seed in (1, 2, 3):
        box = StringBox.of(seed, METER, EPOCH_NS)
        suspects, _ = _suspects(site, _reported(site, seed, 10, 12))
        assert [(s.unit, s.cause) for s in suspects] == [(box.shaded, Cause.SHADED)]


def test_a_blown_fuse_is_first_and_dated(site: Site) -> None:
    box = StringBox.of(1, METER, EPOCH_NS)
    suspects, bounds = _suspects(site, _reported(site, 1, 38, 2))
    assert (suspects[0].unit, suspects[0].cause) == (box.blown, Cause.DEAD)
    assert suspects[0].first is not None and bounds[suspects[0].first] >= box.blown_ns


@pytest.mark.parametrize("factor", [0.0, 0.7])
def test_a_fault_of_one_string_is_found_through_a_gap(site: Site, factor: float) -> None:
    reported = _reported(site, 2, 10, 6)
    whole = Span(int(reported.t_ns[0]), int(reported.t_ns[-1]) + 1)
    unit = (StringBox.of(2, METER, EPOCH_NS).shaded + 3) % COUNT
    faults = [
        Spike(whole, f"string_dc_current_{unit + 1}", factor, 1.0, 5),
        Gap(Span(whole.start_ns + DAY_NS, whole.start_ns + 2 * DAY_NS)),
    ]
    suspects, _ = _suspects(site, with_faults(reported, faults))
    assert suspects[0].unit == unit and suspects[0].cause is (Cause.DEAD if factor == 0.0 else Cause.LOW)
