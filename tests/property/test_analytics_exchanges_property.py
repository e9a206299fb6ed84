"""Registers over exchanges, wraps and readings by eye: the sum stays last - first of every register, bands hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.counters import F64, I64
from analytics.flags import IntervalFlag
from analytics.intervals import MeteredPoint, PointIntervals, point_intervals
from plant.register_statements import RegisterStatement
from plant.series import QUARTER_NS, Series
from plant.site import Branch, MeteringPoint, Mounting

NS = 1_000_000_000
HOURS = 6
RATED_KW = 2000.0
WRAPS_AT = 10_000.0
BOUNDS = np.arange(HOURS * 4 + 1, dtype=np.int64) * QUARTER_NS
END_S = HOURS * 3600


def settle(
    series: dict[str, tuple[I64, F64]], statements: list[RegisterStatement], mountings: tuple[Mounting, ...] = (Mounting("m", 0),)
) -> PointIntervals:
    point = MeteringPoint("p", "b", "main", "ac", RATED_KW, mountings)
    metered = MeteredPoint(point, Branch("b", "feeder", "x", "", ""), {}, 900.0)
    readings = {(m, "energy_import"): Series(t, v, np.zeros(len(t), np.int16)) for m, (t, v) in series.items()}
    return point_intervals(metered, readings, [BOUNDS], lambda _m, _q: WRAPS_AT, (), statements)[0]


def energy_at(t_s: F64 | I64 | float, kw: list[float]) -> F64:
    """True energy since 0, load changing each quarter of an hour."""
    at = np.arange(len(kw) + 1) * 900.0
    found: F64 = np.interp(t_s, at, np.concatenate([[0.0], np.cumsum(kw) / 4]))
    return found


loads = st.lists(st.floats(0, RATED_KW), min_size=HOURS * 4, max_size=HOURS * 4)
instants = st.integers(60, END_S - 60)


@settings(max_examples=60, deadline=None)
@given(loads, instants, st.floats(0, WRAPS_AT - 1), st.floats(0, 5000), st.sampled_from(["same id", "own id"]), st.booleans())
def test_an_exchange_loses_and_doubles_nothing(
    kw: list[float], swap_s: int, start_kwh: float, first_kwh: float, ids: str, silent: bool
) -> None:
    """Also where the old register wraps, and where nothing was read for a while on either side."""
    t_s = np.arange(0, END_S + 1, 60, dtype=np.int64)
    if silent:
        t_s = t_s[(np.abs(t_s - swap_s) > 2400) | (t_s == 0) | (t_s == END_S)]
    true = energy_at(t_s, kw)
    at_swap = float(energy_at(swap_s, kw))
    old, new = (start_kwh + true) % WRAPS_AT, (first_kwh + true - at_swap) % WRAPS_AT
    last = (start_kwh + at_swap) % WRAPS_AT
    before, t_ns = t_s < swap_s, t_s.astype(np.int64) * NS
    meter = "" if ids == "same id" else "n"
    exchange = [RegisterStatement("p", "import", swap_s * NS, swap_s * NS, last, first_kwh, meter)]
    if ids == "same id":
        found = settle({"m": (t_ns, np.where(before, old, new))}, exchange)
    else:
        series = {"m": (t_ns[before], old[before]), "n": (t_ns[~before], new[~before])}
        found = settle(series, exchange, (Mounting("m", 0), Mounting("n", swap_s * NS)))
    assert found.energy_import.sum() == pytest.approx(true[-1], abs=1e-6)
    assert not (found.flags & int(IntervalFlag.RESET)).any()
    true_kwh = np.diff(energy_at(BOUNDS / NS, kw))
    ramp = RATED_KW / 60 * 1.01  # a reading a minute: the load's steps lie between two of them
    assert (found.energy_import_low - ramp <= true_kwh).all() and (true_kwh <= found.energy_import_high + ramp).all()


@settings(max_examples=60, deadline=None)
@given(loads, st.lists(instants, max_size=5, unique=True), st.tuples(instants, instants))
def test_readings_by_eye_keep_the_sum_and_narrow_the_gap(kw: list[float], at: list[int], hole: tuple[int, int]) -> None:
    t_s = np.arange(0, END_S + 1, 60, dtype=np.int64)
    t_s = t_s[(t_s <= min(hole)) | (t_s >= max(hole))]
    stated = [RegisterStatement("p", "import", t * NS, t * NS, 5.0 + float(energy_at(t, kw))) for t in at]
    series = {"m": (t_s.astype(np.int64) * NS, 5.0 + energy_at(t_s, kw))}
    plain, helped = settle(series, []), settle(series, stated)
    if np.isfinite(plain.energy_import).all():  # else the register may have turned over unseen in the gap, and it stays open
        assert helped.energy_import.sum() == pytest.approx(plain.energy_import.sum(), abs=1e-6)
    true_kwh, ramp = np.diff(energy_at(BOUNDS / NS, kw)), RATED_KW / 60 * 1.01
    # up to gap_max_s readings are interpolated: a bound between two of them has no band, as documented
    knots = np.unique(np.concatenate([t_s, at])).astype(np.int64)
    apart = np.diff(knots)[np.clip(np.searchsorted(knots, BOUNDS // NS, "right") - 1, 0, len(knots) - 2)]
    between = ~np.isin(BOUNDS // NS, knots) & (apart > 60) & (apart <= 900)
    held = (helped.energy_import_low - ramp <= true_kwh) & (true_kwh <= helped.energy_import_high + ramp)
    assert (held | between[1:] | between[:-1]).all()
    width = [(f.energy_import_high - f.energy_import_low).sum() for f in (helped, plain)]
    assert width[0] <= width[1] * 1.001 + 1e-6


def test_an_exchange_that_took_half_an_hour_leaves_that_time_open() -> None:
    t_s = np.arange(0, END_S + 1, 60, dtype=np.int64)
    kw = [1000.0] * (HOURS * 4)
    out = (t_s > 7200) & (t_s < 9000)
    register = np.where(t_s <= 7200, 100 + energy_at(t_s, kw), energy_at(t_s, kw) - energy_at(9000, kw))
    exchange = [RegisterStatement("p", "import", 7200 * NS, 9000 * NS, 100 + float(energy_at(7200, kw)), 0.0)]
    found = settle({"m": (t_s[~out].astype(np.int64) * NS, register[~out])}, exchange)
    open_ = (BOUNDS[:-1] >= 7200 * NS) & (BOUNDS[:-1] < 9000 * NS)
    np.testing.assert_allclose(found.energy_import[~open_], 250.0, rtol=1e-9)
    assert np.isnan(found.energy_import[open_]).all() and (found.energy_import_high[open_] >= 250).all()
    assert (found.energy_import_low[open_] == 0).all()
