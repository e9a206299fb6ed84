"""Chapter of the evidence: what was classified in a period, how often, and where it leaves most energy open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from analytics.chapter import Chapter, Chaptered
from analytics.counters import F64, I64
from analytics.flags import IntervalFlag
from analytics.period_rows import Period
from plant import nodes
from plant.indicators import Figure

NAMED = 20  # incidents that are named one by one, those that leave most energy open first
TOLD = tuple(flag for flag in IntervalFlag if flag not in (IntervalFlag.ESTIMATED, IntervalFlag.SUBSTITUTED) and flag.value)
BAND = ("energy_import_low", "energy_import_high", "energy_export_low", "energy_export_high")


def evidence_details(period: Period, _: Mapping[str, Mapping[str, Figure]]) -> Chaptered:
    """Counts by kind, and the largest incidents: runs of 15-min intervals of a point that carry the same flag."""
    counts: dict[str, dict[str, int]] = {}
    found: list[tuple[float, dict[str, Any]]] = []
    for point in period.site.points:
        node = nodes.point(point)
        flags = np.nan_to_num(period.rows.column(node, "flags")).astype(np.int64)
        raised = int(np.bitwise_or.reduce(flags)) if len(flags) else 0
        if not raised & sum(flag.value for flag in TOLD):
            continue
        width = _open_kwh(period, node)
        best = period.rows.column(node, "energy_import") - period.rows.column(node, "energy_export")
        for flag in TOLD:
            if raised & flag.value:
                runs = _runs(flags, flag)
                kind = str(flag.name).lower()
                one = counts.setdefault(kind, {"incidents": 0, "intervals": 0, "points": 0})
                one["incidents"] += len(runs)
                one["intervals"] += int((runs[:, 1] - runs[:, 0]).sum())
                one["points"] += 1
                found += [_named(period, point, kind, int(a), int(b), width, best) for a, b in runs]
    if not counts:
        return Chaptered()
    largest = sorted(found, key=lambda f: -f[0])[:NAMED]
    return Chaptered({}, {"counts": counts, "largest": [one for _, one in largest]})


def _runs(flags: I64, flag: IntervalFlag) -> I64:
    """First row and the row past the last of every run that carries a flag, int64[r, 2]."""
    carries = ((flags & flag.value) > 0).astype(np.int8)
    edges: I64 = np.flatnonzero(np.diff(np.concatenate([[0], carries, [0]]))).reshape(-1, 2)
    return edges


def _open_kwh(period: Period, node: str) -> F64:
    """Width of the band of each interval, both directions; 0 where nothing bounds it."""
    low_in, high_in, low_out, high_out = (period.rows.column(node, name) for name in BAND)
    width: F64 = np.nan_to_num(high_in - low_in) + np.nan_to_num(high_out - low_out)
    return width


def _named(period: Period, point: str, kind: str, first: int, end: int, width: F64, best: F64) -> tuple[float, dict[str, Any]]:
    start_ns, step_ns = period.rows.start_ns, period.rows.step_ns
    energy, local = best[first:end], period.site.calendar.local
    return float(width[first:end].sum()), {
        "point": point,
        "kind": kind,
        "start": local(int(start_ns[first])).isoformat(),
        "end": local(int(start_ns[end - 1]) + step_ns).isoformat(),
        "intervals": end - first,
        "energy_kwh": float(energy.sum()) if np.isfinite(energy).all() else None,
        "band_kwh": round(float(width[first:end].sum()), 3),
    }


CHAPTER = Chapter("evidence", evidence_details)
