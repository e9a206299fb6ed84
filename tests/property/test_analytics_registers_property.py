"""Registers that do not move with every reading: refreshed slowly, stepping coarsely, standing still, or lying for a while."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics.counters import F64, I64, PLAUSIBLE
from analytics.curve import FROZEN_H
from analytics.flags import IntervalFlag
from analytics.intervals import MeteredPoint, PointIntervals, point_intervals
from plant.series import QUARTER_NS, Series
from plant.site import Branch, MeteringPoint, Mounting

NS = 1_000_000_000
MARGIN_S = 900
HOURS = 2
RATED_KW = 2000.0
BOUNDS = np.arange(HOURS * 4 + 1, dtype=np.int64) * QUARTER_NS
LIFETIME_KWH = 5e8


def point(rated_kw: float = RATED_KW) -> MeteredPoint:
    mounting = Mounting("m", 0, class_percent=0.5)
    return MeteredPoint(
        MeteringPoint("p", "b", "main", "ac", rated_kw, (mounting,)), Branch("b", "feeder", "x", "", ""), {}, 900.0
    )


def polled(poll_s: int) -> I64:
    return np.arange(-MARGIN_S, HOURS * 3600 + MARGIN_S + 1, poll_s, dtype=np.int64) * NS


def settle(columns: dict[str, F64], t_ns: I64, bounds: I64 = BOUNDS, metered: MeteredPoint | None = None) -> PointIntervals:
    readings = {("m", name): Series(t_ns, value, np.zeros(len(t_ns), np.int16)) for name, value in columns.items()}
    return point_intervals(metered or point(), readings, [bounds], lambda _meter, _quantity: None)[0]


def slot_by_slot(
    columns: dict[str, F64], t_ns: I64, metered: MeteredPoint | None = None, after_s: int = 120
) -> list[PointIntervals]:
    """As they are settled live: with the readings until shortly after the end of each slot."""
    found = []
    for start, end in pairwise(BOUNDS):
        rows = (t_ns >= start - MARGIN_S * NS) & (t_ns <= end + after_s * NS)
        found.append(settle({n: v[rows] for n, v in columns.items()}, t_ns[rows], np.array([start, end]), metered))
    return found


def counted(t_ns: I64, kw: Sequence[float]) -> F64:
    """Energy of a load that changes every quarter of an hour, from 1000 kWh at the first bound on."""
    at = np.arange(-1, len(kw), dtype=np.int64) * QUARTER_NS
    return 1000.0 + np.interp(t_ns, at, np.concatenate([[0.0], np.cumsum(kw)]) / 4)


def loads(least: float = 100.0) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(least, RATED_KW), min_size=HOURS * 4 + 2, max_size=HOURS * 4 + 2)


def truth(kw: Sequence[float]) -> F64:
    return np.diff(counted(BOUNDS, kw))


def power(t_ns: I64, kw: Sequence[float]) -> F64:
    return np.array(kw)[np.clip(t_ns // QUARTER_NS + 1, 0, len(kw) - 1)]


@settings(max_examples=40, deadline=None)
@example(kw=[100.0, 601.0] + [100.0] * 8, refresh_s=241, poll_s=60)
@given(loads(), st.integers(2, 900), st.sampled_from([1, 5, 60]))
def test_a_register_refreshed_more_slowly_than_it_is_read_keeps_its_energy(kw: list[float], refresh_s: int, poll_s: int) -> None:
    t_ns = polled(poll_s)
    register = counted(t_ns // (refresh_s * NS) * refresh_s * NS, kw)
    found = settle({"energy_import": register, "active_power": power(t_ns, kw)}, t_ns)
    # what a reading lags behind, and power's ramp between two readings, move energy between neighbours
    lag = RATED_KW / 3600 * 4 * poll_s + 1e-6
    np.testing.assert_allclose(found.energy_import, truth(kw), atol=lag, rtol=0.005)
    assert (found.measured_share > 0.95).all()


@settings(max_examples=40, deadline=None)
@example(kw=RATED_KW, refresh_s=91, poll_s=60)
@given(st.floats(20, RATED_KW), st.integers(1, 600), st.sampled_from([1, 5, 60]))
def test_it_does_so_without_a_power(kw: float, refresh_s: int, poll_s: int) -> None:
    t_ns = polled(poll_s)
    register = counted(t_ns // (refresh_s * NS) * refresh_s * NS, [kw] * (HOURS * 4 + 2))
    found = settle({"energy_import": register}, t_ns)
    refreshed, possible = kw / 3600 * refresh_s, PLAUSIBLE * RATED_KW / 3600 * (poll_s + 1)
    # a gain that may as well have passed between two readings stays where it showed
    unseen = min(refreshed, possible)
    np.testing.assert_allclose(found.energy_import, kw / 4, atol=unseen + kw / 3600 * (poll_s + 1) * 2 + 1e-6)


@settings(max_examples=40, deadline=None)
@given(loads(), st.sampled_from([0.1, 1.0, 10.0, 25.0]), st.booleans())
def test_coarse_steps_that_nobody_declared_lose_nothing(kw: list[float], step: float, with_power: bool) -> None:
    t_ns = polled(1)
    columns = {"energy_import": np.floor(counted(t_ns, kw) / step) * step}
    if with_power:
        columns["active_power"] = power(t_ns, kw)
    found = settle(columns, t_ns)
    np.testing.assert_allclose(found.energy_import, truth(kw), atol=2 * step + 1, rtol=0.005)
    assert abs(found.energy_import.sum() - truth(kw).sum()) <= 2 * step + 1


@settings(max_examples=30, deadline=None)
@given(loads(300.0), st.integers(2, 900))
def test_slots_settled_one_by_one_add_up_too(kw: list[float], refresh_s: int) -> None:
    t_ns = polled(5)
    register = counted(t_ns // (refresh_s * NS) * refresh_s * NS, kw)
    found = slot_by_slot({"energy_import": register, "active_power": power(t_ns, kw)}, t_ns)
    assert sum(f.energy_import[0] for f in found) == pytest.approx(truth(kw).sum(), rel=0.01)


@settings(max_examples=30, deadline=None)
@given(loads(200.0), st.integers(0, HOURS * 3600), st.sampled_from(["whole", "one by one"]))
def test_a_register_that_stands_while_power_flows_proves_nothing(kw: list[float], stands_from_s: int, settled: str) -> None:
    t_ns = polled(5)
    register = counted(np.minimum(t_ns, stands_from_s * NS), kw)
    columns = {"energy_import": register, "active_power": power(t_ns, kw)}
    parts = [settle(columns, t_ns)] if settled == "whole" else slot_by_slot(columns, t_ns)
    energy = np.concatenate([p.energy_import for p in parts])
    # a slot that is settled at once sees nothing of what follows: below this energy, a register that stands cannot be told
    # from one that is refreshed slowly
    unseen_kwh = RATED_KW / 3600 * 20 if settled == "whole" else FROZEN_H * RATED_KW
    np.testing.assert_allclose(energy, truth(kw), rtol=0.01, atol=unseen_kwh)
    stood = BOUNDS[:-1] > stands_from_s * NS
    assert (np.concatenate([p.measured_share for p in parts])[stood] < 1e-9).all()
    flags = np.concatenate([p.flags for p in parts])[stood]
    assert ((flags & int(IntervalFlag.FROZEN)) > 0).all()


@settings(max_examples=30, deadline=None)
@given(loads(), st.integers(0, 3600), st.integers(60, 3600))
def test_what_a_stuck_register_catches_up_with_is_spread_over_its_standing(kw: list[float], stuck_s: int, for_s: int) -> None:
    t_ns = polled(5)
    stuck = (t_ns >= stuck_s * NS) & (t_ns < (stuck_s + for_s) * NS)
    register = counted(np.where(stuck, stuck_s * NS, t_ns), kw)
    shaped = settle({"energy_import": register, "active_power": power(t_ns, kw)}, t_ns)
    np.testing.assert_allclose(shaped.energy_import, truth(kw), rtol=0.005, atol=RATED_KW / 3600 * 20)
    plain = settle({"energy_import": register}, t_ns)
    assert plain.energy_import.sum() == pytest.approx(truth(kw).sum(), rel=0.005, abs=RATED_KW / 3600 * 20)
    assert (plain.energy_import_low <= plain.energy_import).all()
    if for_s > 1000:
        assert (plain.energy_import_low <= truth(kw) + 6).all() and (truth(kw) - 6 <= plain.energy_import_high).all()


@settings(max_examples=30, deadline=None)
@given(st.floats(1, 1500), st.integers(300, 3600), st.sampled_from([0.0, RATED_KW]), st.booleans())
def test_a_lifetime_that_comes_back_after_zeros_is_no_energy(kw: float, for_s: int, rated_kw: float, with_power: bool) -> None:
    t_ns = polled(60)
    zeros = (t_ns >= 1800 * NS) & (t_ns < (1800 + for_s) * NS)
    columns = {"energy_import": np.where(zeros, 0.0, LIFETIME_KWH + t_ns / NS / 3600 * kw)}
    if with_power:
        columns["active_power"] = np.full(len(t_ns), kw)
    for found in slot_by_slot(columns, t_ns, point(rated_kw)):
        assert not np.nan_to_num(found.energy_import[0]) > kw / 4 * 2 + 5


@settings(max_examples=40, deadline=None)
@given(loads(200.0), st.integers(0, HOURS * 3600), st.sampled_from([0.0, RATED_KW]), st.sampled_from(["whole", "one by one"]))
def test_the_band_holds_what_a_register_that_stops_has_missed(
    kw: list[float], stands_from_s: int, rated_kw: float, settled: str
) -> None:
    t_ns = polled(5)
    columns = {"energy_import": counted(np.minimum(t_ns, stands_from_s * NS), kw), "active_power": power(t_ns, kw)}
    metered = point(rated_kw)
    parts = [settle(columns, t_ns, metered=metered)] if settled == "whole" else slot_by_slot(columns, t_ns, metered)
    low, high = (np.concatenate([getattr(p, f"energy_import_{edge}") for p in parts]) for edge in ("low", "high"))
    ramp = RATED_KW / 3600 * 5 * 2  # between two samples of power that jumps
    assert (low - ramp <= truth(kw)).all() and (truth(kw) <= high + ramp).all()
