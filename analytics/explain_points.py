"""The lower half of an explanation: branch, metering points, mountings in force, intervals, gaps, incidents, verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from analytics.evidence import Incident
from analytics.explain_tree import Cause, CauseKind
from analytics.figures import PeriodFigures
from analytics.flags import IntervalFlag
from analytics.period_rows import Period
from plant import nodes
from plant.formula import parse_formula
from plant.ports import Annotation
from plant.site import Branch, MeteringPoint, Mounting

NAMED = 20  # gaps, incidents or entries of one thing that are named one by one; the others are counted
OPEN = IntervalFlag.ESTIMATED | IntervalFlag.GAP
FOREVER_NS = 2**62


class Points:
    """Causes of branches and meters of one period. A point is told once; where it comes again it is ``repeated``."""

    def __init__(
        self,
        period: Period,
        found: PeriodFigures,
        annotations: Sequence[Annotation],
        incidents: Mapping[str, Sequence[Incident]],
    ) -> None:
        self._period, self._annotations, self._incidents = period, annotations, incidents
        self._energies = {p.point: p for p in found.points}
        self._told: set[str] = set()

    def branch(self, branch: Branch, side: str) -> Cause:
        """A branch with its metering points of a side, best rank first: only one of them supplies each kWh."""
        facts = {"title": {"en": branch.title_en, "zh": branch.title_zh}, "branch_kind": branch.kind, "side": side}
        name = f"{branch.id}/{side}"
        if name in self._told:
            return Cause(CauseKind.BRANCH, branch.id, facts, repeated=True)
        self._told.add(name)
        found = self._period.site.points_of(branch.id, side)
        if not found:
            unmetered = Cause(CauseKind.SETTING, f"branches.{branch.id}", {"value": "no metering point", "metered": False})
            return Cause(CauseKind.BRANCH, branch.id, facts, (unmetered,))
        return Cause(CauseKind.BRANCH, branch.id, facts, tuple(self.point(p) for p in found))

    def point(self, point: MeteringPoint) -> Cause:
        """A metering point: its energy over the period, its meters, what is missing and what was found."""
        facts: dict[str, Any] = {"rank": point.rank, "side": point.side}
        energy = self._energies.get(point.id)
        if energy is not None:
            facts |= {k: v for k, v in asdict(energy).items() if k not in ("point", "branch")}
        if point.id in self._told:
            return Cause(CauseKind.POINT, point.id, facts, repeated=True)
        self._told.add(point.id)
        facts |= {"intervals": self._intervals(point)}
        if not point.mountings:
            return Cause(CauseKind.POINT, point.id, facts, self._virtual(point))
        mountings = [self._mounting(m, end) for m, end in point.mounted() if self._in_force(m, end)]
        if not mountings:
            never = {"value": "no meter mounted in the period", "metered": False}
            return Cause(CauseKind.POINT, point.id, facts, (Cause(CauseKind.SETTING, f"points.{point.id}", never),))
        found = [*mountings, *self._gaps(point), *self._incidents_of(point)]
        return Cause(CauseKind.POINT, point.id, facts, tuple(found))

    def meter(self, meter: str) -> Cause:
        """A meter that is read for gauges or counts, with the verdicts on it."""
        settings = self._period.site.meters.get(meter)
        facts: dict[str, Any] = {}
        if settings is not None:
            facts = {"profile": settings.profile, "poll_interval_s": settings.poll_interval_s, "serial": settings.serial}
        return Cause(CauseKind.METER, meter, facts, tuple(self._verdicts(meter)))

    def _in_force(self, mounting: Mounting, end_ns: int) -> bool:
        return mounting.valid_from_ns < self._period.span.end_ns and end_ns > self._period.span.start_ns

    def _mounting(self, mounting: Mounting, end_ns: int) -> Cause:
        meter = self._period.site.meters.get(mounting.meter)
        facts = {
            "serial": meter.serial if meter else "",
            "profile": meter.profile if meter else "",
            "valid_from": self._told_ns(mounting.valid_from_ns),
            "valid_to": None if end_ns >= FOREVER_NS else self._told_ns(end_ns),
            "direction": mounting.direction,
            "ct_ratio": mounting.ct_ratio,
            "vt_ratio": mounting.vt_ratio,
            "class_percent": mounting.class_percent,
            "register_step_kwh": mounting.register_step_kwh,
        }
        return Cause(CauseKind.MOUNTING, mounting.meter, facts, tuple(self._verdicts(mounting.meter)))

    def _virtual(self, point: MeteringPoint) -> tuple[Cause, ...]:
        """The formula and the points that it names."""
        site = self._period.site
        formula = next(v.formula for v in site.virtual if v.id == point.id)
        named = [self.point(site.points[name]) for name in parse_formula(formula)]
        return (Cause(CauseKind.SETTING, f"virtual.{point.id}.formula", {"value": formula}), *named)

    def _intervals(self, point: MeteringPoint) -> dict[str, int]:
        """15-min intervals of the period: all, without a row, and by flag those that carry it."""
        flags = self._period.rows.column(nodes.point(point.id), "flags")
        known = np.nan_to_num(flags).astype(np.int64)
        by_flag = {str(f.name).lower(): int(((known & f.value) > 0).sum()) for f in IntervalFlag if f.value}
        found = {"all": len(flags), "missing": int((~np.isfinite(flags)).sum())}
        return found | {name: count for name, count in by_flag.items() if count}

    def _gaps(self, point: MeteringPoint) -> list[Cause]:
        """Runs of intervals that are missing, or whose energy does not wholly follow from readings."""
        found = open_runs(self._period, point.id)
        start_ns, step_ns = self._period.rows.start_ns, self._period.rows.step_ns
        causes = [
            Cause(
                CauseKind.GAP,
                self._told_ns(int(start_ns[a])),
                {"end": self._told_ns(int(start_ns[b - 1]) + step_ns), "intervals": b - a},
            )
            for a, b in found[:NAMED]
        ]
        return causes + _further(CauseKind.GAP, len(found))

    def _incidents_of(self, point: MeteringPoint) -> list[Cause]:
        found = self._incidents.get(point.id, ())
        causes = [
            Cause(
                CauseKind.INCIDENT,
                i.kind.name.lower(),
                {
                    "meter": i.meter,
                    "direction": i.direction,
                    "start": self._told_ns(i.start_ns),
                    "end": self._told_ns(i.end_ns),
                    "before_kwh": i.before,
                    "after_kwh": i.after,
                    "readings": i.readings,
                    "why": i.why,
                },
            )
            for i in found[:NAMED]
        ]
        return causes + _further(CauseKind.INCIDENT, len(found))

    def _verdicts(self, meter: str) -> list[Cause]:
        return [
            Cause(
                CauseKind.ANNOTATION,
                a.verdict,
                {
                    "quantity": a.quantity,
                    "start": self._told_ns(a.start_ns),
                    "end": self._told_ns(a.end_ns),
                    "author": a.author,
                    "cause": a.cause,
                    "id": a.id,
                },
            )
            for a in self._annotations
            if a.meter == meter
        ]

    def _told_ns(self, t_ns: int) -> str:
        return self._period.site.calendar.local(t_ns).isoformat()


def open_runs(period: Period, point: str, flags: int = int(OPEN)) -> list[tuple[int, int]]:
    """First row and the one past the last of every run of intervals of a point without a row or with any of the flags."""
    column = period.rows.column(nodes.point(point), "flags")
    raised = (np.nan_to_num(column).astype(np.int64) & flags) > 0
    mask = (~np.isfinite(column) | raised).astype(np.int8)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask, [0]]))).reshape(-1, 2)
    return [(int(a), int(b)) for a, b in edges]


def _further(kind: CauseKind, count: int) -> list[Cause]:
    return [Cause(kind, "further", {"count": count - NAMED})] if count > NAMED else []
