"""What the rest of a year is expected to bring to an assessed unit: as the last 28 whole days went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analytics.estimate import Sum
from analytics.period_metal import process_metal
from analytics.period_rows import Period
from analytics.period_sums import independent_ratio
from analytics.sensitivity import Sensitivity
from analytics.starting_pots import without_starting
from plant.series import Span

DAY_NS = 86_400 * 1_000_000_000
WINDOW_DAYS, WEEK_DAYS = 28, 7


@dataclass(frozen=True, slots=True)
class AssessedUnit:
    """What the tiered price is assessed on: the plant's node with all its lines, or one line."""

    node: str
    lines: tuple[str, ...]
    numerator: str  # field of the energy that the threshold's indicator divides by metal


@dataclass(frozen=True, slots=True)
class Rest:
    """The rest of a year: metal in t, and the band of its energy per tonne in kWh/t."""

    metal_t: float
    specific: float
    specific_low: float
    specific_high: float
    running_share: float = 1.0  # of the time
    basis: str = ""
    reason: str = ""  # why it is less sure than it might be


# the year to date of a unit, and the span that is left of the year; None where nothing can be said
Project = Callable[[Period, AssessedUnit, Span], Rest | None]


def persistence(to_date: Period, unit: AssessedUnit, rest: Span) -> Rest | None:
    """Energy and metal at the rate of the last 28 whole days of the plant's calendar, or of as many as there are; where nothing
    is known of them, of the last ones known, with that as a reason.

    The band is that of the meters and the metal, or the lowest and highest week of those days where that is more.
    """
    calendar = to_date.site.calendar
    end_ns = calendar.instant_ns(calendar.local(to_date.span.end_ns).date())
    known = np.flatnonzero(np.isfinite(to_date.rows.column(unit.node, "metal_produced")))
    last_day = calendar.local(int(to_date.rows.start_ns[known[-1]])).date() if len(known) else None
    silent = last_day is not None and calendar.day(last_day).end_ns <= end_ns - WINDOW_DAYS * DAY_NS
    if silent and last_day is not None:
        end_ns = calendar.day(last_day).end_ns
    start_ns = max(
        end_ns - WINDOW_DAYS * DAY_NS, to_date.span.start_ns, to_date.rows.first_known_ns([unit.node], "metal_produced")
    )
    if end_ns - start_ns < DAY_NS:
        start_ns, end_ns = to_date.span.start_ns, to_date.span.end_ns
    window = Span(start_ns, end_ns)
    found, metal = specific(to_date.part(window, "interval"), unit)
    days = (window.end_ns - window.start_ns) / DAY_NS
    basis = f"the last {days:.0f} days" + (f" known, until {last_day}" if silent else "")
    reason = f"the rest of the year as {basis}" if silent else ""
    if metal.value == 0 and days > 0:  # it stands still and adds nothing
        return Rest(0.0, 0.0, 0.0, 0.0, 0.0, basis, reason)
    if not found.value or not metal.value or found.low is None or found.high is None or days <= 0:
        return None
    weeks = [w for w in _weekly(to_date, unit, window) if w is not None]
    low, high = min([found.low, *weeks]), max([found.high, *weeks])
    made = np.nan_to_num(to_date.part(window, "interval").rows.column(unit.node, "metal_produced")) > 0
    rate_t_per_ns = metal.value / (window.end_ns - window.start_ns)
    metal_t = rate_t_per_ns * (rest.end_ns - rest.start_ns)
    return Rest(metal_t, found.value, low, high, float(made.mean()), basis, reason)


def specific(period: Period, unit: AssessedUnit) -> tuple[Sum, Sum]:
    """(kWh/t, metal in t) of a unit over a period, with the band that its period figures have."""
    metal = process_metal(period, unit.node, unit.lines)
    return independent_ratio(assessed_energy(period, unit), metal), metal


def assessed_energy(period: Period, unit: AssessedUnit) -> Sum:
    """Energy that a unit is assessed on, kWh: without that of starting pots where the edition in force takes it off."""
    whole = Sensitivity.of(period).line(unit.numerator, unit.lines, period.sum(unit.node, unit.numerator)).sum
    return without_starting(period, unit.node, unit.lines, unit.numerator, whole)[0]


def _weekly(to_date: Period, unit: AssessedUnit, window: Span) -> Sequence[float | None]:
    """kWh/t of each whole week of a window."""
    step = WEEK_DAYS * DAY_NS
    starts = range(window.start_ns, window.end_ns - step + 1, step)
    return [specific(to_date.part(Span(t, t + step), "interval"), unit)[0].value for t in starts]
