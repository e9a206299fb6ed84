"""Plants whose meters agree or do not: 15-min energies that meters of a seeded plant report, with at most one fault among them.

The plant behind them is the simulated smelter, or a small one of the same kind with load of its own that nobody meters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from plant.config import parse_site
from plant.site import MeteringPoint, Site
from simulators.demo_site import Ports, demo_site_toml
from simulators.noise import Floats
from simulators.smelter import SmelterModel

SLOT_NS = 900_000_000_000
START_NS = 1_793_462_400_000_000_000  # 2026-11-01 00:00 in Shanghai
KINDS = ("ct_phase", "wrong_ratio", "reversed", "drift", "clock", "stuck")
_PORTS = Ports(1502, 1503, 1504, 1505, 1506, 1507, 1883)
_MODELS = 6


@dataclass(frozen=True, slots=True)
class MeterFault:
    """What is wrong with a meter: ``gain`` is what it shows of the truth (of a drift at the end), ``shift_s`` how late its clock
    is, ``since`` the slot that it begins at."""

    point: str
    kind: str
    gain: float
    shift_s: float
    since: int


@dataclass(frozen=True, slots=True, eq=False)
class MeteredWeek:
    """What meters report: net kWh a slot by point, float64[m], and what is wrong."""

    site: Site
    start_ns: int
    kwh: dict[str, Floats]
    fault: MeterFault | None


@cache
def trial_site() -> Site:
    """The site of the simulated smelter."""
    return parse_site(demo_site_toml(_PORTS, api_port=8000), "trial site")


@cache
def _truth(model: int, days: int) -> dict[str, Floats]:
    """True net energies by branch (``dc-<group>`` too) from some hours before the span until some hours after."""
    smelter = SmelterModel(1000 + model, START_NS)
    bounds = START_NS + np.arange(-DAY, days * DAY + DAY + 1) * SLOT_NS
    positive, negative = smelter.integrals(bounds)
    return {name: np.diff(positive[name] - negative[name]) for name in smelter.names}


DAY = 96


def metered(seed: int, kind: str = "", *, days: int = 7) -> MeteredWeek:
    """Meters of a plant over some days; ``kind`` "" leaves all of them in order."""
    random = np.random.default_rng([seed, sum(map(ord, kind))])
    site, truth = trial_site(), dict(_truth(int(random.integers(_MODELS)), days))
    _perturb(random, truth)
    points = list(site.points.values())
    fault = _drawn(random, kind, points, truth, days * DAY) if kind else None
    kwh = {p.id: _shown(random, p, truth, fault, days * DAY) for p in points}
    return MeteredWeek(site, START_NS, kwh, fault)


def _perturb(random: np.random.Generator, truth: dict[str, Floats]) -> None:
    """Load that nobody meters, with a day of its own; the ties feed it."""
    m = len(truth["tie-1"])
    hour = np.arange(m) % DAY / 4.0
    for tie, scale_kw in (("tie-1", 300.0), ("tie-2", 500.0)):
        size = random.uniform(0.0, scale_kw)
        day = 1.0 + random.uniform(0.0, 0.6) * np.sin(2 * np.pi * (hour - random.uniform(0, 24)) / 24.0)
        slow = np.cumsum(random.normal(0.0, 0.01, m))
        truth[tie] = truth[tie] + size / 4.0 * np.maximum(day + slow, 0.0)


def _branch(point: MeteringPoint) -> str:
    return f"dc-{point.branch}" if point.side == "dc" else point.branch


def _drawn(random: np.random.Generator, kind: str, points: list[MeteringPoint], truth: dict[str, Floats], m: int) -> MeterFault:
    point = points[int(random.integers(len(points)))]
    since = 0 if random.random() < 0.5 else int(random.integers(m // 5, 4 * m // 5))
    gain = shift_s = 0.0
    if kind == "ct_phase":
        gain = _one_of(random, 2 / 3, 1 / 3) * random.uniform(0.99, 1.01)
    elif kind == "wrong_ratio":
        gain = _one_of(random, 0.5, 2.0, 1.25, 0.8, 4 / 3, 0.75, 1.5)
    elif kind == "reversed":
        gain = -1.0
    elif kind == "drift":
        gain, since = 1.0 + _one_of(random, -1, 1) * random.uniform(0.04, 0.15), 0
    elif kind == "clock":
        # only what changes with time can tell a time
        moving = [p for p in points if np.abs(np.diff(truth[_branch(p)])).mean() > 0.02 * np.abs(truth[_branch(p)]).mean()]
        point, since = moving[int(random.integers(len(moving)))], 0
        shift_s, gain = _one_of(random, -1, 1) * _one_of(random, 600, 900, 1800, 3600, 7200, 28_800), 1.0
    else:
        since = int(random.integers(m // 3, 2 * m // 3))
    return MeterFault(point.id, kind, gain, shift_s, since)


def _one_of(random: np.random.Generator, *values: float) -> float:
    return values[int(random.integers(len(values)))]


def _shown(
    random: np.random.Generator, point: MeteringPoint, truth: dict[str, Floats], fault: MeterFault | None, m: int
) -> Floats:
    whole = truth[_branch(point)]
    reach = point.mountings[-1].class_percent / 100.0
    error = 1.0 + random.uniform(-reach, reach)
    noise = 1.0 + 1e-4 * random.normal(size=m)
    true = whole[DAY : DAY + m]
    if fault is None or fault.point != point.id:
        return true * error * noise
    slots = np.arange(m)
    after = slots >= fault.since
    if fault.kind == "clock":
        at = np.arange(len(whole) + 1) * 900.0
        late = np.diff(np.interp(at - fault.shift_s, at, np.concatenate([[0.0], np.cumsum(whole)])))[DAY : DAY + m]
        return np.asarray(late * error * noise, np.float64)
    if fault.kind == "stuck":
        shown = true * error * noise
        return np.where(after, shown[fault.since], shown)
    if fault.kind == "drift":
        return true * error * noise * (1.0 + (fault.gain - 1.0) * slots / m)
    return true * error * noise * np.where(after, fault.gain, 1.0)
