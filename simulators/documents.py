"""What people of the simulated smelter write down: metal in the pots each morning, certificates each month."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from plant.calendar import PlantCalendar
from plant.ports import LedgerEntry
from plant.series import Span
from simulators.noise import stream, uniform
from simulators.truth import Truth

# a crew dips every pot: the mean of some two hundred depths is known to a few parts in a thousand
_INVENTORY_ERROR = 0.001
_TRADED_SHARE = 0.22


def inventories(
    truth: Truth, seed: int, plant: str, calendar: PlantCalendar, span: Span, error_share: float = _INVENTORY_ERROR
) -> list[LedgerEntry]:
    """Metal in the pots of each line at the start of each production day that begins in the span, with the crew's error."""
    entries: list[LedgerEntry] = []
    for day in _days(calendar, span):
        at_ns = calendar.production_day(day).start_ns
        if not span.start_ns <= at_ns < span.end_ns:
            continue
        for line in ("line-1", "line-2"):
            key = stream(seed, f"{line}/inventory")
            error = error_share * (2.0 * float(uniform(key, np.array([day.toordinal()]))[0]) - 1.0)
            amount_kg = round(truth.metal_in_pots_t(line, at_ns) * 1000.0 * (1.0 + error))
            entries.append(_entry(plant, "metal_in_pots", line, Span(at_ns, at_ns), amount_kg, f"inventory {line} {day}"))
    return entries


def tapped(truth: Truth, plant: str, span: Span, *, weighed: bool = True) -> list[LedgerEntry]:
    """Taps of every line in a span as the scale weighed them, or their true mass."""
    entries: list[LedgerEntry] = []
    for line, tapping in truth.tapping.items():
        taps = tapping.taps(span)
        masses = taps.weighed_kg if weighed else taps.true_kg
        for t_ns, kg, name in zip(taps.t_ns.tolist(), masses.tolist(), taps.event_ids, strict=True):
            entries.append(_entry(plant, "metal_tapped", line, Span(t_ns, t_ns), round(kg), name))
    return entries


def certificates(truth: Truth, plant: str, calendar: PlantCalendar, span: Span) -> list[LedgerEntry]:
    """Certificates of each whole calendar month, or what is left of the first one: own sun (not tradable) and traded wind,
    cancelled. The running month has none yet."""
    entries: list[LedgerEntry] = []
    for year, month in sorted({(day.year, day.month) for day in _days(calendar, span)}):
        whole = calendar.month(year, month)
        if whole.end_ns > span.end_ns:
            continue
        part = Span(max(whole.start_ns, span.start_ns), whole.end_ns)
        made_kwh = -sum(truth.energy_kwh(field, part) for field in ("pv-1", "pv-2", "pv-3"))
        sun_mwh = (made_kwh - truth.renewable_export_kwh(part)) / 1000.0
        traded_mwh = _TRADED_SHARE * truth.load_kwh(part) / 1000.0
        for kind, amount_mwh in (("self_use", sun_mwh), ("green_trade", traded_mwh)):
            data = {"type": kind, "generation_month": f"{year}-{month:02}", "status": "cancelled", "quota_year": year}
            name = f"{kind} {year}-{month:02}"
            entries.append(_entry(plant, "certificate", "plant", part, int(amount_mwh), name, data))
    return entries


def _days(calendar: PlantCalendar, span: Span) -> list[date]:
    first, last = calendar.local(span.start_ns).date(), calendar.local(span.end_ns).date()
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def _entry(
    plant: str, kind: str, subject: str, span: Span, amount: int, document: str, data: dict[str, object] | None = None
) -> LedgerEntry:
    unit = "MWh" if kind == "certificate" else "kg"
    return LedgerEntry(
        plant, kind, document, "demo", subject, span.start_ns, span.end_ns, amount, unit, "demo", document, data=data or {}
    )
