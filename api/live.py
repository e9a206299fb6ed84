"""The live document: power, running periods, limits, meters, parts and alerts at one instant."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from analytics.figures import PeriodFigures
from api.context import Context
from api.meters import charge_percent, meter_states
from api.schemas import figures_json
from api.times import rfc3339
from plant.calendar import PlantCalendar
from plant.ports import Health

_METER_PART = "meter:"


async def live_document(context: Context) -> dict[str, Any]:
    """Everything the page shows of this second, ready for JSON. Raises what the analytics or the store raise."""
    site = context.site
    live = await context.analytics.live()
    latest, now_ns, parts = context.bus.latest(), context.clock.now_ns(), context.health.all()
    told = {p.part.removeprefix(_METER_PART): p for p in parts if p.part.startswith(_METER_PART)}
    speaking = {meter for meter, part in told.items() if part.state == "ok"}
    return {
        "plant": site.id,
        "t": rfc3339(now_ns),
        "t_ms": now_ns // 1_000_000,
        "edition": site.edition,
        "date": site.calendar.local(now_ns).date().isoformat(),
        "reports": running_reports(site.calendar, now_ns),
        "newest_reading_ms": max((f.received_ns for f in latest.values()), default=0) // 1_000_000 or None,
        "settled_until": None if live.settled_until_ns is None else rfc3339(live.settled_until_ns),
        "power_kw": live.power_kw,
        "branches": {name: asdict(branch) for name, branch in live.branches.items()},
        "storage": {name: {"state_of_charge_percent": p} for name, p in charge_percent(site, latest, now_ns).items()},
        "periods": {name: _window_json(period) for name, period in live.windows.items()},
        "meters": {
            name: asdict(state) | ({"detail": told[name].detail} if name in told and name not in speaking else {})
            for name, state in meter_states(site, latest, now_ns, speaking).items()
        },
        "parts": [health_json(part) for part in parts if not part.part.startswith(_METER_PART)],
        "alerts": context.alerts.active() if context.alerts else [],
    }


def running_reports(calendar: PlantCalendar, now_ns: int) -> dict[str, str]:
    """The period of each kind of report that holds an instant: production day, closing month, calendar year."""
    today = calendar.local(now_ns).date()
    closes_next_month = calendar.closing_day != 1 and today.day >= calendar.closing_day
    month = (today.replace(day=1) + timedelta(days=31 * closes_next_month)).isoformat()[:7]
    return {"day": calendar.production_date(now_ns).isoformat(), "month": month, "year": str(today.year)}


def _window_json(period: PeriodFigures) -> dict[str, Any]:
    """A running period as the stream carries it each second: without what changes by the day (editions) or is for study."""
    figures = figures_json(period.figures)
    for figure in (f for found in figures.values() for f in found.values()):
        del figure["editions"]
    return {"start": rfc3339(period.span.start_ns), "end": rfc3339(period.span.end_ns), "figures": figures}


def period_json(period: PeriodFigures) -> dict[str, Any]:
    """The figures of a period: by node and name, flows from source to sink, residual by bus section."""
    return {
        "start": rfc3339(period.span.start_ns),
        "end": rfc3339(period.span.end_ns),
        "status": period.status,
        "slots_missing": period.slots_missing,
        "figures": figures_json(period.figures),
        "flows": [asdict(flow) for flow in period.flows],
        "residual_kwh": period.residual_kwh,
        "editions": period.editions,
        "interval_hash": period.interval_hash,
    }


def points_json(period: PeriodFigures) -> list[dict[str, Any]]:
    """Energies of every metering point with their bands."""
    return [asdict(point) for point in period.points]


def health_json(health: Health) -> dict[str, Any]:
    """State of a part."""
    return {
        "part": health.part,
        "state": health.state,
        "since": health.since.isoformat(timespec="seconds"),
        "detail": health.detail,
        "numbers": health.numbers,
    }
