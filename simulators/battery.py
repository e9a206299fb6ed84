"""The battery's day: charged in the night valley and from midday sun, emptied into the evening peak.

Each local day is a closed cycle from reserve to reserve, so that any day can be computed without the days before it.
"""

from __future__ import annotations

import numpy as np

from simulators.noise import Floats
from simulators.parameters import Battery

_VALLEY_H = (0.5, 5.0)
_SUN_H = (9.0, 16.75)
_PEAK_H = (17.5, 22.5)


def _trapezoid(hour: Floats, window: tuple[float, float], ramp_h: float) -> Floats:
    """1 inside the window, straight to 0 at its ends over ``ramp_h``."""
    inside: Floats = np.clip(np.minimum(hour - window[0], window[1] - hour) / ramp_h, 0.0, 1.0)
    return inside


def _energy_kwh(power_kw: Floats, step_h: float) -> float:
    return float(np.sum(power_kw[1:] + power_kw[:-1]) * step_h / 2.0)


def day_plan(battery: Battery, hour: Floats, surplus_kw: Floats) -> tuple[Floats, Floats]:
    """(power kW, stored energy kWh) at the lattice ``hour`` 0..24 of a day; + charges. Exact for power linear in between.

    ``surplus_kw`` is the sun that may be stored; what finds no room is left to the busbar.
    """
    step_h = float(hour[1] - hour[0])
    share_kwh = battery.capacity_kwh
    valley = _trapezoid(hour, _VALLEY_H, 0.25)
    valley_kwh = (battery.valley_share - battery.reserve_share) * share_kwh
    charge = valley * (valley_kwh / battery.charge_efficiency / _energy_kwh(valley, step_h))
    sun = np.clip(surplus_kw, 0.0, battery.power_kw) * _trapezoid(hour, _SUN_H, 0.5)
    room_kwh = (battery.full_share - battery.valley_share) * share_kwh / battery.charge_efficiency
    charge = charge + sun * min(1.0, room_kwh / max(_energy_kwh(sun, step_h), 1e-9))
    stored_kwh = _energy_kwh(charge, step_h) * battery.charge_efficiency
    peak = _trapezoid(hour, _PEAK_H, 0.5)
    discharge = peak * (stored_kwh * battery.discharge_efficiency / _energy_kwh(peak, step_h))
    flow = charge * battery.charge_efficiency - discharge / battery.discharge_efficiency
    change = np.concatenate(([0.0], np.cumsum((flow[1:] + flow[:-1]) * step_h / 2.0)))
    return charge - discharge + battery.standby_kw, battery.reserve_share * share_kwh + change
