"""What casthouse, carbon plant and pot rooms of the simulated smelter write down: day sheets by production day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from plant.calendar import PlantCalendar
from plant.ports import LEDGER_KINDS, LedgerEntry
from plant.series import Span
from simulators.lattice import day_of
from simulators.noise import stream, uniform
from simulators.potline import anode_effects
from simulators.truth import Truth

_ALLOYED_SHARE = 0.62  # of the molten metal, cast to alloys without remelting
_COLD_SHARE = 0.03  # bought metal on top of the molten metal charged
_MELT_LOSS = 0.006
_FUEL_MJ_PER_T = 880.0
_ANODE_NET_T_PER_T = 0.413


def day_sheets(truth: Truth, plant: str, calendar: PlantCalendar, span: Span) -> list[LedgerEntry]:
    """Ingots, metal charged, cold and alloyed, gas and anodes of each production day that is over; the first may be a part."""
    entries: list[LedgerEntry] = []
    for day in _production_days(calendar, span):
        tapped_kg = sum(float(tapping.taps(day).weighed_kg.sum()) for tapping in truth.tapping.values())
        alloyed_kg = _ALLOYED_SHARE * tapped_kg
        charged_kg = tapped_kg - alloyed_kg
        cold_kg = _COLD_SHARE * charged_kg
        ingots_kg = (charged_kg + cold_kg) * (1.0 - _wobble(truth, day))
        label = f"{calendar.local(day.start_ns):%Y-%m-%d %H:%M}"  # a first part of a day has a sheet of its own
        amounts = {"metal_alloyed": alloyed_kg, "metal_charged": charged_kg, "metal_cold": cold_kg, "ingots": ingots_kg}
        entries += [_entry(plant, kind, "plant", day, amount, f"casthouse sheet {label}") for kind, amount in amounts.items()]
        gas = _entry(plant, "fuel", "plant", day, _FUEL_MJ_PER_T * ingots_kg / 1000, f"gas meter {label}")
        entries.append(_with(gas, {"fuel": "natural_gas"}))
        for line in truth.lines:
            anode_kg = 1000 * _ANODE_NET_T_PER_T * truth.metal_produced_t(line, day)
            entries.append(_entry(plant, "anode_net", line, day, anode_kg, f"carbon plant sheet {label} {line}"))
    return entries


def effect_log(truth: Truth, plant: str, span: Span) -> list[LedgerEntry]:
    """Every anode effect that began in a span, as the pot controllers' log has it."""
    entries: list[LedgerEntry] = []
    for line in truth.lines.values():
        first, last = (int(d) for d in day_of(np.array([span.start_ns, span.end_ns], np.int64)))
        for day in range(first, last + 1):
            for effect in anode_effects(truth.model.seed, line, day):
                if span.start_ns <= effect.start_ns < span.end_ns:
                    name = f"effect {line.name} {effect.pot} {effect.start_ns // 1_000_000}"
                    at = Span(effect.start_ns, effect.start_ns)
                    entry = _entry(plant, "anode_effect", line.name, at, effect.duration_s, name)
                    entries.append(_with(entry, {"pot": effect.pot}))
    return entries


def _production_days(calendar: PlantCalendar, span: Span) -> Iterator[Span]:
    day = calendar.production_date(span.start_ns)
    while (whole := calendar.production_day(day)).end_ns <= span.end_ns:
        yield Span(max(whole.start_ns, span.start_ns), whole.end_ns)
        day += timedelta(days=1)


def _wobble(truth: Truth, day: Span) -> float:
    """Melt loss of a day."""
    u = uniform(stream(truth.model.seed, "casthouse/melt loss"), day_of(np.array([day.start_ns], np.int64)))
    return _MELT_LOSS * (0.8 + 0.4 * float(u[0]))


def _with(entry: LedgerEntry, data: dict[str, object]) -> LedgerEntry:
    entry.data.update(data)
    return entry


def _entry(plant: str, kind: str, subject: str, span: Span, amount: float, document: str) -> LedgerEntry:
    unit = LEDGER_KINDS[kind]
    key = f"{kind} {document}"
    return LedgerEntry(plant, kind, key, "demo", subject, span.start_ns, span.end_ns, round(amount), unit, "demo", document)
