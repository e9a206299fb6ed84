"""Reports of one plant: what is closed and what they would be now, and what came too late for either."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from analytics.expired import Expired, flagged
from analytics.report import ReportPlan, check_closing, frozen, outdated, plan
from analytics.state import State
from plant.ports import Clock, Ledger, ReportVersion
from plant.site import Site

RENEWED_BY = "potwatt"


class Reports:
    """Reads reports, and freezes them. ``look`` renews what ``state`` knows of the work, ``body`` computes one."""

    def __init__(
        self,
        site: Site,
        state: State,
        expired: Expired,
        look: Callable[[], Awaitable[None]],
        body: Callable[[ReportPlan], Awaitable[dict[str, Any]]],
        *,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._site, self._state, self._expired, self._look, self._body = site, state, expired, look, body
        self._ledger, self._clock = ledger, clock

    async def report(self, kind: str, period: str) -> ReportVersion:
        """The closed version of a report that is newest, else what it would be now (version 0, ``provisional``). Where
        something came within its span after the readings had expired, and is not in it, the body names that as ``corrections``.

        Raises InputError for a kind or period that does not exist. Reading never makes a version.
        """
        planned = plan(self._site.calendar, kind, period)
        late = await self._expired.noted(planned.span)
        beside = {"corrections": late} if late else {}
        versions = await self._ledger.reports(self._site.id, kind, period)
        if versions:
            return replace(versions[-1], body=versions[-1].body | beside)
        found = flagged(await self._body(planned), late) | beside
        return ReportVersion(self._site.id, kind, period, 0, found, found["interval_hash"], "", self._clock.now_ns())

    async def close_period(
        self, kind: str, period: str, cause: str, who: str, waiting: Literal["kept", "waived"] = "kept"
    ) -> ReportVersion:
        """Freeze a report. A period closed before gets a new version that names its predecessor and what differs.

        Raises InputError before the period is over and settled, without a cause, and, unless the site's ``close_after_days``
        are ``waived``, before they have passed.
        """
        planned = plan(self._site.calendar, kind, period)
        await self._look()
        days = self._site.accounting.close_after_days if waiting == "kept" else 0
        check_closing(planned, self._site.calendar, cause, days, self._clock.now_ns(), self._state.done_ns)
        versions = await self._ledger.reports(self._site.id, kind, period)
        body = flagged(await self._body(planned), await self._expired.noted(planned.span))
        return await self._freeze(body, versions, cause, who)

    async def renew(self, kind: str, period: str, cause: str, causes: dict[str, list[Any]]) -> ReportVersion | None:
        """The next version of a closed report whose figures are no longer what it says, with what caused it; None where they
        still are. Raises StoreError."""
        planned = plan(self._site.calendar, kind, period)
        versions = await self._ledger.reports(self._site.id, kind, period)
        body = flagged(await self._body(planned), await self._expired.noted(planned.span))
        if not versions or not outdated(versions[-1].body, body):
            return None
        return await self._freeze(body | {"causes": causes}, versions, cause, RENEWED_BY)

    async def _freeze(self, body: dict[str, Any], versions: Sequence[ReportVersion], cause: str, who: str) -> ReportVersion:
        version = frozen(self._site, body, versions, cause, who, self._clock.now_ns())
        await self._ledger.add_report(version)
        detail = {"kind": version.kind, "period": version.period, "version": version.version}
        await self._ledger.audit(self._site.id, who, "close_period", detail)
        return version
