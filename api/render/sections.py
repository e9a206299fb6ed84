"""The order in which an inspector reads a report: energy per tonne, green shares, certificates, price, carbon, then the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from plant.indicators import INDICATORS, carbon, energy, money, outlook, process, solar
from plant.indicators.row import Indicator


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report with its title; ``names`` are its indicators in order."""

    en: str
    zh: str
    names: tuple[str, ...]


def _names(rows: Iterable[Indicator], *prefixes: str) -> tuple[str, ...]:
    return tuple(row.name for row in rows if row.name.startswith(prefixes or ("",)))


_TONNE = ("e1", "e2", "e2_tariff", "e3", "e4", "dc")
_SUPPLY = ("frequency", "voltage", "island")
_LISTED = (
    Section(
        "Energy per tonne and efficiency",
        "吨铝能耗与能效",
        (
            *(f"specific_energy_{name}" for name in _TONNE),
            "capacity_at_benchmark",
            "direct_alloy_ratio",
            "metal_produced",
            "metal_tapped",
            "current_efficiency",
            "rectifier_efficiency",
        ),
    ),
    Section(
        "Green shares",
        "绿电占比",
        (
            "green_share_physical",
            "green_share_matched",
            "green_share_volumetric",
            "green_share_cfe",
            "contracted_share",
            "non_hydro_share",
            "pv_self_consumption",
            "pv_feed_in",
            "direct_self_use_of_available",
            "direct_self_use_of_use",
        ),
    ),
    Section("Certificates", "绿证", ("certificate_ratio", "certificate_gap", "certificates_to_buy", "certificate_cost")),
    Section("Tiered price", "阶梯电价", ("specific_energy_to_date", "specific_energy_projected", *_names(money.ROWS, "tariff_"))),
    Section("Carbon", "碳排放", _names(carbon.ROWS)),
    Section(
        "Electricity by source",
        "分来源电量",
        (
            *(name for name in _names(energy.ROWS) if name != "residual"),
            *("green_to_load", "grid_to_load", "contracted_energy", "contracted_matched"),
            *("import_reported", "export_reported", "statement_difference", "residual"),
        ),
    ),
    Section("Cost of electricity", "用电成本", _names(money.ROWS)),
    Section("Pots and casthouse", "电解与铸造", _names(process.ROWS)),
    Section("Quality of the supply", "电能质量", _names(solar.ROWS, *_SUPPLY)),
    Section("PV fields", "光伏场", _names(solar.ROWS)),
    Section("Outlook and savings", "预计与节能量", _names(outlook.ROWS)),
)
_FURTHER = Section("Further figures", "其他指标", tuple(INDICATORS))
SECTIONS = (*_LISTED, _FURTHER)
# an indicator stands in the first section that names it
_PLACE = {name: (i, k) for i, s in reversed(list(enumerate(SECTIONS))) for k, name in enumerate(s.names)}


def place_of(indicator: str) -> tuple[int, int]:
    """(section, position in it) of an indicator."""
    return _PLACE[indicator]
