"""The table of computed indicators. A limit names one of these; comparing it with another is an error in code."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Indicator:
    """A computed figure: stored as ``name``, carried in code and API as ``name`` + ``_`` + ``suffix``."""

    name: str
    unit: str
    suffix: str
    en: str
    zh: str
    boundary: str


def _row(name: str, unit: str, suffix: str, en: str, zh: str, boundary: str = "") -> Indicator:
    return Indicator(name, unit, suffix, en, zh, boundary)


_KWH_T = ("kWh/t", "kwh_per_t")
_ROWS = [
    _row("specific_energy_dc", *_KWH_T, "DC energy per tonne, molten", "铝液直流电耗", "potline DC busbar"),
    _row(
        "specific_energy_e1",
        *_KWH_T,
        "AC energy per tonne, molten (e1)",
        "铝液交流电耗",
        "rectifier units, network side, metal produced",
    ),
    _row(
        "specific_energy_e2",
        *_KWH_T,
        "Comprehensive AC energy per tonne, molten (e2)",
        "铝液综合交流电耗",
        "rectifiers + auxiliaries to tapping + share of line loss, metal produced",
    ),
    _row(
        "specific_energy_e2_tariff",
        *_KWH_T,
        "Comprehensive AC energy per tonne without desulphurisation (e2')",
        "铝液综合交流电耗(不含脱硫)",
        "e2 less desulphurisation, metal produced",
    ),
    _row(
        "green_share_physical",
        "%",
        "percent",
        "Green share, physical on site",
        "现场物理绿电占比",
        "on-site renewable energy attributed to load, of load",
    ),
    _row(
        "certificate_ratio",
        "%",
        "percent",
        "Certificate ratio R",
        "绿证口径绿电消费比例",
        "certificates valid and cancelled for the year, of total power use",
    ),
    _row("pv_self_consumption", "%", "percent", "PV self-consumption", "光伏自用率", "(generation - export) of generation"),
    _row("pv_feed_in", "%", "percent", "PV feed-in", "光伏上网率", "export of renewable energy, of generation"),
    _row("current_efficiency", "%", "percent", "Current efficiency", "电流效率", "metal produced of Faraday's law at 100 %"),
    _row("rectifier_efficiency", "%", "percent", "Rectifier efficiency", "整流效率", "DC energy of AC energy"),
    _row("metal_produced", "t", "t", "Metal produced (Faraday, reconciled)", "产铝量(法拉第,已核对)", "molten metal"),
    _row("metal_tapped", "t", "t", "Metal tapped, weighed", "出铝量(称重)", "molten metal, weighed"),
    _row("load_energy", "kWh", "kwh", "Load energy", "用电量", "sources - charge - export - loss"),
    _row("grid_import", "kWh", "kwh", "Grid import", "下网电量", "all ties"),
    _row("grid_export", "kWh", "kwh", "Grid export", "上网电量", "all ties"),
    _row("renewable_generation", "kWh", "kwh", "Renewable generation on site", "现场可再生发电量", "generator terminals"),
    _row("captive_generation", "kWh", "kwh", "Captive generation", "自备电厂发电量", "generator terminals"),
    _row("storage_charge", "kWh", "kwh", "Storage charge", "储能充电量", "storage terminals"),
    _row("storage_discharge", "kWh", "kwh", "Storage discharge", "储能放电量", "storage terminals"),
    _row("green_to_load", "kWh", "kwh", "On-site renewable energy to load", "现场绿电供负荷", "attributed"),
    _row("rectifier_energy", "kWh", "kwh", "Rectifier energy, AC", "整流机组交流电量", "network side"),
    _row("dc_energy", "kWh", "kwh", "DC energy", "直流电量", "potline DC busbar"),
    _row("residual", "kWh", "kwh", "Balance residual", "平衡残差", "sources - metered sinks of a bus section"),
]
INDICATORS = MappingProxyType({row.name: row for row in _ROWS})


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of an indicator for one node and span, with everything that says how far to trust it.

    ``value`` is None when the measured share is below what the site asks for, or nothing was measured;
    ``low`` and ``high`` are the band that holds the truth; ``completeness`` is samples received of due
    and ``measured_share`` the share of the energy proven by counters, both 0..1. ``status`` says how the
    figure stands to the limits that name it: a status word per limit id (for example
    ``{"benchmark": "met" | "exceeded" | "not decidable"}``). ``editions`` are the rules and site editions used.
    """

    indicator: str
    value: float | None
    low: float | None
    high: float | None
    completeness: float
    measured_share: float
    reason: str = ""
    status: dict[str, str] = field(default_factory=dict)
    editions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.indicator in INDICATORS, self.indicator
