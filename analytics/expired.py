"""Settled slots whose readings have expired: they are never computed from what happens to be left.

The store keeps readings for a shorter time than figures. A slot from before that time, whose figures rest on readings that
are gone, stays as it was settled; what came late for it is noted as a correction that someone has to decide on. Slots that
were never settled, and those whose amounts (imported intervals) are still there, are computed as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analytics.checkpoints import DAY_NS
from analytics.counters import I64, Mask
from analytics.gather import Gather
from plant import nodes
from plant.ports import Clock, DirtyNode, HealthBoard, Ledger
from plant.series import QUARTER_NS, Series, Span
from plant.site import Site

CORRECTIONS = "analytics.corrections"
CORRECTION_DUE = "correction_due"
MARGIN_NS = 2 * 3_600_000_000_000  # a slot needs readings around it, and the store deletes when it gets to it
NOTED_MAX = 500  # of them the newest are kept ready; the audit log has all


class Expired:
    """Decides slot by slot, and notes what is not computed."""

    def __init__(self, site: Site, gather: Gather, ledger: Ledger, clock: Clock, health: HealthBoard) -> None:
        self._site, self._gather, self._ledger, self._clock, self._health = site, gather, ledger, clock, health

    def first_kept_ns(self) -> int:
        """Start of the first slot that surely has all its readings, UTC ns."""
        kept_ns = self._clock.now_ns() - self._site.store.raw_days * DAY_NS + MARGIN_NS
        return max(0, -(-kept_ns // QUARTER_NS) * QUARTER_NS)

    async def computable(self, span: Span, dirty: Sequence[DirtyNode]) -> list[Span]:
        """The parts of a span of whole slots that may be computed; dirty slots in the others are noted. Raises StoreError."""
        first_kept = self.first_kept_ns()
        if span.start_ns >= first_kept:
            return [span]
        bounds = span.bounds(QUARTER_NS)
        starts = bounds[:-1]
        frozen = starts < first_kept
        frozen[frozen] = await self._without_evidence(Span(span.start_ns, min(first_kept, span.end_ns)), starts[frozen])
        if frozen.any():
            await self._note(starts[frozen], dirty)
        edges = np.flatnonzero(np.diff(np.r_[True, frozen, True].astype(np.int8)))
        return [Span(int(bounds[a]), int(bounds[b])) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    async def _without_evidence(self, span: Span, starts: I64) -> Mask:
        """Mask over ``starts``: a point has a settled figure there, and no amount from which it could be computed again."""
        points = self._site.points.values()
        rows = await self._gather.columns(span, [([nodes.point(p.id) for p in points], ("completeness",))])
        amounts = await self._gather.amounts(span)
        mask = np.zeros(len(starts), bool)
        for point in points:
            settled = rows.columns.get(nodes.point(point.id), {}).get("completeness")
            if settled is None:
                continue
            meters = {mounting.meter for mounting in point.mountings}
            covered = np.zeros(len(starts), bool)
            for (meter, _), series in amounts.items():
                if meter in meters:
                    covered |= _covered(series, starts)
            mask |= (settled[: len(starts)] > 0) & ~covered
        return mask

    async def _note(self, frozen: I64, dirty: Sequence[DirtyNode]) -> None:
        """Keep which slots of which nodes got something late. Metal is restated from figures, and needs no readings."""
        before = await self._noted()
        noted = list(before)
        for one in dirty:
            inside = frozen[(frozen >= one.first_slot_ns) & (frozen <= one.last_slot_ns)]
            if one.node.startswith(nodes.line("")) or not len(inside):
                continue
            entry = {"node": one.node, "first_slot_ns": int(inside[0]), "last_slot_ns": int(inside[-1]), "slots": len(inside)}
            if entry not in noted:
                await self._ledger.audit(self._site.id, "potwatt", "correction after retention", entry)
                noted.append(entry)
        if noted != before:
            now_ns = self._clock.now_ns()
            await self._ledger.put_state(self._site.id, CORRECTIONS, {"noted": noted[-NOTED_MAX:], "noted_ns": now_ns})
            self._tell(noted, now_ns)

    async def _noted(self) -> list[dict[str, Any]]:
        return list((await self._state())["noted"])

    async def _state(self) -> dict[str, Any]:
        return await self._ledger.get_state(self._site.id, CORRECTIONS) or {"noted": []}

    async def noted(self, span: Span) -> list[dict[str, Any]]:
        """What was noted within a span: node, first and last slot, UTC ns, and how many. Raises StoreError."""
        return [
            n for n in await self._noted() if n["first_slot_ns"] < span.end_ns and span.start_ns < n["last_slot_ns"] + QUARTER_NS
        ]

    async def tell(self) -> None:
        """Say what was noted by now, as after a start. Raises StoreError."""
        state = await self._state()
        self._tell(state["noted"], state.get("noted_ns", 0))

    def _tell(self, noted: Sequence[dict[str, Any]], noted_ns: int) -> None:
        if noted:
            last = noted[-1]
            self._health.set(
                "corrections",
                "degraded",
                f"{sum(n['slots'] for n in noted)} settled slots got readings, verdicts or other changes after their readings "
                f"had expired (store.raw_days = {self._site.store.raw_days}), last {last['node']}: their figures stay as they "
                "were settled; what came late is in the quarantine or the store, and a correction has to be entered by hand",
                slots=float(sum(n["slots"] for n in noted)),
                noted_s=noted_ns / 1e9,
            )


def flagged(body: dict[str, Any], late: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The body of a report with CORRECTION_DUE among the flags of the points for which something came too late."""
    if not late:
        return body
    named = {n["node"] for n in late}
    points = [
        point | {"flags": (*point["flags"], CORRECTION_DUE)} if named & {nodes.point(point["point"]), nodes.PLANT} else point
        for point in body["points"]
    ]
    flags = {point["point"]: list(point["flags"]) for point in points if point["flags"]}
    return body | {"points": points, "data_quality": body["data_quality"] | {"flags": flags}}


def _covered(series: Series, starts: I64) -> Mask:
    """Whether an amount reaches over the start of each slot; one alone may stand for a day."""
    if not len(series):
        return np.zeros(len(starts), bool)
    step_ns = int(np.diff(series.t_ns).min()) if len(series) > 1 else DAY_NS
    at = np.searchsorted(series.t_ns, starts, side="right") - 1
    return (at >= 0) & (starts < series.t_ns[np.maximum(at, 0)] + step_ns)
