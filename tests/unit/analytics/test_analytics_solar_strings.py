"""Strings judged by their peers, over fields drawn from seeds: the faulty one comes first, a healthy field is left alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from analytics.solar_strings import Cause, Group, judge, median_slope
from simulators.pv import weather

DAY_S = 86_400
SLOTS = 96
START_NS = 1_790_000_000 // DAY_S * DAY_S * 1_000_000_000  # a midnight UTC in September 2026
F64 = npt.NDArray[np.float64]


def _field(seed: int, days: int = 10, strings: int = 16) -> tuple[Group, np.random.Generator]:
    """A healthy field under a seeded sky: strings differ by mismatch, their sensors by gain and noise."""
    rng = np.random.default_rng(seed)
    t_ns = START_NS + np.arange(days * SLOTS, dtype=np.int64) * 900 * 1_000_000_000
    sky = weather(seed, t_ns, 20.0).irradiance_w_per_m2
    gain = 1.0 + rng.normal(0.0, 0.012, strings)
    value = 9.0e-3 * sky * gain[:, None] * (1.0 + rng.normal(0.0, 0.01, (strings, len(t_ns))))
    value[rng.random(value.shape) < 0.01] = np.nan
    local_h = t_ns // 3_600_000_000_000 + 8
    asked = np.ones(len(t_ns), bool)
    return Group(value, local_h % 24, local_h // 24, asked, np.full(strings, np.inf)), rng


def _first(group: Group, unit: int) -> tuple[bool, Cause | None]:
    verdict = judge(group)
    ahead = bool(verdict.suspects) and verdict.suspects[0].unit == unit
    return ahead, verdict.suspects[0].cause if ahead else None


def _spoil(group: Group, unit: int, cause: Cause, rng: np.random.Generator) -> None:
    value = group.value[unit]
    if cause is Cause.DEAD:
        value[rng.integers(0, len(value) - SLOTS) :] = 0.02 * 9.0
    elif cause is Cause.SOILED:
        value *= 1.0 - np.linspace(0.02, rng.uniform(0.25, 0.4), len(value))
    elif cause is Cause.SHADED:
        value[np.isin(group.hour, (8, 9, 10))] *= rng.uniform(0.2, 0.5)
    elif cause is Cause.CURTAILED:
        np.minimum(value, 0.4 * np.nanmax(value), out=value)
    else:
        value *= rng.uniform(0.6, 0.8)


@pytest.mark.parametrize(
    ("cause", "found_least", "named_least"),
    [
        (Cause.DEAD, 0.9, 0.9),
        (Cause.SOILED, 0.9, 0.8),
        (Cause.SHADED, 0.9, 0.8),
        (Cause.CURTAILED, 0.8, 0.6),
        (Cause.LOW, 0.9, 0.8),
    ],
)
def test_a_faulty_string_comes_first_and_its_cause_is_named(cause: Cause, found_least: float, named_least: float) -> None:
    runs = 60
    found = []
    for seed in range(runs):
        group, rng = _field(seed)
        unit = int(rng.integers(0, len(group.value)))
        _spoil(group, unit, cause, rng)
        found.append(_first(group, unit))
    first = sum(ahead for ahead, _ in found) / runs
    named = sum(guess is cause for _, guess in found) / runs
    assert first >= found_least, f"{cause}: first in {first:.0%}"
    assert named >= named_least, f"{cause}: named in {named:.0%}"


def test_healthy_fields_are_left_alone() -> None:
    accused = sum(bool(judge(_field(1000 + seed, days=1 + seed % 7)[0]).suspects) for seed in range(300))
    assert accused <= 3, f"{accused} of 300 healthy fields accused"


def test_two_dead_strings_do_not_hide_each_other_and_say_since_when() -> None:
    group, _ = _field(7)
    group.value[3, 5 * SLOTS :], group.value[9] = 0.0, 0.0
    verdict = judge(group)
    assert [(s.unit, s.cause) for s in verdict.suspects] == [(9, Cause.DEAD), (3, Cause.DEAD)]
    assert verdict.suspects[1].first is not None and 5 * SLOTS <= verdict.suspects[1].first < 6 * SLOTS


def test_a_unit_at_its_own_limit_is_clipped() -> None:
    group, _ = _field(3)
    level = 0.4 * float(np.nanmax(group.value))
    np.minimum(group.value[2], level, out=group.value[2])
    limit = group.limit.copy()
    limit[2] = level
    (suspect,) = judge(Group(group.value, group.hour, group.day, group.asked, limit)).suspects
    assert suspect.cause is Cause.CLIPPED


def test_a_field_without_peers_or_light_says_why() -> None:
    group, _ = _field(1, strings=2)
    assert judge(group).reason == "fewer than 3 peers have readings"
    group, _ = _field(1)
    night = np.isin(group.hour, (0, 1, 2))
    dark = judge(Group(group.value, group.hour, group.day, night, group.limit))
    assert dark.suspects == () and dark.reason == "too little light"


def test_a_silent_string_is_named_silent_and_not_dead() -> None:
    group, _ = _field(5)
    group.value[4] = np.nan
    verdict = judge(group)
    assert verdict.silent == (4,) and verdict.suspects == ()


def test_median_slope_stands_against_wild_points() -> None:
    x = np.arange(10.0)
    y = 1.0 - 0.01 * x
    y[[2, 7]] = 5.0
    assert median_slope(x, y) == pytest.approx(-0.01, abs=0.005)
