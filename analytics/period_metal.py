"""Metal of a period with its band: narrower than that of its intervals, since what is weighed is the whole window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analytics.balance import Banded
from analytics.counters import F64
from analytics.estimate import Sum, summed
from analytics.lines import stated_fits
from analytics.metal import Fits
from analytics.period_rows import Period
from plant import nodes


def subjects_of(lines: Sequence[str]) -> tuple[str, ...]:
    """Names under which ledger entries speak of lines."""
    return tuple(subject for line in lines for subject in (line, nodes.line(line)))


def _fits(period: Period, line: str) -> Fits:
    return period.efficiency.get(line) or stated_fits(period.site, line)


def _full_t(period: Period, line: str) -> F64:
    """Metal at 100 % efficiency of the rows, t; what is missing on the line between its neighbours, 0 where nothing is known."""
    node = nodes.line(line)
    with np.errstate(invalid="ignore", divide="ignore"):
        full = period.rows.column(node, "metal_produced") / (period.rows.column(node, "current_efficiency") / 100)
    known = np.flatnonzero(np.isfinite(full))
    return np.interp(np.arange(len(full)), known, full[known]) if len(known) else np.zeros(len(full))


def process_metal(period: Period, node: str, lines: Sequence[str]) -> Sum:
    """Metal produced with its band: weighed where there are statements, else by the stated efficiency; lines independent."""
    parts = [_line_metal(period, line) for line in lines]
    known = [(p.value, p.low, p.high) for p in parts if p.value is not None and p.low is not None and p.high is not None]
    if len(known) < len(parts):
        return period.sum(node, "metal_produced")
    made, low, high = np.array(known).T
    value = float(made.sum())
    shares = np.array([p.measured_share for p in parts])
    share = float((made * shares).sum() / value) if value else float(shares.min())
    less, more = float(np.linalg.norm(made - low)), float(np.linalg.norm(high - made))
    return Sum(value, max(value - less, 0.0), value + more, share, max(p.estimated_slots for p in parts))


def _line_metal(period: Period, line: str) -> Sum:
    """Rows hold the band of single intervals; the period has its own, as errors of its parts cancel against the weighed total."""
    node, start_ns = nodes.line(line), period.rows.start_ns
    made = period.rows.column(node, "metal_produced")
    found = summed(Banded(made, made, made), period.rows.column(node, "measured_share"), start_ns)
    if found.value is None or found.low is None or found.high is None:
        return period.sum(node, "metal_produced")
    fits, full = _fits(period, line), _full_t(period, line)
    half = fits.half_width_t(start_ns, full)
    # what was estimated for a hole is made good by the rest of the window where the window's metal was weighed
    unweighed = 1.0 - fits.window_share(start_ns, full)
    less = float(np.hypot(half, (found.value - found.low) * unweighed))
    more = float(np.hypot(half, (found.high - found.value) * unweighed))
    return Sum(found.value, max(found.value - less, 0.0), found.value + more, found.measured_share, found.estimated_slots)
