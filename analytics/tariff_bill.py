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
from plant.series import Span
from plant.settings.tariff import Assessment
from plant.site import Site

NAME = "tariff"


@dataclass(frozen=True, slots=True)
class Edges:
    """A number with its band."""

    value: Decimal
    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class UnitYear:
    """A unit's year to date and projected: exact kWh/t, the energy that pays in kWh, metal in t; [value, low, high]."""

    unit: AssessedUnit
    to_date: Sum  # kWh/t
    energy_kwh: int
    metal_kg: int
    projected: tuple[Fraction, Fraction, Fraction]
    metal_year_t: float
    base_to_date: tuple[float, float, float]
    base_year: tuple[float, float, float]
    running_h: float
    rest: Rest | None


def year_of(question: Question) -> int:
    """The calendar year that a period is assessed in: that of its last instant."""
    return question.site.calendar.local(question.span.end_ns - 1).year


def base_kwh(to_date: Period, unit: AssessedUnit, how: Assessment) -> tuple[float, float, float]:
    """Energy that pays, kWh, with its band: with or without desulphurisation, all of it or the grid's part of the supply."""
    name = "comprehensive_energy" if how.energy_base == "with_desulphurisation" else "comprehensive_energy_tariff"
    energy = to_date.sum(unit.node, name)
    if energy.value is None:
        return 0.0, 0.0, 0.0
    share = 1.0
    if how.self_generation == "grid_alone":
        supply = [to_date.sum(nodes.PLANT, n).value or 0.0 for n in ("grid_import", "renewable_generation", "captive_generation")]
        share = supply[0] / sum(supply) if sum(supply) > 0 else 1.0
    low, high = (energy.value if e is None else e for e in (energy.low, energy.high))
    return energy.value * share, low * share, high * share


@dataclass(frozen=True, slots=True)
class Bill:
    """The bill of a unit: everything that follows from its year and the price."""

    material: Material
    to_date: Period
    one: UnitYear
    price: TieredPrice
    how: Assessment
    less: Discount

    @property
    def steps(self) -> tuple[int, int, int]:
        return tuple(steps(e, self.price, self.how.decimals) for e in self.one.projected)  # type: ignore[return-value]

    @property
    def adders(self) -> Edges:
        """yuan/kWh; the low edge has the largest discount that there may be."""
        points = (self.less.points, self.less.most, self.less.least)
        return Edges(*(adder(n, self.price, p) for n, p in zip(self.steps, points, strict=True)))

    def surcharge(self, base_kwh: tuple[float, float, float]) -> Edges:
        """Yuan of an energy; whole kWh pay."""
        rate = self.adders
        edges = zip((rate.value, rate.low, rate.high), base_kwh, strict=True)
        return Edges(*(yuan(r * round(kwh)) for r, kwh in edges))

    @property
    def late(self) -> Late:
        """What raises the year's surcharge where it was notified and is, or was, paid too late."""
        site, question = self.to_date.site, self.material.question
        for notice in site.tariff.notice:
            if notice.year == year_of(question):
                looked = notice.paid or site.calendar.local(question.now_ns).date()
                return overdue(question.rulebook, notice.notified, looked, (site.province, "CN"))
        return Late()

    def accrued_before(self) -> Decimal:
        """What the months of the year before the period asked for have accrued."""
        start_ns = self.material.question.span.start_ns
        if self.material.question.kind == "year" or start_ns <= self.to_date.span.start_ns:
            return Decimal(0)
        return self._until(month_of(self.to_date.site, start_ns - 1), start_ns)

    def _until(self, month: str, end_ns: int) -> Decimal:
        """What was accrued by the end of a month: as it was closed, else as the rate of now makes it."""
        closed = closed_to_date(self.material, self.one.unit.node)
        if month in closed:
            return closed[month]
        part = self.to_date.part(Span(self.to_date.span.start_ns, end_ns), "interval")
        return yuan(self.adders.value * round(base_kwh(part, self.one.unit, self.how)[0]))

    def by_month(self) -> list[dict[str, str]]:
        """Yuan accrued in each month of a year so far."""
        year, calendar = year_of(self.material.question), self.to_date.site.calendar
        rows, before = [], Decimal(0)
        for number in range(1, 13):
            span = calendar.closing_month(year, number)
            if span.start_ns >= self.to_date.span.end_ns:
                break
            until = self._until(f"{year}-{number:02}", min(span.end_ns, self.to_date.span.end_ns))
            rows.append({"month": f"{year}-{number:02}", "accrued_yuan": str(until - before), "to_date_yuan": str(until)})
            before = until
        return rows

    def sums(self) -> Iterator[tuple[str, Sum]]:
        """Figures by indicator."""
        one, share = self.one, self.one.to_date.measured_share
        slots = one.to_date.estimated_slots

        def banded(value: Any, low: Any, high: Any) -> Sum:
            return Sum(float(value), float(low), float(high), share, slots)

        def money(edges: Edges, factor: Decimal = Decimal(1)) -> Sum:
            return banded(edges.value * factor, edges.low * factor, edges.high * factor)

        yield "specific_energy_projected", banded(*one.projected)
        yield "tariff_steps", banded(*self.steps)
        yield "tariff_adder", money(self.adders)
        yield "tariff_surcharge_year", money(self.surcharge(one.base_year), self.late.factor)
        to_date, before = self.surcharge(one.base_to_date), self.accrued_before()
        yield "tariff_surcharge_to_date", money(to_date)
        yield "tariff_surcharge_accrued", banded(to_date.value - before, to_date.low - before, to_date.high - before)
        step_yuan = adder(1, self.price, self.less.points)
        yield "tariff_step_cost", banded(*(step_yuan * round(kwh) for kwh in one.base_year))
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
        year = self.to_date.site.calendar.year(year_of(self.material.question))
        return (year.end_ns - min(self.to_date.span.end_ns, year.end_ns)) / DAY_NS

    def body(self) -> dict[str, Any]:
        """Exact numbers beside the figures, ready for JSON."""
        one, to_date = self.one, self.surcharge(self.one.base_to_date)
        return {
            "energy_to_date_kwh": one.energy_kwh,
            "metal_to_date_kg": one.metal_kg,
            "energy_that_pays_kwh": round(one.base_to_date[0]),
            "steps": dict(zip(("value", "low", "high"), self.steps, strict=True)),
            "adder_yuan_per_kwh": str(self.adders.value),
            "surcharge_to_date_yuan": str(to_date.value),
            "accrued_before_yuan": str(self.accrued_before()),
            **({"months": self.by_month()} if self.material.question.kind == "year" else {}),
            "late_factor": str(self.late.factor),
            "running_hours": round(one.running_h, 2),
            "days_left": round(self.days_left, 4),
            "projected_after": one.rest.basis if one.rest else "",
        }


def closed_to_date(material: Material, node: str) -> dict[str, Decimal]:
    """Yuan to date of a unit by month, as the newest version of each closed month's report holds it."""
    found = {}
    for (_, period), versions in material.reports.items():
        units: Mapping[str, Any] = versions[-1].body.get("studies", {}).get(NAME, {}).get("units", {}) if versions else {}
        if "surcharge_to_date_yuan" in units.get(node, {}):
            found[period] = Decimal(units[node]["surcharge_to_date_yuan"])
    return found


def month_of(site: Site, t_ns: int) -> str:
    """Name of the closing month that holds an instant."""
    wall = site.calendar.local(t_ns)
    name = date(wall.year, wall.month, 1)
    if t_ns >= site.calendar.closing_month(wall.year, wall.month).end_ns:
        name = date(wall.year + wall.month // 12, wall.month % 12 + 1, 1)
    return f"{name:%Y-%m}"
