"""The table of measured quantities: one canonical unit, kind and name each.

Directional quantities follow the sign rule of the plant: + flows away from the grid (import, load, charging),
- is generation, discharge and export. ``mirror`` names the register that swaps when a mounting reverses the direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Kind(Enum):
    """How a quantity behaves in time."""

    GAUGE = "gauge"  # an instant's value
    COUNTER = "counter"  # a register that only grows, until it wraps or is reset
    INTERVAL = "interval"  # an amount that belongs to an interval (imported history)
    EVENT = "event"  # something that happened once
    STATE = "state"  # a number that names a state


@dataclass(frozen=True, slots=True)
class Quantity:
    """One row of the table; names after IEC 61850-7-4, OBIS (IEC 62056-61) and SunSpec where they have one."""

    name: str
    unit: str
    kind: Kind
    en: str
    zh: str
    directional: bool = False
    mirror: str = ""
    iec61850: str = ""
    obis: str = ""
    sunspec: str = ""


def _phases(
    stem: str,
    unit: str,
    en: str,
    zh: str,
    iec: str,
    sun: tuple[str, str, str],
    suffixes: tuple[str, str, str] = ("l1", "l2", "l3"),
) -> list[Quantity]:
    return [
        Quantity(
            f"{stem}_{suffix}",
            unit,
            Kind.GAUGE,
            f"{en} {suffix.upper()}",
            f"{zh} {suffix.upper()}",
            iec61850=f"{iec}.phs{'ABC'[i]}",
            sunspec=sun[i],
        )
        for i, suffix in enumerate(suffixes)
    ]


def _repeated(stem: str, count: int, unit: str, en: str, zh: str, sunspec: str, kind: Kind = Kind.GAUGE) -> list[Quantity]:
    """Quantities of the inputs of one device: ``<stem>_1`` and on."""
    return [Quantity(f"{stem}_{i}", unit, kind, f"{en} {i}", f"{zh} {i}", sunspec=sunspec) for i in range(1, count + 1)]


MPPT_INPUTS = 12
COMBINER_STRINGS = 32

_ROWS: list[Quantity] = [
    Quantity(
        "active_power",
        "kW",
        Kind.GAUGE,
        "Active power",
        "有功功率",
        directional=True,
        iec61850="MMXU.TotW",
        obis="1-0:16.7.0",
        sunspec="W",
    ),
    Quantity(
        "reactive_power",
        "kvar",
        Kind.GAUGE,
        "Reactive power",
        "无功功率",
        directional=True,
        iec61850="MMXU.TotVAr",
        obis="1-0:131.7.0",
        sunspec="VAR",
    ),
    Quantity(
        "apparent_power", "kVA", Kind.GAUGE, "Apparent power", "视在功率", iec61850="MMXU.TotVA", obis="1-0:9.7.0", sunspec="VA"
    ),
    Quantity("power_factor", "1", Kind.GAUGE, "Power factor", "功率因数", iec61850="MMXU.TotPF", obis="1-0:13.7.0", sunspec="PF"),
    Quantity("frequency", "Hz", Kind.GAUGE, "Frequency", "频率", iec61850="MMXU.Hz", obis="1-0:14.7.0", sunspec="Hz"),
    *_phases("voltage", "V", "Voltage", "相电压", "MMXU.PhV", ("PhVphA", "PhVphB", "PhVphC"), ("l1_n", "l2_n", "l3_n")),
    *_phases("voltage", "V", "Voltage", "线电压", "MMXU.PPV", ("PPVphAB", "PPVphBC", "PPVphCA"), ("l1_l2", "l2_l3", "l3_l1")),
    *_phases("current", "A", "Current", "电流", "MMXU.A", ("AphA", "AphB", "AphC")),
    Quantity("current", "A", Kind.GAUGE, "Current, total", "总电流", sunspec="A"),
    *[
        Quantity(
            f"active_power_l{i}",
            "kW",
            Kind.GAUGE,
            f"Active power L{i}",
            f"有功功率 L{i}",
            directional=True,
            iec61850=f"MMXU.W.phs{'ABC'[i - 1]}",
            sunspec=f"Wph{'ABC'[i - 1]}",
        )
        for i in (1, 2, 3)
    ],
    Quantity(
        "energy_import",
        "kWh",
        Kind.COUNTER,
        "Energy import",
        "正向有功电能",
        mirror="energy_export",
        iec61850="MMTR.DmdWh",
        obis="1-0:1.8.0",
        sunspec="TotWhImp",
    ),
    Quantity(
        "energy_export",
        "kWh",
        Kind.COUNTER,
        "Energy export",
        "反向有功电能",
        mirror="energy_import",
        iec61850="MMTR.SupWh",
        obis="1-0:2.8.0",
        sunspec="TotWhExp",
    ),
    Quantity(
        "reactive_energy_import",
        "kvarh",
        Kind.COUNTER,
        "Reactive energy import",
        "正向无功电能",
        mirror="reactive_energy_export",
        iec61850="MMTR.DmdVArh",
        obis="1-0:3.8.0",
    ),
    Quantity(
        "reactive_energy_export",
        "kvarh",
        Kind.COUNTER,
        "Reactive energy export",
        "反向无功电能",
        mirror="reactive_energy_import",
        iec61850="MMTR.SupVArh",
        obis="1-0:4.8.0",
    ),
    Quantity(
        "interval_energy_import",
        "kWh",
        Kind.INTERVAL,
        "Energy import of the interval",
        "区间正向电能",
        mirror="interval_energy_export",
    ),
    Quantity(
        "interval_energy_export",
        "kWh",
        Kind.INTERVAL,
        "Energy export of the interval",
        "区间反向电能",
        mirror="interval_energy_import",
    ),
    Quantity("dc_current", "kA", Kind.GAUGE, "DC current", "直流电流", iec61850="MMDC.Amp"),
    Quantity("dc_voltage", "V", Kind.GAUGE, "DC voltage", "直流电压", iec61850="MMDC.Vol", sunspec="DCV"),
    Quantity("dc_power", "kW", Kind.GAUGE, "DC power", "直流功率", iec61850="MMDC.Watt", sunspec="DCW"),
    Quantity("dc_energy", "kWh", Kind.COUNTER, "DC energy", "直流电能"),
    Quantity("dc_charge", "kAh", Kind.COUNTER, "DC ampere-hours", "直流安时"),
    Quantity("state_of_charge", "%", Kind.GAUGE, "State of charge", "荷电状态", sunspec="SoC"),
    Quantity("state_of_health", "%", Kind.GAUGE, "State of health", "健康状态", sunspec="SoH"),
    Quantity("operating_state", "1", Kind.STATE, "Operating state", "运行状态", sunspec="St"),
    Quantity("irradiance", "W/m2", Kind.GAUGE, "Irradiance, plane of array", "组件面辐照度", sunspec="GTI"),
    Quantity("ambient_temperature", "degC", Kind.GAUGE, "Ambient temperature", "环境温度", sunspec="TmpAmb"),
    Quantity("module_temperature", "degC", Kind.GAUGE, "Module temperature", "组件温度", sunspec="TmpBOM"),
    Quantity("cabinet_temperature", "degC", Kind.GAUGE, "Cabinet temperature", "柜内温度", sunspec="TmpCab"),
    Quantity("wind_speed", "m/s", Kind.GAUGE, "Wind speed", "风速", iec61850="MMET.HorWdSpd", sunspec="WndSpd"),
    Quantity("wind_direction", "deg", Kind.GAUGE, "Wind direction", "风向", iec61850="MMET.HorWdDir", sunspec="WndDir"),
    Quantity("relative_humidity", "%", Kind.GAUGE, "Relative humidity", "相对湿度", iec61850="MMET.EnvHum", sunspec="RH"),
    Quantity("air_pressure", "hPa", Kind.GAUGE, "Air pressure", "大气压", iec61850="MMET.EnvPres", sunspec="Pres"),
    Quantity("global_irradiance", "W/m2", Kind.GAUGE, "Irradiance, global horizontal", "水平面总辐照度", sunspec="GHI"),
    Quantity("heatsink_temperature", "degC", Kind.GAUGE, "Heat sink temperature", "散热器温度", sunspec="TmpSnk"),
    Quantity("sensor_temperature", "degC", Kind.GAUGE, "Temperature of the sensor's body", "传感器本体温度"),
    Quantity("battery_temperature", "degC", Kind.GAUGE, "Battery temperature", "电池温度"),
    Quantity("pot_voltage_mean", "V", Kind.GAUGE, "Mean pot voltage", "平均槽电压"),
    Quantity("pot_voltage", "V", Kind.GAUGE, "Pot voltage", "槽电压"),
    Quantity("pot_state", "1", Kind.STATE, "Pot state", "槽状态"),  # plant.site.PotState
    Quantity("pots_running", "1", Kind.STATE, "Pots running", "运行槽数"),
    Quantity("anode_effects_active", "1", Kind.STATE, "Pots in anode effect", "发生阳极效应槽数"),
    *[
        Quantity(
            f"reactive_power_l{i}",
            "kvar",
            Kind.GAUGE,
            f"Reactive power L{i}",
            f"无功功率 L{i}",
            directional=True,
            iec61850=f"MMXU.VAr.phs{'ABC'[i - 1]}",
            sunspec=f"VARph{'ABC'[i - 1]}",
        )
        for i in (1, 2, 3)
    ],
    *_phases("apparent_power", "kVA", "Apparent power", "视在功率", "MMXU.VA", ("VAphA", "VAphB", "VAphC")),
    *_phases("power_factor", "1", "Power factor", "功率因数", "MMXU.PF", ("PFphA", "PFphB", "PFphC")),
    *_phases("voltage_thd", "%", "Voltage THD", "电压总谐波畸变率", "MHAI.ThdPhV", ("", "", "")),
    *_phases("current_thd", "%", "Current THD", "电流总谐波畸变率", "MHAI.ThdA", ("", "", "")),
    Quantity("current_n", "A", Kind.GAUGE, "Current N", "中性线电流", iec61850="MMXU.A.neut"),
    Quantity("gross_weight", "kg", Kind.GAUGE, "Gross weight", "毛重"),
    Quantity("net_weight", "kg", Kind.GAUGE, "Net weight", "净重"),
    Quantity("metal_tapped", "kg", Kind.EVENT, "Metal tapped, weighed", "出铝量(称重)"),
    Quantity("pot_number", "1", Kind.EVENT, "Pot", "槽号"),
    Quantity("anode_effect_duration", "s", Kind.EVENT, "Anode effect duration", "阳极效应持续时间"),
    Quantity("anode_effect_peak_voltage", "V", Kind.EVENT, "Peak voltage of the anode effect", "阳极效应峰值电压"),
    *_repeated("mppt_dc_current", MPPT_INPUTS, "A", "DC current of MPPT input", "MPPT直流电流", "160 DCA"),
    *_repeated("mppt_dc_voltage", MPPT_INPUTS, "V", "DC voltage of MPPT input", "MPPT直流电压", "160 DCV"),
    *_repeated("mppt_dc_power", MPPT_INPUTS, "kW", "DC power of MPPT input", "MPPT直流功率", "160 DCW"),
    *_repeated("mppt_dc_energy", MPPT_INPUTS, "kWh", "DC energy of MPPT input", "MPPT直流电能", "160 DCWH", Kind.COUNTER),
    *_repeated("string_dc_current", COMBINER_STRINGS, "A", "DC current of string", "组串直流电流", "401 InDCA"),
]

QUANTITIES = MappingProxyType({row.name: row for row in _ROWS})
assert len(QUANTITIES) == len(_ROWS), "a quantity is listed twice"

# unit found in a manual -> (canonical unit, factor): canonical value = factor * value
UNITS = MappingProxyType(
    {
        "W": ("kW", 1e-3),
        "kW": ("kW", 1.0),
        "MW": ("kW", 1e3),
        "var": ("kvar", 1e-3),
        "kvar": ("kvar", 1.0),
        "Mvar": ("kvar", 1e3),
        "VA": ("kVA", 1e-3),
        "kVA": ("kVA", 1.0),
        "MVA": ("kVA", 1e3),
        "Wh": ("kWh", 1e-3),
        "kWh": ("kWh", 1.0),
        "MWh": ("kWh", 1e3),
        "varh": ("kvarh", 1e-3),
        "kvarh": ("kvarh", 1.0),
        "Mvarh": ("kvarh", 1e3),
        "mV": ("V", 1e-3),
        "V": ("V", 1.0),
        "kV": ("V", 1e3),
        "mA": ("A", 1e-3),
        "A": ("A", 1.0),
        "kA": ("kA", 1.0),
        "kAh": ("kAh", 1.0),
        "Hz": ("Hz", 1.0),
        "%": ("%", 1.0),
        "1": ("1", 1.0),
        "degC": ("degC", 1.0),
        "W/m2": ("W/m2", 1.0),
        "m/s": ("m/s", 1.0),
        "deg": ("deg", 1.0),
        "hPa": ("hPa", 1.0),
        "s": ("s", 1.0),
        "min": ("s", 60.0),
        "g": ("kg", 1e-3),
        "kg": ("kg", 1.0),
        "t": ("kg", 1e3),
    }
)


# What no working meter shows, whatever its make: lowest and highest by the name's stem, canonical unit.
_POSSIBLE = MappingProxyType({"frequency": (0.0, 100.0), "power_factor": (-1.0, 1.0)})


def possible_limits(quantity: str) -> tuple[float, float]:
    """Lowest and highest value that a quantity can have in its canonical unit, infinite where nothing general is known.

    A counter is never below zero; mains frequency and power factor by their definition.
    """
    if QUANTITIES[quantity].kind is Kind.COUNTER:
        return 0.0, float("inf")
    stem = next((stem for stem in _POSSIBLE if quantity == stem or quantity.startswith(f"{stem}_l")), "")
    return _POSSIBLE.get(stem, (float("-inf"), float("inf")))


def factor_to_canonical(quantity: str, unit: str) -> float:
    """Factor that turns a value in ``unit`` into the canonical unit of ``quantity``.

    Raises ``ValueError`` with the units that are allowed when the dimension differs.
    """
    canonical = QUANTITIES[quantity].unit
    if unit == "A" and canonical == "kA":
        return 1e-3
    if unit == "kA" and canonical == "A":
        return 1e3
    found, factor = UNITS.get(unit, ("", 0.0))
    if found != canonical:
        allowed = sorted(name for name, (target, _) in UNITS.items() if target == canonical)
        raise ValueError(f"unit {unit!r} does not fit {quantity}; allowed: {', '.join(allowed)}")
    return factor
