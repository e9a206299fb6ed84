"""What is computed of many points in one pass is what each of them gives alone, to the last bit."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from analytics.bulk import plain_intervals
from analytics.counters import F64, I64
from analytics.intervals import MeteredPoint, PointIntervals, point_intervals
from analytics.samples import Readings
from plant.ports import Annotation
from plant.quality import Quality
from plant.register_statements import RegisterStatement
from plant.series import QUARTER_NS, Series
from plant.site import Branch, MeteringPoint, Mounting

NS = 1_000_000_000
START_NS = 1_767_225_600 * NS
FAULTS = ("hole", "nan", "invalid", "fall", "zero", "spike", "stands", "leap", "late", "early end", "jitter", "exchange", "wraps")
KINDS = ("feeder", "grid_tie", "pv", "storage")


@dataclass(frozen=True)
class Drawn:
    """Points, their readings, and what was said of them."""

    points: dict[str, MeteredPoint]
    readings: Readings
    bounds_ns: list[I64]
    annotations: list[Annotation]
    statements: list[RegisterStatement]

    def alone(self, name: str) -> list[PointIntervals]:
        everything = (self.readings, self.bounds_ns, _wraps_at, self.annotations, self.statements)
        return point_intervals(self.points[name], *everything)

    def together(self) -> dict[str, list[PointIntervals]]:
        return plain_intervals(self.points, self.readings, self.bounds_ns, self.annotations, self.statements)


def _wraps_at(_meter: str, _quantity: str) -> float:
    return 1e6


@st.composite
def plants(draw: st.DrawFn, faults: tuple[str, ...] = FAULTS) -> Drawn:
    """A few meters read at common instants, each with at most one fault."""
    poll_s = draw(st.sampled_from([60, 300, 900]))
    slots, margin = draw(st.integers(1, 6)), draw(st.integers(0, 2))
    t_ns = START_NS + np.arange(-margin * poll_s, slots * 900 + margin * poll_s + 1, poll_s, dtype=np.int64) * NS
    coarse = START_NS + np.arange(slots + 1, dtype=np.int64) * QUARTER_NS
    fine = START_NS + np.arange(slots * 15 + 1, dtype=np.int64) * (QUARTER_NS // 15)
    bounds = [fine, coarse] if poll_s < 900 and draw(st.booleans()) else [coarse, coarse]
    found = Drawn({}, {}, bounds, [], [])
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    for n in range(draw(st.integers(1, 5))):
        _add(found, f"m{n}", t_ns, poll_s, draw(st.sampled_from(("", "", *faults)) if faults else st.just("")), random)
    return found


def _add(found: Drawn, name: str, t_ns: I64, poll_s: int, fault: str, random: np.random.Generator) -> None:
    kind = KINDS[random.integers(4)]
    rated = float(random.choice([0.0, 2_000.0]))
    ratio, direction = float(random.choice([1.0, 110.0 / 3])), int(random.choice([1, -1]))
    step = float(random.choice([0.0, 0.0, 5.0]))
    mountings = [Mounting(name, 0, direction, ratio, class_percent=0.5, register_step_kwh=step)]
    if random.random() < 0.1:
        mountings.append(Mounting(f"{name}-next", int(t_ns[-1 if random.random() < 0.5 else len(t_ns) // 2]), 1, ratio))
    point = MeteringPoint(name, name, "main", "ac", rated, tuple(mountings))
    found.points[name] = MeteredPoint(point, Branch(name, kind, "b", "", ""), {name: float(poll_s)}, 900.0)
    taken = np.maximum(1_000 + random.normal(0, 300, len(t_ns)), 0.0) * (random.random() < 0.9)
    signals = _signals(t_ns, taken / ratio, poll_s, random)
    for quantity, value in signals.items():
        t, v, q = _spoilt(fault, t_ns, value, quantity, random)
        found.readings[name, quantity] = Series(t, v, q)  # type: ignore[index]
    if fault == "exchange":
        found.annotations.append(Annotation("p", name, "", int(t_ns[1]), int(t_ns[1]) + 1, "exchange", "x", ""))
    if random.random() < 0.05:
        found.statements.append(RegisterStatement(name, "import", int(t_ns[0]) + NS, int(t_ns[0]) + NS, 1.0))


def _signals(t_ns: I64, kw: F64, poll_s: int, random: np.random.Generator) -> dict[str, F64]:
    gained = kw * poll_s / 3600
    style = random.integers(4)
    if style == 0:
        amounts = {"interval_energy_import": gained}
        return amounts | ({"interval_energy_export": gained / 7} if random.random() < 0.5 else {})
    registers = {"energy_import": 1e5 + np.cumsum(gained), "energy_export": np.full(len(t_ns), 3.0)}
    if style == 1:
        return {"energy_import": registers["energy_import"]}
    return registers if style == 2 else registers | {"active_power": kw}


def _spoilt(fault: str, t_ns: I64, value: F64, quantity: str, random: np.random.Generator) -> tuple[I64, F64, np.ndarray]:
    value, quality, keep = value.copy(), np.zeros(len(t_ns), np.int16), np.ones(len(t_ns), bool)
    i = int(random.integers(len(t_ns)))
    register = quantity.startswith("energy")
    if fault == "hole":
        keep[i : i + 1 + int(random.integers(3))] = False
    elif fault in ("nan", "zero"):
        value[i] = np.nan if fault == "nan" else 0.0
    elif fault == "invalid":
        quality[i] = int(Quality.INVALID)
    elif fault == "spike":
        value[i] *= 40
    elif fault == "fall" and register:
        value[i:] -= value[i] / 2
    elif fault == "stands" and register:
        value[i:] = value[i]
    elif fault == "leap" and register:
        value[i:] += 5e4
    elif fault == "wraps" and register:
        value = (value + 1e6 - value[i]) % 1e6
    elif fault in ("late", "early end"):
        keep = np.arange(len(t_ns)) >= i if fault == "late" else np.arange(len(t_ns)) <= i
    elif fault == "jitter":
        t_ns = t_ns + random.integers(0, 40, len(t_ns)) * NS
    return t_ns[keep], value[keep], quality[keep]


def _same(a: PointIntervals, b: PointIntervals) -> None:
    for field in fields(PointIntervals):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)


@settings(max_examples=250, deadline=None)
@given(plants())
def test_what_is_claimed_is_what_each_point_gives_alone(drawn: Drawn) -> None:
    found = drawn.together()
    event(f"{len(found)} of {len(drawn.points)}")
    for name, together in found.items():
        for a, b in zip(together, drawn.alone(name), strict=True):
            _same(a, b)


@settings(max_examples=100, deadline=None)
@given(plants(faults=()))
def test_undisturbed_registers_of_common_instants_are_claimed(drawn: Drawn) -> None:
    expected = {
        name
        for name, p in drawn.points.items()
        if len(p.point.mountings) == 1
        and p.point.mountings[0].register_step_kwh == 0
        and p.point.mountings[0].direction > 0
        and name not in {s.point for s in drawn.statements}
        and np.diff(drawn.readings.get((name, "energy_import"), Series.empty()).value).min(initial=np.inf) > 0
    }
    expected = {n for n in expected if (n, "energy_import") in drawn.readings and drawn.points[n].branch.kind != "pv"}
    # between readings power shapes what passed, each point its own way
    expected = {n for n in expected if (n, "active_power") not in drawn.readings or _read_at_bounds(drawn, n)}
    assert expected <= set(drawn.together())


def _read_at_bounds(drawn: Drawn, name: str) -> bool:
    return bool(np.isin(drawn.bounds_ns[0], drawn.readings[name, "energy_import"].t_ns).all())


def test_columns_that_points_share_cannot_be_written_to() -> None:
    t_ns = START_NS + np.arange(5, dtype=np.int64) * QUARTER_NS
    found = Drawn({}, {}, [t_ns, t_ns], [], [])
    _add(found, "m", t_ns, 900, "", np.random.default_rng(12))
    ((one, _),) = found.together().values()
    shared = [f.name for f in fields(one) if not getattr(one, f.name).flags.writeable]
    assert {"flags", "completeness", "measured_share", "dc_charge"} <= set(shared)
