"""Electricity prices: the tiered price of the assessed unit, time of use, maximum demand, power factor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, Self, TypeVar

from pydantic import Field, model_validator

from plant.settings.table import Id, SettingsTable

if TYPE_CHECKING:
    from plant.site_text import SiteFile

Band = Literal["critical", "peak", "flat", "valley"]
BANDS: tuple[Band, ...] = ("critical", "peak", "flat", "valley")
NonNegative = Annotated[Decimal, Field(ge=0)]
FIRST_YEAR = date(2022, 1, 1)


class _Dated(Protocol):
    @property
    def valid_from(self) -> date: ...


Row = TypeVar("Row", bound=_Dated)


class Assessment(SettingsTable):
    """[[tariff.assessment]]: how the tiered price of a year is assessed, from a date on; each key is what a notice settles.

    ``decimals`` of kWh/t that the year's figure is rounded to before steps are counted (none: not rounded). The energy that
    pays is the process energy with or without desulphurisation and, ``grid_alone``, without what was generated on site.
    ``discount_from`` says which points of the non-hydro share count: those ``above`` the limit, or ``all`` of them.
    """

    valid_from: date = FIRST_YEAR
    unit: Literal["company", "line"] = "company"
    running_hours_min: Annotated[float, Field(ge=0)] = 0.0
    decimals: Annotated[int, Field(ge=0, le=6)] | None = None
    energy_base: Literal["with_desulphurisation", "without_desulphurisation"] = "with_desulphurisation"
    self_generation: Literal["included", "grid_alone"] = "included"
    discount_points: Literal["whole", "continuous"] = "whole"
    discount_from: Literal["above", "all"] = "above"


class NonHydroShare(SettingsTable):
    """[[tariff.non_hydro_share]]: a year's share of non-hydro renewable electricity as the authority states it."""

    year: Annotated[int, Field(ge=2022, le=2100)]
    percent: Annotated[Decimal, Field(ge=0, le=100)]


class Notice(SettingsTable):
    """[[tariff.notice]]: when the surcharge of a year was notified, and when it was paid."""

    year: Annotated[int, Field(ge=2022, le=2100)]
    notified: date
    paid: date | None = None


class ClockPeriod(SettingsTable):
    """Hours of the day in some months, in the plant's zone: [start, end), "24:00" for midnight."""

    band: Band
    start: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):(00|15|30|45)$")]
    end: Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):(00|15|30|45)|24:00)$")]
    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = tuple(range(1, 13))

    @property
    def quarters(self) -> range:
        """Quarters of an hour since midnight."""
        return range(_quarter(self.start), _quarter(self.end))

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.quarters:
            raise ValueError(f"{self.start} to {self.end} is empty; a night is two periods, to 24:00 and from 00:00")
        return self


class TimeOfUse(SettingsTable):
    """[[tariff.time_of_use]]: base price and its factors from a date on. Hours in no period are flat; a later period wins."""

    valid_from: date
    base_price_yuan_per_kwh: NonNegative
    factors: dict[Band, NonNegative]
    periods: tuple[ClockPeriod, ...] = ()
    document: str = ""

    def price(self, band: Band) -> Decimal:
        """yuan/kWh of a band."""
        return self.base_price_yuan_per_kwh * self.factors.get(band, Decimal(1))

    @model_validator(mode="after")
    def _complete(self) -> Self:
        absent = {p.band for p in self.periods} - {"flat"} - self.factors.keys()
        if absent:
            raise ValueError(f"no factor for {', '.join(sorted(absent))}")
        return self


class ContractedDemand(SettingsTable):
    """[[tariff.demand]]: demand contracted for a tie from a date on, and the price of a kW of demand a month."""

    tie: Id
    valid_from: date
    contracted_kw: Annotated[float, Field(gt=0)]
    price_yuan_per_kw: NonNegative | None = None


class PowerFactorRow(SettingsTable):
    """Below ``below`` the bill changes by ``percent`` (more is a penalty); a row below 1 holds at 1 too."""

    below: Annotated[Decimal, Field(gt=0, le=1)]
    percent: Decimal


class PowerFactorRule(SettingsTable):
    """[[tariff.power_factor]]: what a month's mean power factor adds to the bill, from a date on; the lowest row that holds."""

    valid_from: date
    rows: Annotated[tuple[PowerFactorRow, ...], Field(min_length=1)]
    document: str = ""

    def percent(self, power_factor: Decimal) -> Decimal:
        """Change of the bill in %; 0 where no row holds."""
        held = [row for row in self.rows if power_factor < row.below or row.below == 1]
        return min(held, key=lambda row: row.below).percent if held else Decimal(0)


class TariffSettings(SettingsTable):
    """[tariff]: what electricity costs and how the tiered price is assessed."""

    assessment: tuple[Assessment, ...] = ()
    non_hydro_share: tuple[NonHydroShare, ...] = ()
    notice: tuple[Notice, ...] = ()
    time_of_use: tuple[TimeOfUse, ...] = ()
    demand: tuple[ContractedDemand, ...] = ()
    power_factor: tuple[PowerFactorRule, ...] = ()
    reactive_class_percent: Annotated[float, Field(ge=0, le=10)] = 2.0  # accuracy of reactive energy

    def assessed(self, at: date) -> Assessment:
        """How the tiered price is assessed on a day; the working definition where nothing is set."""
        return in_force(self.assessment, at) or Assessment()

    def stated_share(self, year: int) -> Decimal | None:
        """Non-hydro share of a year in %, where the authority has stated it."""
        return next((row.percent for row in self.non_hydro_share if row.year == year), None)

    def contracted(self, tie: str, at: date) -> ContractedDemand | None:
        """Demand contracted for a tie on a day."""
        return in_force([row for row in self.demand if row.tie == tie], at)

    def faults(self, site: SiteFile) -> Iterator[tuple[str, object, str]]:
        """Ties that do not exist, two editions from one date, and a year of which two things are stated."""
        ties = [b.id for b in site.branch if b.kind == "grid_tie"]
        for number, row in enumerate(self.demand, start=1):
            if row.tie not in ties:
                yield f"tariff.demand[{number}].tie", row.tie, f"a branch of kind grid_tie: {', '.join(ties)}"
        for name in ("assessment", "time_of_use", "power_factor"):
            dates = [row.valid_from for row in getattr(self, name)]
            yield from (
                (f"tariff.{name}", str(d), "one edition a date") for d in sorted({d for d in dates if dates.count(d) > 1})
            )
        contracts = [(row.tie, row.valid_from) for row in self.demand]
        yield from (
            ("tariff.demand", f"{tie} {d}", "one edition a tie and date")
            for tie, d in sorted({c for c in contracts if contracts.count(c) > 1})
        )
        for name in ("notice", "non_hydro_share"):
            years = [row.year for row in getattr(self, name)]
            yield from ((f"tariff.{name}", y, "one row a year") for y in sorted({y for y in years if years.count(y) > 1}))


def in_force(rows: Sequence[Row], at: date) -> Row | None:
    """The row that holds on a day: the latest of those that have begun."""
    return max((row for row in rows if row.valid_from <= at), key=lambda row: row.valid_from, default=None)


def _quarter(clock: str) -> int:
    hour, _, minute = clock.partition(":")
    return int(hour) * 4 + int(minute) // 15
