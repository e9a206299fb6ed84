"""The hidden truth of a simulated plant, drawn from its seed. Nothing here is known to the site file."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from simulators.noise import draw
from simulators.pv import Field

# kg of aluminium for a kA h at 100 % current efficiency: M / (3 F), M in g/mol, F in C/mol
FARADAY_KG_PER_KAH = 26.98154 / (3 * 96_485.33) * 3_600.0

BUS_OF = MappingProxyType(
    {
        "tie-1": 1,
        "tie-2": 2,
        "unit-1": 1,
        "pv-1": 1,
        "pv-2": 2,
        "pv-3": 2,
        "battery": 2,
        "rect-1-1": 1,
        "rect-1-2": 1,
        "rect-1-3": 1,
        "rect-2-1": 2,
        "rect-2-2": 2,
        "fume-1": 1,
        "fume-2": 2,
        "desulphurisation": 1,
        "compressors": 2,
        "potroom-aux": 1,
        "casthouse": 2,
    }
)


@dataclass(frozen=True, slots=True)
class Line:
    """A potline: ``voltage_v`` is the mean pot voltage, busbar drop included; efficiencies are shares of 1."""

    name: str
    number: int
    pots: int
    current_ka: float
    voltage_v: float
    current_efficiency: float
    groups: tuple[str, ...]
    group_share: tuple[float, ...]
    group_efficiency: tuple[float, ...]
    anode_effects_per_pot_day: float
    metal_per_pot_kg: float


@dataclass(frozen=True, slots=True)
class Battery:
    """A battery; standby is what its converter draws day and night."""

    capacity_kwh: float
    power_kw: float
    charge_efficiency: float
    discharge_efficiency: float
    standby_kw: float
    reserve_share: float = 0.10
    valley_share: float = 0.40
    full_share: float = 0.90


@dataclass(frozen=True, slots=True)
class Auxiliaries:
    """Energy of the shared and own consumers in kWh per tonne made, and the load that nobody meters, in kW."""

    fume_kwh_per_t: tuple[float, float]
    desulphurisation_kwh_per_t: float
    compressors_kwh_per_t: float
    potroom_kwh_per_t: float
    casthouse_kwh_per_t: float
    unmetered_kw: float


@dataclass(frozen=True, slots=True)
class Parameters:
    """All of it. ``loss_kw`` is the no-load loss of each bus section, ``loss_share`` its load loss at full load."""

    lines: tuple[Line, Line]
    fields: tuple[Field, Field, Field]
    battery: Battery
    auxiliaries: Auxiliaries
    unit_kw: float
    loss_kw: tuple[float, float]
    loss_share: tuple[float, float]
    tie_share: float


def _line(seed: int, number: int, pots: int, current_ka: float, e1_kwh_per_t: float, efficiency: float, groups: int) -> Line:
    name = f"line-{number}"
    current_efficiency = draw(seed, f"{name}/ce", efficiency - 0.004, efficiency + 0.004)
    rectifiers = tuple(draw(seed, f"{name}/eta/{g}", 0.9785, 0.9815) for g in range(groups))
    raw = [draw(seed, f"{name}/share/{g}", 0.97, 1.03) for g in range(groups)]
    shares = tuple(share / sum(raw) for share in raw)
    # AC in = V I / eta, so 1 / eta of the line is the mean of 1 / eta weighted by current
    eta = 1.0 / sum(s / e for s, e in zip(shares, rectifiers, strict=True))
    target = e1_kwh_per_t + draw(seed, f"{name}/e1", -20.0, 20.0)
    voltage_v = target * current_efficiency * eta * FARADAY_KG_PER_KAH / 1000.0
    return Line(
        name,
        number,
        pots,
        current_ka,
        voltage_v,
        current_efficiency,
        tuple(f"rect-{number}-{g + 1}" for g in range(groups)),
        shares,
        rectifiers,
        draw(seed, f"{name}/effects", 0.02, 0.06),
        8_000.0 + 20.0 * current_ka,
    )


def parameters_of(seed: int) -> Parameters:
    """The plant of a seed."""
    return Parameters(
        lines=(_line(seed, 1, 220, 240.0, 12_915.0, 0.938, 3), _line(seed, 2, 180, 200.0, 13_170.0, 0.929, 2)),
        fields=(
            Field("pv-1", 170_000.0, 148_000.0, 22.0, 0.0),
            Field("pv-2", 135_000.0, 117_000.0, 20.0, draw(seed, "pv-2/lag", 120.0, 400.0)),
            Field("pv-3", 95_000.0, 84_000.0, 8.0, draw(seed, "pv-3/lag", -240.0, -60.0)),
        ),
        battery=Battery(
            120_000.0,
            60_000.0,
            draw(seed, "battery/charge", 0.945, 0.965),
            draw(seed, "battery/discharge", 0.94, 0.96),
            draw(seed, "battery/standby", 25.0, 45.0),
        ),
        auxiliaries=Auxiliaries(
            (draw(seed, "fume/1", 140.0, 160.0), draw(seed, "fume/2", 145.0, 170.0)),
            draw(seed, "desulphurisation", 42.0, 58.0),
            draw(seed, "compressors", 85.0, 110.0),
            draw(seed, "potroom", 35.0, 50.0),
            draw(seed, "casthouse", 40.0, 55.0),
            draw(seed, "unmetered", 350.0, 700.0),
        ),
        unit_kw=draw(seed, "unit", 105_000.0, 118_000.0),
        loss_kw=(draw(seed, "loss/1", 60.0, 110.0), draw(seed, "loss/2", 50.0, 90.0)),
        loss_share=(draw(seed, "loss/share/1", 0.0008, 0.0016), draw(seed, "loss/share/2", 0.0008, 0.0016)),
        tie_share=draw(seed, "tie", 0.48, 0.56),
    )
