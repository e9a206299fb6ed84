"""A register with large steps, computed a day or a slot at a time: what power filled up of a step is counted once."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.counters import F64
from analytics.intervals import MeteredPoint, point_intervals
from plant.series import Series
from plant.site import Branch, MeteringPoint, Mounting

NS = 1_000_000_000
GAP_S, DAY_S, DAYS = 900, 86_400, 4
T0_NS = 1_788_192_000 * NS
AT_S = np.arange(0, DAYS * DAY_S + 2 * GAP_S + 1, 60)


def _noon(hour: F64) -> F64:
    return np.clip(30e3 * (1 - ((hour - 12) / 4) ** 2), 0.0, None)


def _flat(hour: F64) -> F64:
    return np.full(len(hour), 2e3)


def _computed_in_parts(register: F64, power: F64, step_kwh: float, part_s: int) -> float:
    """Sum of the intervals of all days, each part computed from its own readings and those of a gap around it."""
    mounting = Mounting("m", 0, register_step_kwh=step_kwh)
    point = MeteringPoint("p", "b", "main", "ac", 400_000.0, (mounting,))
    metered = MeteredPoint(point, Branch("b", "grid_tie", "x", "", "", source="grid"), {"m": 60.0}, GAP_S)
    total = 0.0
    for first_s in range(GAP_S, GAP_S + DAYS * DAY_S, part_s):
        seen = (first_s - GAP_S <= AT_S) & (first_s + part_s + GAP_S >= AT_S)
        t_ns, good = T0_NS + AT_S[seen] * NS, np.zeros(int(seen.sum()), np.int16)
        readings = {("m", q): Series(t_ns, v[seen], good) for q, v in (("energy_import", register), ("active_power", power))}
        bounds = T0_NS + np.arange(first_s, first_s + part_s + 1, GAP_S) * NS
        total += float(point_intervals(metered, readings, [bounds], lambda _m, _q: None)[0].energy_import.sum())
    return total


@pytest.mark.parametrize("shape", [_noon, _flat])
@pytest.mark.parametrize("step_kwh", [880.0, 8_800.0])
@pytest.mark.parametrize("part_s", [DAY_S, GAP_S])
def test_parts_add_up_to_what_passed_within_a_step(shape: object, step_kwh: float, part_s: int) -> None:
    assert callable(shape)
    power = shape(AT_S / 3600 % 24)
    passed = np.concatenate([[0.0], np.cumsum((power[1:] + power[:-1]) / 2 / 60)])
    register = np.floor((passed + 0.37 * step_kwh) / step_kwh) * step_kwh
    true = float(np.diff(np.interp([GAP_S, GAP_S + DAYS * DAY_S], AT_S, passed))[0])
    assert _computed_in_parts(register, power, step_kwh, part_s) == pytest.approx(true, abs=step_kwh)
