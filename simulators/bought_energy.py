"""What the exchange and the grid company send the simulated smelter: settled wind energy by the hour, statements by the month."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from plant.calendar import PlantCalendar
from plant.ports import LedgerEntry
from plant.series import QUARTER_NS, Span
from simulators.noise import smooth, stream
from simulators.truth import Truth

CONTRACT = "wind-farm"
TIES = ("tie-1", "tie-2")
_WIND_MEAN_KW = 80_000.0
_WIND_SPREAD = 0.9
_LULL_S = 18_000.0  # how long a spell of wind lasts
_HOUR_NS = 3_600 * 1_000_000_000
_BILL_ERROR = 0.0012  # the grid company reads other meters of the same class


def contract_energy(seed: int, plant: str, calendar: PlantCalendar, span: Span) -> list[LedgerEntry]:
    """Energy of the wind contract for each hour of every day of a span and of the day after it, which is nominated a day ahead:
    provisional within the calendar month, final when that is over."""
    entries: list[LedgerEntry] = []
    key = stream(seed, "wind-farm")
    days = _days(calendar, span)
    for day in (*days, days[-1] + timedelta(days=1)):
        whole = calendar.day(day)
        final = calendar.month(day.year, day.month).end_ns <= span.end_ns
        starts = np.arange(whole.start_ns, whole.end_ns, _HOUR_NS, dtype=np.int64)
        wind_kwh = _WIND_MEAN_KW * (1.0 + _WIND_SPREAD * smooth(key, starts, _LULL_S))
        status = "final" if final else "provisional"
        for start_ns, kwh in zip(starts.tolist(), wind_kwh.tolist(), strict=True):
            name = f"wind {calendar.local(start_ns).isoformat()} {status}"
            hour = Span(start_ns, start_ns + _HOUR_NS)
            entries.append(_entry(plant, "contract_energy", CONTRACT, hour, round(kwh), name, {"status": status}))
    return entries


def statements(truth: Truth, seed: int, plant: str, calendar: PlantCalendar, span: Span) -> list[LedgerEntry]:
    """What the grid company bills for each tie and direction, for each calendar month that is over or what is left of it."""
    entries: list[LedgerEntry] = []
    for year, month in sorted({(day.year, day.month) for day in _days(calendar, span)}):
        whole = calendar.month(year, month)
        part = Span(-(-max(whole.start_ns, span.start_ns) // QUARTER_NS) * QUARTER_NS, whole.end_ns)
        if whole.end_ns > span.end_ns or part.start_ns >= part.end_ns:
            continue
        for tie in TIES:
            energy = truth.energy(tie, part)
            key = stream(seed, f"bill {tie}")
            factor = 1.0 + _BILL_ERROR * float(smooth(key, np.array([part.start_ns]), 30 * 86_400.0)[0])
            for direction, kwh in (("import", energy.import_kwh), ("export", energy.export_kwh)):
                name = f"bill {tie} {direction} {year}-{month:02}"
                data = {"direction": direction, "status": "final"}
                entries.append(_entry(plant, "statement", tie, part, round(kwh * factor), name, data))
    return entries


def _days(calendar: PlantCalendar, span: Span) -> list[date]:
    first, last = calendar.local(span.start_ns).date(), calendar.local(span.end_ns).date()
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def _entry(plant: str, kind: str, subject: str, span: Span, kwh: int, name: str, data: dict[str, str]) -> LedgerEntry:
    return LedgerEntry(plant, kind, name, "demo", subject, span.start_ns, span.end_ns, kwh, "kWh", "demo", name, data=dict(data))
