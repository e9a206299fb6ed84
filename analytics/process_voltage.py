"""Pot voltage and what it costs: mean voltage, the voltage that a limit leaves, what 10 mV or a point of efficiency is worth.

All formulas are written over the Faraday yield k in kg/kAh; 1000/k is the 2980 of handbooks. Sources: 10.1 P2, P3, P7; section 7.
"""

from __future__ import annotations

from analytics.counters import F64


def dc_energy_kwh_per_t(voltage_v: float, current_efficiency: float, yield_kg_per_kah: float) -> float:
    """DC energy of a tonne at a pot voltage and a current efficiency 0..1. Source: 10.1 P2."""
    return 1000.0 * voltage_v / (yield_kg_per_kah * current_efficiency)


def voltage_budget_v(
    limit_kwh_per_t: float, rectifier_efficiency: float, current_efficiency: float, yield_kg_per_kah: float
) -> float:
    """Pot voltage at which the AC energy of a tonne just meets a limit; efficiencies 0..1. Source: 10.1 P7."""
    return limit_kwh_per_t * rectifier_efficiency * current_efficiency * yield_kg_per_kah / 1000.0


def worth_of_10_mv_kwh_per_t(current_efficiency: float, yield_kg_per_kah: float) -> float:
    """DC energy of a tonne that 10 mV of pot voltage takes."""
    return dc_energy_kwh_per_t(0.010, current_efficiency, yield_kg_per_kah)


def worth_of_efficiency_point_kwh_per_t(voltage_v: float, current_efficiency: float, yield_kg_per_kah: float) -> float:
    """DC energy of a tonne that one more point of current efficiency spares at the same voltage."""
    better = dc_energy_kwh_per_t(voltage_v, current_efficiency + 0.01, yield_kg_per_kah)
    return dc_energy_kwh_per_t(voltage_v, current_efficiency, yield_kg_per_kah) - better


def pot_charge_kah(full_metal_t: F64, yield_kg_per_kah: F64) -> F64:
    """Ampere-hours times pots that make some metal at 100 % efficiency: arrays float64[m]."""
    return full_metal_t * 1000.0 / yield_kg_per_kah


def effect_minutes_per_pot_day(duration_s: float, pot_days: float) -> float:
    """Anode-effect minutes of a pot in a day. Source: 10.6 C6."""
    return duration_s / 60.0 / pot_days
