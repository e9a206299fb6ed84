"""The bill of an assessed unit: everything that follows from its year and the tiered price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from analytics.estimate import Sum
from analytics.period_rows import Period
from analytics.study import Material, Question
from analytics.tariff import Discount, Late, TieredPrice, adder, edge_below, overdue, rounded, steps, yuan
from analytics.tariff_projection import DAY_NS, AssessedUnit, Rest
from plant import nodes
from plant.calendar import PlantCalendar
from plant.series import Span
from plant.settings.tariff import Assessment
from plant.site import RENEWABLE_SOURCES, Site

NAME = "tariff"


Yuan = tuple[Decimal | None, Decimal | None, Decimal | None]  # value, low, high


@dataclass(frozen=True, slots=True)
class UnitYear:
    """A unit's year to date and projected: exact kWh/t, the energy that pays in kWh, metal in t; [value, low, high]."""

    unit: AssessedUnit
    to_date: Sum  # kWh/t
    energy_kwh: int
    metal_kg: int
    projected: tuple[Fraction, Fraction, Fraction]
    metal_year_t: float
    base_to_date: Sum  # kWh
    base_year: Sum
    running_h: float
    rest: Rest | None


def year_of(question: Question) -> int:
    """The calendar year that a period is assessed in: that of its last instant."""
    return question.site.calendar.local(question.span.end_ns - 1).year


def base_kwh(to_date: Period, unit: AssessedUnit, how: Assessment) -> Sum:
    """Energy that pays, kWh, with its band: with or without desulphurisation, all of it or the grid's part of the supply."""
    name = "comprehensive_energy" if how.energy_base == "with_desulphurisation" else "comprehensive_energy_tariff"
    energy = to_date.sum(unit.node, name)
    if how.self_generation == "included":
        return energy
    part = grid_part(to_date)
    value, low, high = (
        None if kwh is None or of is None else kwh * of
        for kwh, of in ((energy.value, part.value), (energy.low, part.low), (energy.high, part.high))
    )
    share, slots = min(energy.measured_share, part.measured_share), max(energy.estimated_slots, part.estimated_slots)
    return Sum(value, low, high, share, slots)


def grid_part(period: Period) -> Sum:
    """Import of import and generation on site, 0..1; unknown where any of them is, or nothing was supplied."""
    grid, *others = (_supply(period, n) for n in ("grid_import", "renewable_generation", "captive_generation"))

    def of_all(mine: float | None, rest: list[float | None]) -> float | None:
        known = [kwh for kwh in rest if kwh is not None]
        if mine is None or len(known) < len(rest) or mine + sum(known) <= 0:
            return None
        return mine / (mine + sum(known))

    value = of_all(grid.value, [s.value for s in others])
    low, high = of_all(grid.low, [s.high for s in others]), of_all(grid.high, [s.low for s in others])
    sums = (grid, *others)
    return Sum(value, low, high, min(s.measured_share for s in sums), max(s.estimated_slots for s in sums))


def _supply(period: Period, name: str) -> Sum:
    """A sum of the plant; nothing, and that for sure, where the site has no such branch."""
    site = period.site
    made = {b.source in RENEWABLE_SOURCES for b in site.branches_of("generator", "pv")}
    there = site.branches_of("grid_tie") if name == "grid_import" else (name == "renewable_generation") in made
    return period.sum(nodes.PLANT, name) if there else Sum(0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Bill:
    """The bill of a unit: everything that follows from its year and the price."""

    material: Material
    to_date: Period
    year: int
    one: UnitYear
    price: TieredPrice
    how: Assessment
    less: Discount

    @property
    def steps(self) -> tuple[int, int, int]:
        return tuple(steps(e, self.price, self.how.decimals) for e in self.one.projected)  # type: ignore[return-value]

    @property
    def adders(self) -> tuple[Decimal, Decimal, Decimal]:
        """yuan/kWh; the low edge has the largest discount that there may be."""
        points = (self.less.points, self.less.most, self.less.least)
        value, low, high = (adder(n, self.price, p) for n, p in zip(self.steps, points, strict=True))
        return value, low, high

    def surcharge(self, base: Sum) -> Yuan:
        """Yuan of an energy; whole kWh pay."""
        edges = zip(self.adders, (base.value, base.low, base.high), strict=True)
        value, low, high = (None if kwh is None else yuan(rate * round(kwh)) for rate, kwh in edges)
        return value, low, high

    @property
    def measured_share(self) -> float:
        """Of what is assessed and of what pays, the less."""
        return min(self.one.to_date.measured_share, self.one.base_to_date.measured_share)

    @property
    def measured(self) -> bool:
        """Whether so much is measured that the year so far has a surcharge."""
        return self.measured_share >= self.to_date.site.accounting.measured_share_min

    @property
    def missing(self) -> str:
        """Why no yuan are known; empty where they are."""
        if self.one.base_to_date.value is not None:
            return ""
        by_supply = self.how.self_generation == "grid_alone" and grid_part(self.to_date).value is None
        return "the grid's part of the supply is not known" if by_supply else "the energy that pays is not known"

    @property
    def late(self) -> Late:
        """What raises the year's surcharge where it was notified and is, or was, paid too late."""
        site, question = self.to_date.site, self.material.question
        for notice in site.tariff.notice:
            if notice.year == self.year:
                looked = notice.paid or site.calendar.local(question.now_ns).date()
                return overdue(question.rulebook, notice.notified, looked, (site.province, "CN"))
        return Late()

    def accrued_before(self) -> Decimal | None:
        """What the months of the year before the period asked for have accrued; None where that cannot be said."""
        start_ns = self.material.question.span.start_ns
        if self.material.question.kind == "year" or start_ns <= self.to_date.span.start_ns:
            return Decimal(0)
        return self._until(month_of(self.to_date.site, start_ns - 1), start_ns)

    def _until(self, month: str, end_ns: int) -> Decimal | None:
        """What was accrued by the end of a month: as it was closed, else as the rate of now makes it."""
        closed = closed_to_date(self.material, self.year, self.one.unit.node)
        if month in closed:
            return closed[month]
        part = self.to_date.part(Span(self.to_date.span.start_ns, end_ns), "interval")
        kwh = base_kwh(part, self.one.unit, self.how).value
        return yuan(self.adders[0] * round(kwh)) if kwh is not None and self.measured else None

    def by_month(self) -> list[dict[str, str | None]]:
        """Yuan accrued in each month of a year so far. The days after December's closing are January's of the year after."""
        calendar, rows, before = self.to_date.site.calendar, [], Decimal(0)
        for year, number in months_of_year(calendar, self.year):
            span = calendar.closing_month(year, number)
            if span.start_ns >= self.to_date.span.end_ns:
                break
            until = self._until(f"{year}-{number:02}", min(span.end_ns, self.to_date.span.end_ns))
            accrued = None if until is None else until - before
            rows.append({"month": f"{year}-{number:02}", "accrued_yuan": _text(accrued), "to_date_yuan": _text(until)})
            before = before if until is None else until
        return rows

    def accrued(self) -> Yuan:
        """Yuan to accrue for the period asked for, below 0 where less is due than was accrued before."""
        before, to_date = self.accrued_before(), self.surcharge(self.one.base_to_date)
        value, low, high = (None if x is None or before is None else x - before for x in to_date)
        return value, low, high

    def sums(self) -> Iterator[tuple[str, Sum]]:
        """Figures by indicator."""
        one, slots = self.one, self.one.to_date.estimated_slots

        def banded(value: Any, low: Any, high: Any, share: float = one.to_date.measured_share) -> Sum:
            edges = [None if x is None else float(x) for x in (value, low, high)]
            return Sum(edges[0], edges[1], edges[2], share, slots)

        def money(edges: Yuan, factor: Decimal = Decimal(1)) -> Sum:
            value, low, high = (None if x is None else x * factor for x in edges)
            return banded(value, low, high, self.measured_share)

        yield "specific_energy_projected", banded(*one.projected)
        yield "tariff_steps", banded(*self.steps)
        yield "tariff_adder", banded(*self.adders)
        yield "tariff_surcharge_year", money(self.surcharge(one.base_year), self.late.factor)
        yield "tariff_surcharge_to_date", money(self.surcharge(one.base_to_date))
        yield "tariff_surcharge_accrued", money(self.accrued())
        year, step_yuan = one.base_year, adder(1, self.price, self.less.points)
        value, low, high = (None if kwh is None else step_yuan * round(kwh) for kwh in (year.value, year.low, year.high))
        yield "tariff_step_cost", money((value, low, high))
        yield from self._down(banded)

    def _down(self, banded: Any) -> Iterator[tuple[str, Sum]]:
        count, days = self.steps[0], self.days_left
        if not count:
            return
        edge = edge_below(count, self.price)
        far = [max(rounded(e, self.how.decimals) - edge, Fraction(0)) for e in self.one.projected]
        yield "tariff_next_step_down", banded(*far)
        if days > 0:
            yield "tariff_next_step_down_daily", banded(*(float(d) * self.one.metal_year_t / days for d in far))

    @property
    def days_left(self) -> float:
        year = self.to_date.site.calendar.year(self.year)
        return (year.end_ns - min(self.to_date.span.end_ns, year.end_ns)) / DAY_NS

    def body(self) -> dict[str, Any]:
        """Exact numbers beside the figures, ready for JSON; like these, null where too little was measured."""
        one, pays = self.one, self.one.base_to_date.value
        value, low, high = self.steps
        enough = one.to_date.measured_share >= self.to_date.site.accounting.measured_share_min
        return {
            "energy_to_date_kwh": one.energy_kwh,
            "metal_to_date_kg": one.metal_kg,
            "energy_that_pays_kwh": None if pays is None else round(pays),
            "steps": {"value": value if enough else None, "low": low, "high": high},
            "adder_yuan_per_kwh": str(self.adders[0]) if enough else None,
            "surcharge_to_date_yuan": _text(self.surcharge(one.base_to_date)[0]) if self.measured else None,
            "accrued_before_yuan": _text(self.accrued_before()),
            "accrued_yuan": _text(self.accrued()[0]) if self.measured else None,
            **({"months": self.by_month()} if self.material.question.kind == "year" else {}),
            "late_factor": str(self.late.factor),
            "running_hours": round(one.running_h, 2),
            "days_left": round(self.days_left, 4),
            "projected_after": one.rest.basis if one.rest else "",
        }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def closed_to_date(material: Material, year: int, node: str) -> dict[str, Decimal]:
    """Yuan to date of a unit in a year by month, as the newest version of each closed month's report holds it; a report that
    closes the year before too holds both. A month closed without yuan counts like one that is open."""
    found = {}
    for (_, period), versions in material.reports.items():
        study: Mapping[str, Any] = versions[-1].body.get("studies", {}).get(NAME, {}) if versions else {}
        for body in (study, study.get("closing_year", {})):
            amount = body.get("units", {}).get(node, {}).get("surcharge_to_date_yuan")
            if amount is not None and body.get("year") == year:
                found[period] = Decimal(amount)
    return found


def months_of_year(calendar: PlantCalendar, year: int) -> list[tuple[int, int]]:
    """(year, number) of the closing months that hold days of a calendar year: thirteen unless months close with it."""
    over = calendar.closing_month(year, 12).end_ns < calendar.year(year).end_ns
    return [(year, number) for number in range(1, 13)] + ([(year + 1, 1)] if over else [])


def month_of(site: Site, t_ns: int) -> str:
    """Name of the closing month that holds an instant."""
    wall = site.calendar.local(t_ns)
    name = date(wall.year, wall.month, 1)
    if t_ns >= site.calendar.closing_month(wall.year, wall.month).end_ns:
        name = date(wall.year + wall.month // 12, wall.month % 12 + 1, 1)
    return f"{name:%Y-%m}"
