"""Method and factors of the carbon account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from plant.settings.table import SettingsTable

if TYPE_CHECKING:
    from plant.site_text import SiteFile


class BalanceValue(SettingsTable):
    """The balance value of emission trading that the national platform published for a year, tCO2e a tonne of metal."""

    year: Annotated[int, Field(ge=2024, lt=2200)]
    t_per_t: Annotated[float, Field(gt=0)]
    document: Annotated[str, Field(min_length=3)]


class CarbonSettings(SettingsTable):
    """[carbon]: which method set and factors the carbon account uses.

    ``pfc_method`` names the rules ``pfc-<method>-...``; sets that tell cells apart take the slope of ``cell_technology``.
    """

    pfc_method: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")] = "china-2024"
    cell_technology: Literal["cwpb", "swpb", "vss", "hss"] = "cwpb"
    ets_balance: tuple[BalanceValue, ...] = ()

    def faults(self, site: SiteFile) -> Iterator[tuple[str, object, str]]:  # noqa: ARG002  (nothing of the graph is named)
        """Years with two balance values."""
        years = [row.year for row in self.ets_balance]
        for year in sorted({y for y in years if years.count(y) > 1}):
            yield "carbon.ets_balance.year", year, "one balance value a year"

    def balance_of(self, year: int) -> BalanceValue | None:
        """The balance value of a year, None where none is known."""
        return next((row for row in self.ets_balance if row.year == year), None)
