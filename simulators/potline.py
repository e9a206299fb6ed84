"""A potline minute by minute: current, pot voltage, anode effects, pots out of service, metal made, rectifiers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulators.lattice import STEP_NS, STEPS, day_start_ns
from simulators.noise import Floats, Times, smooth, stream, uniform
from simulators.parameters import FARADAY_KG_PER_KAH, Line

EFFECT_V = 22.0
_DAY_S = 86_400.0
OUTAGE_BLOCK_DAYS = 10


@dataclass(frozen=True, slots=True)
class AnodeEffect:
    """One anode effect of a pot (counted from 1)."""

    pot: int
    start_ns: int
    duration_s: int


@dataclass(frozen=True, slots=True)
class Outage:
    """A pot out of service for whole local days [first_day, last_day)."""

    pot: int
    first_day: int
    last_day: int


def outage_of(seed: int, line: Line, day: int) -> Outage | None:
    """The outage that a block of ten days holds, if any."""
    block = day // OUTAGE_BLOCK_DAYS
    u = uniform(stream(seed, f"{line.name}/outage"), np.array([4 * block, 4 * block + 1, 4 * block + 2, 4 * block + 3]))
    if u[0] > 0.55:
        return None
    first = block * OUTAGE_BLOCK_DAYS + int(u[1] * 5)
    return Outage(1 + int(u[2] * line.pots), first, first + 2 + int(u[3] * 4))


def pots_running(seed: int, line: Line, day: int) -> int:
    """Pots that make metal on a local day."""
    outage = outage_of(seed, line, day)
    out = outage is not None and outage.first_day <= day < outage.last_day
    return line.pots - int(out)


def anode_effects(seed: int, line: Line, day: int) -> list[AnodeEffect]:
    """The anode effects of a local day; none reaches over midnight."""
    key = stream(seed, f"{line.name}/effects/{day}")
    expected = line.anode_effects_per_pot_day * line.pots
    spread = uniform(key, np.arange(3))
    count = max(0, round(expected + np.sqrt(expected) * (2.0 * spread.sum() - 3.0)))
    u = uniform(key, np.arange(3, 3 + 3 * count)).reshape(count, 3)
    found = []
    for row in u:
        duration_s = 30 + int(row[0] * 210)
        start_s = int(row[1] * (_DAY_S - duration_s - 60))
        found.append(AnodeEffect(1 + int(row[2] * line.pots), day_start_ns(day) + start_s * 1_000_000_000, duration_s))
    return sorted(found, key=lambda effect: effect.start_ns)


def effects_active(seed: int, line: Line, day: int) -> Floats:
    """Pots in anode effect at each of the day's 1441 lattice points (an effect covers the points nearest to its span)."""
    active = np.zeros(STEPS + 1)
    for effect in anode_effects(seed, line, day):
        first = (effect.start_ns - day_start_ns(day)) / STEP_NS
        last = first + effect.duration_s * 1_000_000_000 / STEP_NS
        active[round(first) : round(last) + 1] += 1.0
    return active


def line_columns(seed: int, line: Line, day: int, t_ns: Times) -> dict[str, Floats]:
    """Columns of a line at the lattice points of a day: kA, kW, V, kg/h and counts."""

    def noise(name: str, period_s: float) -> Floats:
        return smooth(stream(seed, f"{line.name}/{name}"), t_ns, period_s)

    effects = effects_active(seed, line, day)
    pots = pots_running(seed, line, day)
    current = line.current_ka * (1.0 + 0.003 * noise("current/hours", 6 * 3600.0) + 0.0008 * noise("current/minutes", 300.0))
    current *= 1.0 - 0.004 * np.minimum(effects, 3.0)  # the rectifiers' regulation gives way to the rising back voltage
    voltage = line.voltage_v + 0.012 * noise("voltage/days", 2 * _DAY_S) + 0.006 * noise("voltage/minutes", 1200.0)
    voltage = voltage + effects * EFFECT_V / pots
    efficiency = line.current_efficiency + 0.004 * noise("ce/weeks", 9 * _DAY_S) + 0.0015 * noise("ce/days", _DAY_S)
    pot_metal = FARADAY_KG_PER_KAH * current * efficiency * (1.0 - 0.4 * effects / pots)
    n = line.number
    columns = {
        f"voltage-{n}": voltage,
        f"pots-{n}": np.full(STEPS + 1, float(pots)),
        f"effects-{n}": effects,
        f"pot-metal-{n}": pot_metal,
        f"production-{n}": pot_metal * pots,
    }
    return columns | _rectifiers(seed, line, t_ns, current, voltage * pots)


def _rectifiers(seed: int, line: Line, t_ns: Times, current_ka: Floats, line_voltage_v: Floats) -> dict[str, Floats]:
    raw = [
        share * (1.0 + 0.01 * smooth(stream(seed, f"{group}/share"), t_ns, 7200.0))
        for group, share in zip(line.groups, line.group_share, strict=True)
    ]
    total = np.sum(raw, axis=0)
    columns: dict[str, Floats] = {}
    for group, part, efficiency in zip(line.groups, raw, line.group_efficiency, strict=True):
        group_current = current_ka * part / total
        dc_kw = group_current * line_voltage_v
        eta = efficiency + 0.0005 * smooth(stream(seed, f"{group}/eta"), t_ns, _DAY_S)
        columns |= {f"current-{group}": group_current, f"dc-{group}": dc_kw, group: dc_kw / eta}
    return columns
