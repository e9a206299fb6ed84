"""Green electricity by contract and certificate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AwareDatetime, Field

from plant.settings.table import Id, SettingsTable

if TYPE_CHECKING:
    from plant.site_text import SiteFile

Source = Literal["pv", "wind", "hydro", "biomass"]
Basis = Literal["settled", "contract", "generator", "user"]
Used = Literal["metered", "statement"]
Percent = Annotated[float, Field(ge=0, le=100)]
Found = tuple[str, object, str]
RENEWABLE: tuple[Source, ...] = ("pv", "wind", "hydro", "biomass")


class Contract(SettingsTable):
    """[[green.contract]]: green energy bought from a generator beyond the ties.

    ``ties`` that it is delivered over; none named = all. ``settled_by`` empty: the ledger states the settled energy; else the
    settled energy is the least of these statements, interval by interval.
    """

    id: Id
    source: Source
    name_en: str = ""
    name_zh: str = ""
    ties: tuple[str, ...] = ()
    settled_by: tuple[Literal["contract", "generator", "user"], ...] = ()


class GridShare(SettingsTable):
    """[[green.grid_cfe]]: share of carbon-free energy in the grid's own mix from an instant on, after which document."""

    valid_from: AwareDatetime
    percent: Percent
    document: str = ""


class CertificatePrice(SettingsTable):
    """[[green.certificate_price]]: what a missing certificate costs from an instant on, yuan, at least and at most."""

    valid_from: AwareDatetime
    low_yuan: Annotated[Decimal, Field(ge=0)]
    high_yuan: Annotated[Decimal, Field(ge=0)]


class GreenSettings(SettingsTable):
    """[green]: how green energy is matched and settled. Interval energies are matched within ``match_minutes``.

    ``non_hydro_contracted``: which contracted energy the non-hydro share counts. ``report_energy`` says by tie whether a report
    uses our meters or the grid company's statement. ``direct_connection`` names generators on a direct line, ``limits`` those
    limits that hold of some plants alone and hold of this one.
    """

    contract: tuple[Contract, ...] = ()
    grid_cfe: tuple[GridShare, ...] = ()
    certificate_price: tuple[CertificatePrice, ...] = ()
    match_minutes: Literal[15, 30, 60] = 15
    storage: Literal["pooled", "fifo"] = "pooled"
    non_hydro_sources: tuple[Source, ...] = ("pv", "wind", "biomass")
    non_hydro_contracted: Literal["matched", "volumetric", "none"] = "matched"
    direct_connection: tuple[str, ...] = ()
    limits: tuple[Literal["pv-feed-in-max"], ...] = ()
    report_energy: dict[str, Used] = Field(default_factory=dict)

    def faults(self, site: SiteFile) -> Iterator[Found]:
        """Contracts named twice, ties and generators that are not there, dates out of order."""
        ties = [b.id for b in site.branch if b.kind == "grid_tie"]
        renewable = [b.id for b in site.branch if b.kind == "pv" or b.source in RENEWABLE]
        names = [c.id for c in self.contract]
        for c in self.contract:
            if names.count(c.id) > 1 or c.id in ties:
                yield f"green.contract[{c.id}].id", c.id, "an id used once, of no tie"
            yield from _known(f"green.contract[{c.id}].ties", c.ties, ties, "grid tie")
        yield from _known("green.report_energy", self.report_energy, ties, "grid tie")
        yield from _known("green.direct_connection", self.direct_connection, renewable, "renewable generator")
        for key in ("grid_cfe", "certificate_price"):
            starts = [row.valid_from for row in getattr(self, key)]
            if starts != sorted(set(starts)):
                yield f"green.{key}", [str(t) for t in starts], "ascending instants of valid_from"
        for price in self.certificate_price:
            if price.low_yuan > price.high_yuan:
                yield "green.certificate_price.low_yuan", str(price.low_yuan), f"no more than high_yuan, {price.high_yuan}"


def _known(key: str, found: Iterable[str], allowed: list[str], what: str) -> Iterator[Found]:
    for name in found:
        if name not in allowed:
            yield key, name, f"the id of a {what}: {', '.join(allowed[:12]) or 'none is defined'}"
