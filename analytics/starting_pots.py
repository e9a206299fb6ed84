"""Pots by state; the energy of those that preheat, start or are bypassed, taken off energies per tonne by edition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analytics.counters import F64, Mask
from analytics.estimate import Sum
from analytics.faraday import faraday_yields
from analytics.metal import pots_running
from analytics.period_rows import Period
from analytics.process_voltage import pot_charge_kah
from plant import nodes
from plant.site import PotRegister

STATES = ("running", "preheating", "starting", "stopped", "bypassed")


@dataclass(frozen=True, slots=True, eq=False)
class LinePots:
    """A line's slots: float64[m] each, NaN where not known. ``pot_charge`` is kAh times pots running, ``charge`` kAh of the
    line; ``states`` pots by state as the register has them, ``running`` as the controllers count where they do."""

    pot_charge: F64
    charge: F64
    running: F64
    states: dict[str, F64]


def line_pots(period: Period, line: str) -> LinePots:
    """What the slots of a period know of a line's pots."""
    rows, settings = period.rows, period.site.potlines[line]
    node, start_ns = nodes.line(line), rows.start_ns
    with np.errstate(invalid="ignore", divide="ignore"):
        full = rows.column(node, "metal_produced") / (rows.column(node, "current_efficiency") / 100)
        pot_charge = pot_charge_kah(full, faraday_yields(period.site, period.rulebook, start_ns))
        running = rows.column(node, "pots_running")
        if np.isnan(running).any():
            running = pots_running(settings, start_ns, running)
        charge = np.where(running > 0, pot_charge / running, np.nan)
    return LinePots(pot_charge, charge, running, _registered(settings.pots, rows.start_ns))


def _registered(registers: Sequence[PotRegister], start_ns: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, F64]:
    at = np.searchsorted([r.valid_from_ns for r in registers], start_ns, "right") - 1
    counts = {state: np.array([float(getattr(r, state)) for r in registers]) for state in STATES}
    return {state: np.where(at >= 0, count[np.maximum(at, 0)], np.nan) for state, count in counts.items()}


def start_up_kwh(period: Period, lines: Sequence[str]) -> tuple[F64 | None, list[str]]:
    """DC energy [m] of pots that preheat, start or are bypassed, NaN where the line's current is not known; None, and the states,
    where pots are in a state for which the site states no voltage."""
    pots, process = [line_pots(period, line) for line in lines], period.site.process
    volts = {
        "preheating": process.preheat_voltage_v,
        "starting": process.starting_voltage_v,
        "bypassed": process.bypass_voltage_v,
    }
    unstated = [state for state, v in volts.items() if v is None and any(np.nansum(p.states[state]) > 0 for p in pots)]
    if unstated:
        return None, unstated
    zero = [np.where(np.isfinite(p.charge), 0.0, np.nan) for p in pots]
    parts = [z + p.charge * p.states[s] * (v or 0.0) for z, p in zip(zero, pots, strict=True) for s, v in volts.items() if v]
    energy: F64 = np.sum(parts or zero, axis=0)
    return energy, []


def deducted(period: Period) -> Mask:
    """Slots [m] whose day has an edition in force that takes the energy of starting pots off."""
    editions = sorted(period.site.process.start_up, key=lambda e: e.valid_from)
    since = np.array([period.site.calendar.instant_ns(e.valid_from) for e in editions], np.int64)
    at = np.searchsorted(since, period.rows.start_ns, "right") - 1
    off = np.array([e.energy == "deducted" for e in editions], bool)
    return (at >= 0) & off[np.maximum(at, 0)] if len(off) else np.zeros(len(at), bool)


def without_starting(period: Period, node: str, lines: Sequence[str], numerator: str, whole: Sum) -> tuple[Sum, str]:
    """A numerator of energy per tonne without the energy of starting pots of the slots in which it is taken off, and what is to
    be said of it. AC numerators lose what the rectifiers took for it."""
    off_slots = deducted(period)
    if whole.value is None or not off_slots.any():
        return whole, ""
    energy, unstated = start_up_kwh(period, lines)
    if energy is None:
        return whole, f"pots are {', '.join(unstated)} and [process] states no voltage for them"
    off = float(np.nansum(energy[off_slots]))
    if not off:
        return whole, ""
    dc, ac = (period.sum(node, name).value for name in ("dc_energy", "rectifier_energy"))
    less = off if numerator == "dc_energy" or not dc or not ac else off * ac / dc
    value, low, high = (None if x is None else x - less for x in (whole.value, whole.low, whole.high))
    return replace(whole, value=value, low=low, high=high), f"{less:.0f} kWh of starting pots are taken off"
