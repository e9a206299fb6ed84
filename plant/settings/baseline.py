"""Energy baselines and outlooks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from plant.settings.table import Id, SettingsTable

if TYPE_CHECKING:
    from plant.site_text import SiteFile

WEATHER = ("ambient_temperature", "heating_degree_days", "cooling_degree_days")
PLANT_ENERGIES = ("load_energy", "grid_import")
Energy = Literal[
    "load_energy", "grid_import", "rectifier_energy", "dc_energy", "comprehensive_energy", "comprehensive_energy_tariff"
]
Variable = Literal[
    "metal_produced", "metal_tapped", "ingots", "ambient_temperature", "heating_degree_days", "cooling_degree_days"
]


class BaselineSettings(SettingsTable):
    """[[baseline]]: a regression of energy on relevant variables over a reference span (ISO 50006).

    ``node`` is the plant or a potline; ``reference_end`` is the first day after the reference. A point counts from
    ``measured_share_min`` on; variables may lie ``beyond_range_percent`` of their reference range outside of it.
    """

    id: Id
    node: str = "plant"
    energy: Energy = "load_energy"
    variables: Annotated[tuple[Variable, ...], Field(min_length=1, max_length=4)] = ("metal_produced",)
    reference_start: date
    reference_end: date
    resolution: Literal["day", "month"] = "day"
    weather_meter: str = ""
    heating_base_degc: float = 18.0
    cooling_base_degc: float = 24.0
    points_min: Annotated[int, Field(ge=6)] = 10
    r2_min: Annotated[float, Field(ge=0, lt=1)] = 0.75
    p_max: Annotated[float, Field(gt=0, le=0.2)] = 0.05
    measured_share_min: Annotated[float, Field(gt=0, le=1)] = 0.9
    beyond_range_percent: Annotated[float, Field(ge=0, le=50)] = 10.0
    confidence_percent: Annotated[float, Field(ge=50, lt=100)] = 90.0

    def faults(self, site: SiteFile) -> Iterator[tuple[str, object, str]]:
        """Names that nothing has, a reference without days, points too few to fit."""
        at, lines = f"baseline[{self.id}]", [line.id for line in site.potline]
        if self.node not in ("plant", *lines):
            yield f"{at}.node", self.node, f"plant or a potline: {', '.join(lines)}"
        if self.node != "plant" and self.energy in PLANT_ENERGIES:
            yield f"{at}.energy", self.energy, f"an energy of a line; {' and '.join(PLANT_ENERGIES)} are the plant's"
        if self.reference_end <= self.reference_start:
            yield f"{at}.reference_end", str(self.reference_end), f"a day after reference_start, {self.reference_start}"
        if len(set(self.variables)) < len(self.variables):
            yield f"{at}.variables", list(self.variables), "each variable once"
        least = len(self.variables) + 3
        if self.points_min < least:
            yield f"{at}.points_min", self.points_min, f"at least {least} for {least - 3} variables"
        if set(self.variables) & set(WEATHER) and self.weather_meter not in [m.id for m in site.meter]:
            yield f"{at}.weather_meter", self.weather_meter, "a meter that measures ambient_temperature"


class OutlookSettings(SettingsTable):
    """[outlook]: where the plant lies, for the sun, and how far the outlook looks back. ``tilt_deg`` is that of the PV fields,
    towards the equator. Without a place the clear sky is what the fields showed at each time of day."""

    latitude_deg: Annotated[float, Field(ge=-66, le=66)] | None = None
    longitude_deg: Annotated[float, Field(ge=-180, le=180)] | None = None
    tilt_deg: Annotated[float, Field(ge=0, le=90)] = 10.0
    history_days_min: Annotated[int, Field(ge=10)] = 14
    history_days: Annotated[int, Field(ge=28, le=400)] = 42

    def faults(self, site: SiteFile) -> Iterator[tuple[str, object, str]]:  # noqa: ARG002
        """Half a place, a look back shorter than the least."""
        if (self.latitude_deg is None) != (self.longitude_deg is None):
            yield "outlook.latitude_deg", self.latitude_deg, "both latitude_deg and longitude_deg, or neither"
        if self.history_days < self.history_days_min:
            yield "outlook.history_days", self.history_days, f"at least history_days_min, {self.history_days_min}"
