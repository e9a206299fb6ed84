"""Virtual metering points: what no meter shows, by a formula over points that have one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from plant.formula import parse_formula, resolved
from plant.settings.table import Id, SettingsTable

if TYPE_CHECKING:
    from plant.site_text import SiteFile


class VirtualPoint(SettingsTable):
    """[[virtual]]: a metering point whose energy follows from others, all flows counted + away from the grid."""

    id: Id
    branch: str
    formula: str
    rank: Literal["derived"] = "derived"
    side: Literal["ac", "dc"] = "ac"
    rated_power_kw: Annotated[float, Field(ge=0)] = 0.0

    def faults(self, site: SiteFile) -> Iterator[tuple[str, object, str]]:
        """Unknown branches and points, a name taken twice, a formula that does not parse, leads back to itself or cancels out,
        and a dc side made of what is measured on the ac side."""
        key = f"virtual[{self.id}]"
        branches = [b.id for b in site.branch]
        if self.branch not in branches:
            yield f"{key}.branch", self.branch, f"the id of a [[branch]]: {', '.join(branches[:12]) or 'none is defined'}"
        metered = [*(p.id for p in site.point), *(m.id for m in site.meter if m.measures)]
        if self.id in metered:
            yield f"{key}.id", self.id, "an id that no metering point has"
        try:
            named = parse_formula(self.formula)
        except ValueError as error:
            yield f"{key}.formula", self.formula, str(error)
            return
        known = [*metered, *(v.id for v in site.virtual)]
        for name in named:
            if name not in known:
                yield f"{key}.formula", name, f"a metering point: {', '.join(known[:12])}; put spaces around a minus"
        sides = {p.id: p.side for p in site.point} | {v.id: v.side for v in site.virtual}
        sides |= {m.id: m.measures.side for m in site.meter if m.measures}
        for name in named if self.side == "dc" else ():
            if sides.get(name, "dc") != "dc":
                yield f"{key}.side", self.side, f'"ac", since {name} measures there; the dc side is a sum of points of that side'
        try:
            terms = resolved({v.id: v.formula for v in site.virtual}).get(self.id, {})
        except ValueError as error:
            if str(error).startswith("a circle"):
                yield f"{key}.formula", self.formula, f"a formula that does not lead back to itself ({error})"
        else:
            if not any(terms.values()):
                yield f"{key}.formula", self.formula, f"a formula of which something is left: {', '.join(terms)} cancel out"
