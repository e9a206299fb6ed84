"""What the figures per tonne rest on beside meters and scales."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from plant.settings.table import SettingsTable

if TYPE_CHECKING:
    from plant.site_text import SiteFile

Percent = Annotated[float, Field(ge=0, le=100)]
Volts = Annotated[float, Field(gt=0, le=60)]


class LineCapacity(SettingsTable):
    """What a line is licensed to make, for the share of capacity at the benchmark."""

    potline: str
    t_per_y: Annotated[float, Field(gt=0)]


class StartUpEdition(SettingsTable):
    """From a day on: whether the energy of pots that preheat, start or are bypassed stays in the figures per tonne."""

    valid_from: date
    energy: Literal["kept", "deducted"]
    document: Annotated[str, Field(min_length=3)]


class ProcessSettings(SettingsTable):
    """[process]: boundaries of the figures per tonne.

    ``molten_charged`` says what the casthouse took where nobody weighed it (ledger ``metal_charged``): all that was tapped,
    or what is left after direct alloying. ``casthouse_balance_percent`` is how far ingots may be from the metal charged.
    """

    molten_charged: Literal["tapped", "tapped_less_alloyed"] = "tapped_less_alloyed"
    casthouse_balance_percent: Annotated[float, Field(gt=0, le=100)] = 5.0
    casthouse_fuel: Literal["booked", "none"] = "booked"
    ingot_scale_class_percent: Percent = 0.1
    capacity: tuple[LineCapacity, ...] = ()
    preheat_voltage_v: Volts | None = None
    starting_voltage_v: Volts | None = None
    bypass_voltage_v: Annotated[float, Field(ge=0, le=5)] | None = None
    start_up: tuple[StartUpEdition, ...] = ()
    ladle_max_kg: Annotated[int, Field(gt=0)] = 30_000
    line_day_max_t: Annotated[float, Field(gt=0)] = 5_000.0
    implausible_taps: Literal["refuse", "mark"] = "refuse"

    def faults(self, site: SiteFile) -> Iterator[tuple[str, object, str]]:
        """Lines that are not there, or have two capacities."""
        lines, seen = [line.id for line in site.potline], set()
        for row in self.capacity:
            if row.potline not in lines:
                yield "process.capacity.potline", row.potline, f"a potline: {', '.join(lines) or 'there is none'}"
            if row.potline in seen:
                yield "process.capacity.potline", row.potline, "one capacity a line"
            seen.add(row.potline)

    def start_up_energy(self, at: date) -> Literal["kept", "deducted"]:
        """What holds on a day: kept, unless an edition in force says otherwise."""
        found = [e for e in self.start_up if e.valid_from <= at]
        return max(found, key=lambda e: e.valid_from).energy if found else "kept"
