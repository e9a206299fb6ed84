"""What is expected of PV fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from plant.quantities import QUANTITIES
from plant.settings.table import Id, SettingsTable

if TYPE_CHECKING:
    from plant.site_text import SiteFile

PowerKw = Annotated[float, Field(gt=0)]


class SolarInverter(SettingsTable):
    """An inverter of a field: its meter, the modules on its DC side, and where it cuts its output."""

    meter: Id
    dc_capacity_kw: PowerKw
    ac_limit_kw: PowerKw | None = None


class SolarStrings(SettingsTable):
    """Strings that one device reports, as ``<quantity>_1`` and on: an inverter's inputs or a combiner box."""

    meter: Id
    quantity: Literal["string_dc_current", "mppt_dc_current", "mppt_dc_power"]
    count: Annotated[int, Field(ge=1)]
    dc_capacity_kw: PowerKw  # of each string

    @property
    def quantities(self) -> tuple[str, ...]:
        """Their names as the meter reports them."""
        return tuple(f"{self.quantity}_{i}" for i in range(1, self.count + 1))


class SolarField(SettingsTable):
    """[[solar]]: a PV field, its weather meter (irradiance in the plane of the modules) and its strings."""

    id: Id
    branch: Id
    weather_meter: Id
    dc_capacity_kw: PowerKw
    gamma_per_k: Annotated[float, Field(gt=-0.02, le=0)] = -0.0035
    monitoring_class: Literal["A", "B", "C"] = "C"
    irradiance_uncertainty_percent: Annotated[float, Field(ge=0, le=50)] = 5.0
    design_performance_ratio: Annotated[float, Field(gt=0, le=1)] | None = None  # at 25 degC modules
    ratio_drop_max_points: Annotated[float, Field(gt=0, le=100)] = 5.0  # of a day below the 30 days before, for the alert
    inverters: tuple[SolarInverter, ...] = ()
    strings: tuple[SolarStrings, ...] = ()

    def faults(self, site: SiteFile) -> Iterator[tuple[str, object, str]]:
        """What names something that is not there, or that is there twice."""
        kinds = {b.id: b.kind for b in site.branch}
        meters = {m.id for m in site.meter}
        if kinds.get(self.branch) != "pv":
            yield f"solar[{self.id}].branch", self.branch, "a branch of kind pv"
        elif Counter(f.branch for f in site.solar)[self.branch] > 1:
            yield f"solar[{self.id}].branch", self.branch, "one field a branch"
        named = [("weather_meter", self.weather_meter)]
        named += [(f"inverters[{i}].meter", one.meter) for i, one in enumerate(self.inverters)]
        named += [(f"strings[{i}].meter", one.meter) for i, one in enumerate(self.strings)]
        for key, meter in named:
            if meter not in meters:
                yield f"solar[{self.id}].{key}", meter, "a [[meter]]"
        for i, one in enumerate(self.strings):
            if one.quantities[-1] not in QUANTITIES:
                most = sum(name.startswith(f"{one.quantity}_") for name in QUANTITIES)
                yield f"solar[{self.id}].strings[{i}].count", one.count, f"at most {most} of {one.quantity}"
