"""Whether each meter speaks, and what the batteries hold, from the newest Frames."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from plant.ports import LastFrame
from plant.quality import Quality
from plant.site import Branch, Site

_CHARGE = "state_of_charge"


@dataclass(frozen=True, slots=True)
class MeterState:
    """Whether a meter speaks: ``ok``, ``silent`` (for longer than its own limit, or known to be off) or
    ``never`` heard; how long ago its newest Frame came, by our clock."""

    state: Literal["ok", "silent", "never"]
    age_s: float | None


def meter_states(
    site: Site, latest: Mapping[str, LastFrame], now_ns: int, speaking: Collection[str] = ()
) -> dict[str, MeterState]:
    """State of every meter that is read. A meter of events has no Frame to show: it is ok where its collector says that
    it is ``speaking``."""
    found = {}
    for meter in site.meters.values():
        frame = latest.get(meter.id)
        if frame is None:
            found[meter.id] = MeterState("ok" if meter.id in speaking else "never", None)
            continue
        state: Literal["ok", "silent"] = "ok" if frame.is_fresh(now_ns, meter.silent_after_s) else "silent"
        found[meter.id] = MeterState(state, max(frame.age_s(now_ns), 0.0))
    return found


def charge_percent(site: Site, latest: Mapping[str, LastFrame], now_ns: int) -> dict[str, float | None]:
    """State of charge of each storage branch in %, None where no meter of it tells it now: never an old one."""
    states = meter_states(site, latest, now_ns)
    return {b.id: _charge_percent(site, b, latest, states, now_ns) for b in site.branches_of("storage")}


def _charge_percent(
    site: Site, branch: Branch, latest: Mapping[str, LastFrame], states: Mapping[str, MeterState], now_ns: int
) -> float | None:
    mountings = [p.mounting_at(now_ns) for p in site.points.values() if p.branch == branch.id]
    for meter in [m.meter for m in mountings if m is not None]:
        frame = latest.get(meter)
        if frame is None or states[meter].state != "ok":
            continue
        percent = frame.fresh_part(now_ns, site.meters[meter].silent_after_s).value.get(_CHARGE, math.nan)
        if math.isfinite(percent) and not frame.quality.get(_CHARGE, 0) & Quality.INVALID:
            return percent
    return None
