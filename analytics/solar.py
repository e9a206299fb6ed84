"""How PV fields perform: IEC 61724-1 ratios, yield, availability, and what was to be expected of field and inverters.

Ratios are taken over the intervals alone that have both energy and irradiance; what share of the energy those hold is their
measured share, and the rest of the period may have performed anyhow between 0 and 100 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analytics.balance import Banded
from analytics.chapter import Chapter, Chaptered, Found, NodeFields
from analytics.counters import F64
from analytics.estimate import Sum, filled, summed
from analytics.gauges import KNOWN_MIN, WEATHER, received
from analytics.period_rows import Period
from analytics.period_sums import figure_of
from plant import nodes
from plant.indicators import Figure
from plant.settings.solar import SolarField, SolarInverter
from plant.site import Site

ENERGY_FIELDS = ("energy_export", "energy_export_low", "energy_export_high")
SUN_FIELDS = (*WEATHER, "irradiance_count", "completeness")
SLOT_H = 0.25
REFERENCE_KW_PER_M2 = 1.0
REFERENCE_DEGC = 25.0
DAYLIGHT_W_PER_M2 = 100.0  # from which on an inverter that stands is one that failed
TOLD_MIN = 0.5  # of the readings due, below which the mean of an interval is that of its few readings alone
RUNNING_SHARE = 0.002  # of the DC capacity, from which on an inverter counts as running


@dataclass(frozen=True, slots=True)
class Seen:
    """A field over m intervals: energy kWh with its band, irradiation kWh/m2 and the temperature factor, NaN where unknown.
    ``share`` is the measured share of the energy, ``sun_share`` that of the irradiance."""

    energy: F64
    low: F64
    high: F64
    share: F64
    irradiation: F64
    temperature_factor: F64
    sun_share: F64


def performance_ratio(
    energy_kwh: float, dc_capacity_kw: float, irradiation_kwh_per_m2: float, temperature_factor: float = 1.0
) -> float:
    """PR = Yf / Yr, a share of 1: final yield E / P0 in h over reference yield H / (1 kW/m2) in h, which
    ``temperature_factor`` (1 + gamma (T - 25 degC)) corrects. Raises ZeroDivisionError without irradiation. IEC 61724-1:2021.
    """
    reference_h = irradiation_kwh_per_m2 / REFERENCE_KW_PER_M2 * temperature_factor
    return energy_kwh / dc_capacity_kw / reference_h


def seen(period: Period, field: SolarField) -> Seen:
    """What the rows of a period hold of a field."""
    node, rows = nodes.branch(field.branch), period.rows
    weather = nodes.meter(field.weather_meter)
    energy = rows.banded(node, "energy_export")
    factor = 1.0 + field.gamma_per_k * (rows.column(weather, "module_temperature") - REFERENCE_DEGC)
    told = told_of(period, field.weather_meter, "irradiance")
    irradiation = np.where(told > 0, np.maximum(rows.column(weather, "irradiance"), 0.0) / 1000.0 * SLOT_H, np.nan)
    return Seen(energy.best, energy.low, energy.high, rows.column(node, "measured_share"), irradiation, factor, told)


def told_of(period: Period, meter: str, quantity: str) -> F64:
    """Share of each interval of which the readings of a gauge tell, 0..1: none of one with less than half of what was due."""
    share = received(period.rows, meter, quantity)
    share = np.where(np.isfinite(share), share, 1.0)
    known = np.isfinite(period.rows.column(nodes.meter(meter), quantity)) & (share >= TOLD_MIN)
    return np.where(known, np.where(share >= KNOWN_MIN, 1.0, share), 0.0)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a performance ratio is made of, in kWh: ``made`` [best, low, high] and the ``reference`` P0 x H [best, low, high] of
    the intervals that have both, the reference of those that have not, and the measured share of what was made."""

    made: F64
    reference: F64
    missing: F64
    share: float

    def __add__(self, other: Parts) -> Parts:
        made = self.made + other.made
        share = (self.share * self.made[0] + other.share * other.made[0]) / made[0] if made[0] > 0 else self.share
        return Parts(made, self.reference + other.reference, self.missing + other.missing, share)

    def ratio(self) -> Sum:
        """Performance ratio in %; intervals that are missing may have performed anyhow from 0 to 100 %."""
        if not self.reference[0] > 0:
            return Sum(None, None, None, 0.0)
        best = self.made[0] / self.reference[0]
        low = self.made[1] / (self.reference[2] + self.missing[2])
        high = (self.made[2] + self.missing[2]) / (self.reference[1] + self.missing[2])
        share = self.reference[0] / (self.reference[0] + self.missing[0]) * self.share
        return Sum(100.0 * best, 100.0 * min(low, best), 100.0 * max(high, best), float(share))


def _compute(period: Period, found: Mapping[str, Mapping[str, Figure]]) -> Chaptered:  # noqa: ARG001
    figures: Found = {}
    parts: dict[str, list[Parts]] = {}
    energies: list[Sum] = []
    for field in period.site.solar:
        of_field = seen(period, field)
        node = nodes.branch(field.branch)
        of_ratio = ratio_parts(period, field, of_field)
        energies.append(_energy(period, of_field))
        mine = _sums(period, field, of_field, energies[-1]) | {name: one.ratio() for name, one in of_ratio.items()}
        figures[node] = {name: _figure(period, node, name, one) for name, one in mine.items()}
        for name, one in of_ratio.items():
            parts.setdefault(name, []).append(one)
    for name, each in parts.items():
        if len(each) == len(period.site.solar):  # a plant's ratio needs all of its fields
            whole = sum(each[1:], each[0]).ratio()
            figures.setdefault(nodes.PLANT, {})[name] = _figure(period, nodes.PLANT, name, whole)
    details = [_detail(period, field) for field in period.site.solar]
    return Chaptered(figures, {"fields": details} if details else {})


def ratio_parts(period: Period, field: SolarField, of: Seen) -> dict[str, Parts]:
    """Parts of the performance ratios of a field by indicator; the one at 25 degC only where modules are measured."""
    found = {"performance_ratio": _parts(period, field, of, of.irradiation)}
    dark = of.irradiation == 0
    if np.isfinite(of.temperature_factor[~dark]).any():
        corrected = np.where(dark, 0.0, of.irradiation * of.temperature_factor)
        found["performance_ratio_25c"] = _parts(period, field, of, corrected)
    return found


def _parts(period: Period, field: SolarField, of: Seen, irradiation: F64) -> Parts:
    both = np.isfinite(of.energy) & np.isfinite(irradiation)
    off = field.irradiance_uncertainty_percent / 100.0
    made = np.array([edge[both].sum() for edge in (of.energy, of.low, of.high)])
    known = field.dc_capacity_kw * float(irradiation[both].sum())
    share = float((of.energy * of.share)[both].sum() / made[0]) if made[0] > 0 else 1.0
    whole = filled(Banded(irradiation, irradiation, irradiation), period.rows.start_ns, "solar")
    missing = field.dc_capacity_kw * np.array([np.nan_to_num(e[~both]).sum() for e in (whole.best, whole.low, whole.high)])
    return Parts(made, known * np.array([1.0, 1.0 - off, 1.0 + off]), missing, share)


def _sums(period: Period, field: SolarField, of: Seen, energy: Sum) -> dict[str, Sum]:
    off = field.irradiance_uncertainty_percent / 100.0
    found = {
        "solar_generation": energy,
        "specific_yield": _scaled(energy, 1.0 / field.dc_capacity_kw),
        "solar_irradiation": _sun(period, of, of.irradiation, off),
        "solar_availability": _availability(period, field, of),
    }
    if field.design_performance_ratio is not None:
        found["solar_expected"] = _sun(period, of, _expected_kwh(field, of) * field.design_performance_ratio, off)
    return found


def _energy(period: Period, of: Seen) -> Sum:
    return summed(Banded(of.energy, of.low, of.high), of.share, period.rows.start_ns, "solar")


def _sun(period: Period, of: Seen, amount: F64, off: float) -> Sum:
    """Sum of an amount per interval that follows from irradiance."""
    band = Banded(amount, amount * (1.0 - off), amount * (1.0 + off))
    return summed(band, of.sun_share, period.rows.start_ns, "solar")


def _scaled(found: Sum, factor: float) -> Sum:
    edges = [None if x is None else x * factor for x in (found.value, found.low, found.high)]
    return replace(found, value=edges[0], low=edges[1], high=edges[2])


def _expected_kwh(field: SolarField, of: Seen) -> F64:
    """Energy of each interval at a performance ratio of 1, no more than the inverters can give; modules of unknown temperature
    count as at 25 degC."""
    limits = [inverter.ac_limit_kw for inverter in field.inverters]
    most = np.inf if not limits or None in limits else sum(x for x in limits if x is not None) * SLOT_H
    factor = np.where(np.isfinite(of.temperature_factor), of.temperature_factor, 1.0)
    expected: F64 = np.minimum(field.dc_capacity_kw * of.irradiation * factor, most)
    return expected


def _availability(period: Period, field: SolarField, of: Seen) -> Sum:
    """Share of the daylight in which inverters gave power, weighted by their DC capacity; the field as one without a list."""
    sunny = of.irradiation >= DAYLIGHT_W_PER_M2 / 1000.0 * SLOT_H
    units = [(i.dc_capacity_kw, inverter_kw(period, i)) for i in field.inverters]
    units = units or [(field.dc_capacity_kw, of.energy / SLOT_H)]
    whole = sum(capacity for capacity, _ in units) * int(sunny.sum())
    if not whole:
        return Sum(None, None, None, 0.0)
    known = sum(capacity * int((sunny & np.isfinite(power)).sum()) for capacity, power in units)
    ran = sum(capacity * int((sunny & (power > RUNNING_SHARE * capacity)).sum()) for capacity, power in units)
    # daylight without irradiance is not counted at all, a silent inverter may have run or not
    value = 100.0 * ran / known if known else None
    return Sum(value, 100.0 * ran / whole, 100.0 * (ran + whole - known) / whole, known / whole)


def inverter_kw(period: Period, inverter: SolarInverter) -> F64:
    """Mean power of an inverter in each interval, whatever sign its meter gives to generation; NaN where unknown."""
    power = np.abs(period.rows.column(nodes.meter(inverter.meter), "active_power"))
    return np.where(told_of(period, inverter.meter, "active_power") > 0, power, np.nan)


def _figure(period: Period, node: str, indicator: str, found: Sum) -> Figure:
    figure = figure_of(period, node, indicator, found)
    if found.value is None and indicator in ("performance_ratio", "performance_ratio_25c", "solar_availability"):
        return replace(figure, reason="no interval with energy and sun is known")
    return figure


def _detail(period: Period, field: SolarField) -> dict[str, Any]:
    of = seen(period, field)
    design, expected = field.design_performance_ratio, _expected_kwh(field, of)
    inverters = []
    for inverter in field.inverters:
        power = inverter_kw(period, inverter)
        both = np.isfinite(power) & np.isfinite(expected)
        share = inverter.dc_capacity_kw / field.dc_capacity_kw
        limit = np.inf if inverter.ac_limit_kw is None else inverter.ac_limit_kw * SLOT_H
        due = None if design is None else float(np.minimum(expected[both] * share, limit).sum() * design)
        made = float(power[both].sum() * SLOT_H) if both.any() else None
        inverters.append(
            {
                "meter": inverter.meter,
                "energy_kwh": made,
                "expected_kwh": due if both.any() else None,
                "actual_of_expected_percent": 100.0 * made / due if made is not None and due else None,
                "intervals": int(both.sum()),
            }
        )
    return {
        "id": field.id,
        "branch": field.branch,
        "monitoring_class": f"IEC 61724-1 class {field.monitoring_class}",
        "intervals_with_irradiance": int(np.isfinite(of.irradiation).sum()),
        "intervals": len(of.irradiation),
        "inverters": inverters,
    }


def _columns(site: Site) -> Sequence[NodeFields]:
    if not site.solar:
        return ()
    inverters = [nodes.meter(i.meter) for field in site.solar for i in field.inverters]
    return (
        ([nodes.branch(f.branch) for f in site.solar], (*ENERGY_FIELDS, "measured_share", "completeness")),
        (list(dict.fromkeys(nodes.meter(f.weather_meter) for f in site.solar)), SUN_FIELDS),
        *([(list(dict.fromkeys(inverters)), ("active_power", "active_power_count", "completeness"))] if inverters else []),
    )


CHAPTER = Chapter("solar", _compute, columns=_columns)
