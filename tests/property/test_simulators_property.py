"""Properties of the simulated truth that hold for every seed and instant."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.battery import day_plan
from simulators.lattice import positive_mean
from simulators.noise import smooth, stream, uniform
from simulators.parameters import BUS_OF, parameters_of
from simulators.smelter import SmelterModel

T0 = 1_793_404_800_000_000_000
DAY = 86_400 * 10**9
untimed = settings(deadline=None)
seeds = st.integers(0, 2**31)
instants = st.lists(st.integers(T0 - 400 * DAY, T0 + 400 * DAY), min_size=2, max_size=40)
MODELS = {seed: SmelterModel(seed, T0) for seed in (0, 3)}


@untimed
@given(seeds, instants, st.floats(1.0, 1e6))
def test_noise_is_a_function_of_the_instant_alone(seed: int, when: list[int], period_s: float) -> None:
    t_ns, key = np.array(when), stream(seed, "x")
    together = smooth(key, t_ns, period_s)
    assert np.all(np.abs(together) <= 1.0)
    np.testing.assert_array_equal(together, [smooth(key, t_ns[i : i + 1], period_s)[0] for i in range(len(t_ns))])
    # no steps: within a millionth of the period it moves by a few millionths of its reach at most
    assert np.max(np.abs(smooth(key, t_ns + max(round(period_s * 1e3), 1), period_s) - together)) < 1e-5


@untimed
@given(seeds, st.integers(-(10**12), 10**12))
def test_uniform_spreads_over_its_range(seed: int, start: int) -> None:
    u = uniform(stream(seed, "u"), start + np.arange(4000))
    assert np.all((u >= 0.0) & (u < 1.0))
    assert 0.4 < u.mean() < 0.6
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.1


@untimed
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_positive_part_of_a_straight_segment(first: float, last: float) -> None:
    a, b = np.array([first]), np.array([last])
    fine = np.maximum(np.linspace(first, last, 20_001), 0.0)
    assert abs(positive_mean(a, b)[0] - (fine[1:] + fine[:-1]).mean() / 2.0) <= 1e-6 * (1.0 + abs(first) + abs(last))
    # the positive part less the negative part is the mean
    assert abs(positive_mean(a, b)[0] - positive_mean(-a, -b)[0] - (first + last) / 2.0) <= 1e-9 * (1.0 + abs(first) + abs(last))


@untimed
@given(seeds, st.floats(0.0, 4e5), st.floats(6.0, 18.0))
def test_the_battery_keeps_within_its_bounds_whatever_the_sun_does(seed: int, peak_kw: float, noon: float) -> None:
    battery = parameters_of(seed).battery
    hour = np.linspace(0.0, 24.0, 1441)
    power, stored = day_plan(battery, hour, peak_kw * (1.0 - ((hour - noon) / 4.0) ** 2))
    share = stored / battery.capacity_kwh
    assert share.min() >= battery.reserve_share - 1e-9 and share.max() <= battery.full_share + 1e-9
    assert abs(share[-1] - battery.reserve_share) < 1e-9
    assert np.max(np.abs(power)) <= battery.power_kw + battery.standby_kw + 0.25 * battery.power_kw


@settings(untimed, max_examples=25)
@given(st.sampled_from(sorted(MODELS)), st.lists(st.integers(T0 - 3 * DAY, T0 + 3 * DAY), min_size=2, max_size=6))
def test_kirchhoff_and_growing_integrals(seed: int, when: list[int]) -> None:
    model, t_ns = MODELS[seed], np.sort(np.array(when))
    state = model.state(t_ns)
    drawn = sum(state[name] for name in BUS_OF if not name.startswith("tie"))
    lost = state["loss-1"] + state["loss-2"] + state["unmetered"]
    np.testing.assert_allclose(state["tie-1"] + state["tie-2"], drawn + lost, atol=1e-6)
    for columns in model.integrals(t_ns):
        assert np.min(np.diff(columns.value, axis=0)) >= -1e-6
