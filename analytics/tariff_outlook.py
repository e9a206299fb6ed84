"""The rest of a year of an assessed unit as the outlook simulates it, where the year so far is long enough for one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np

from analytics.counters import F64
from analytics.day_sums import days_of, sums_of
from analytics.outlook import HIGH, KNOWN_SHARE_MIN, LOW, REST_OF_PAST, SEED
from analytics.outlook_model import BY_METAL, Ahead, Days, Key, simulate
from analytics.period_rows import Period
from analytics.tariff_projection import DAY_NS, WINDOW_DAYS, AssessedUnit, Rest, persistence, specific
from plant import nodes
from plant.calendar import PlantCalendar
from plant.series import QUARTER_NS, Span

METAL = "metal_produced"


def outlook_or_persistence(to_date: Period, unit: AssessedUnit, rest: Span) -> Rest | None:
    """Metal and kWh/t of the outlook's paths, median and 80 % band, beside what meters and metal leave open; as the last days
    went where too few days are known, where these are silent or stand still, and where starting pots are taken off."""
    site, found = to_date.site, persistence(to_date, unit, rest)
    if found is None or found.reason or not found.metal_t or site.process.start_up:
        return found
    days, ahead = _days(to_date, unit), _ahead(site.calendar, rest)
    known = int(np.isfinite(np.sum(list(days.sums.values()), axis=0)).sum())
    if known < max(site.outlook.history_days_min, -(-len(ahead.hours) // REST_OF_PAST)):
        return found
    rng = np.random.default_rng((SEED, to_date.span.start_ns // QUARTER_NS, to_date.span.end_ns // QUARTER_NS))
    paths = simulate(days, ahead, site.outlook.history_days, rng)
    metal, energy = paths.get((unit.node, METAL)), paths.get((unit.node, unit.numerator + BY_METAL))
    if metal is None or energy is None or not (metal > 0).all():
        return found
    low, value, high = (float(x) for x in np.quantile(energy / metal, (LOW, 0.5, HIGH)))
    less, more = _metered(to_date, unit)
    return replace(
        found,
        metal_t=float(np.median(metal)),
        specific=value,
        specific_low=value - float(np.hypot(value - low, less * value)),
        specific_high=value + float(np.hypot(high - value, more * value)),
        basis=f"the outlook of {known} days",
    )


def _days(to_date: Period, unit: AssessedUnit) -> Days:
    """Whole days of the year so far of a unit's lines, NaN where less than nine tenths is known."""
    named = days_of(to_date.site.calendar, to_date.span)
    spans = [span for _, span in named]

    def daily(line: str, name: str) -> F64:
        total, share = sums_of(to_date.rows.column(nodes.line(line), name), spans, to_date.rows)
        return np.where(share >= KNOWN_SHARE_MIN, total, np.nan)

    sums: dict[Key, F64] = {
        (nodes.line(line), name): daily(line, name) for line in unit.lines for name in (METAL, unit.numerator)
    }
    hours = np.array([span.seconds / 3600.0 for span in spans])
    weekday = np.array([day.weekday() for day, _ in named], np.int64)
    return Days(weekday, hours, np.full(len(hours), np.nan), np.full(len(hours), np.nan), sums)


def _ahead(calendar: PlantCalendar, rest: Span) -> Ahead:
    """The rest by local days; of the sun nothing is asked."""
    at_ns, parts = rest.start_ns, []
    while at_ns < rest.end_ns:
        day = calendar.local(at_ns).date()
        end_ns = min(calendar.instant_ns(day + timedelta(days=1)), rest.end_ns)
        parts.append((day.weekday(), (end_ns - at_ns) / DAY_NS * 24.0))
        at_ns = end_ns
    weekday, hours = zip(*parts, strict=True)
    return Ahead(np.array(weekday, np.int64), np.array(hours), None)


def _metered(to_date: Period, unit: AssessedUnit) -> tuple[float, float]:
    """By which shares meters and metal may be off below and above, of the last days."""
    end_ns = to_date.span.end_ns
    window = Span(max(end_ns - WINDOW_DAYS * DAY_NS, to_date.span.start_ns), end_ns)
    found, _ = specific(to_date.part(window, "interval"), unit)
    if not found.value or found.low is None or found.high is None:
        return 0.0, 0.0
    return 1.0 - found.low / found.value, found.high / found.value - 1.0
