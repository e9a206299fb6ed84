"""What a meter shows of the truth: gain error within its class, noise, its own arrow and side, registers with steps.

All functions give quantities of ``plant.quantities`` in canonical units, as the meter says them, before any mounting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from plant.site import MeteringPoint, Mounting
from simulators.lattice import Columns
from simulators.noise import NS_PER_S, Floats, Times, draw, smooth, stream, uniform
from simulators.pv import StringBox, string_currents_a

_CLASS_USED = 0.6  # a meter in order stays well within its class
_NOISE = 2e-4
_HOURS_IN_SERVICE = (6_000.0, 30_000.0)
_AGAINST_THE_FLOW = 0.02  # what a register of the rarer direction has counted in the same hours
_POWER_FACTOR = {"rect": 0.955, "pv": 0.999, "tie": 0.97, "coupler": 0.97, "unit": 0.98, "battery": 0.999}
_INVERTER_V = 800.0
_DC_LINK_V = 1_150.0
_INVERTER_EFFICIENCY = 0.984
SUNSPEC_MPPT, SUNSPEC_SLEEPING = 4.0, 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The truth at instants ``t_ns`` int64[n]: values, and integrals of their positive and negative parts."""

    t_ns: Times
    state: Columns
    positive: Columns
    negative: Columns


@dataclass(frozen=True, slots=True)
class MeterError:
    """``gain`` multiplies powers and energies, ``current_gain`` DC currents and charges; registers start at ``initial``."""

    gain: float
    current_gain: float
    initial_import_kwh: float
    initial_export_kwh: float


def error_of(seed: int, point: MeteringPoint, mounting: Mounting, class_used: float = _CLASS_USED) -> MeterError:
    """The error that the seed gives a meter: anywhere within ``class_used`` (0..1) of the class it was bought with."""
    reach = class_used * mounting.class_percent / 100.0
    hours = draw(seed, f"{mounting.meter}/hours", *_HOURS_IN_SERVICE)
    return MeterError(
        1.0 + draw(seed, f"{mounting.meter}/gain", -reach, reach),
        1.0 + draw(seed, f"{mounting.meter}/current", -reach, reach),
        hours * point.rated_power_kw,
        _AGAINST_THE_FLOW * hours * point.rated_power_kw,
    )


def ac_quantities(seed: int, point: MeteringPoint, mounting: Mounting, voltage_v: float, snapshot: Snapshot) -> dict[str, Floats]:
    """Quantities of a meter on the AC side of a branch whose bus has ``voltage_v`` between phases."""
    branch = point.branch
    energies = ac_energies(
        point, mounting, error_of(seed, point, mounting), noise_of(seed, mounting.meter, snapshot.t_ns), snapshot
    )
    power = energies["active_power"]
    factor = _POWER_FACTOR.get(branch.split("-")[0], 0.88)
    reactive = np.abs(power) * np.sqrt(1.0 / factor**2 - 1.0)
    apparent = np.abs(power) / factor
    volts = voltage_v / mounting.vt_ratio * (1.0 + 0.008 * smooth(stream(seed, f"{branch}/volts"), snapshot.t_ns, 900.0))
    return {
        "active_power": power,
        "reactive_power": reactive,
        "apparent_power": apparent,
        "power_factor": np.where(power < 0.0, -factor, factor),
        "frequency": 50.0 + 0.03 * smooth(stream(seed, "frequency"), snapshot.t_ns, 20.0),
        "energy_import": energies["energy_import"],
        "energy_export": energies["energy_export"],
        **_phases(volts, apparent * 1000.0 / (np.sqrt(3.0) * volts)),
    }


def ac_energies(
    point: MeteringPoint, mounting: Mounting, error: MeterError, noise: Floats, snapshot: Snapshot
) -> dict[str, Floats]:
    """Power and registers of a meter on the AC side; ``noise`` [n] multiplies its powers."""
    registers = (snapshot.positive[point.branch], snapshot.negative[point.branch])
    forward, backward = registers if mounting.direction > 0 else registers[::-1]
    return {
        "active_power": snapshot.state[point.branch] * error.gain * mounting.direction * noise / mounting.ratio,
        "energy_import": _register((error.initial_import_kwh + forward * error.gain), mounting),
        "energy_export": _register((error.initial_export_kwh + backward * error.gain), mounting),
    }


def dc_quantities(seed: int, point: MeteringPoint, mounting: Mounting, snapshot: Snapshot) -> dict[str, Floats]:
    """Quantities of a meter on the DC side of a rectifier group: kA, V, kW, kWh and kAh."""
    noise = noise_of(seed, mounting.meter, snapshot.t_ns)
    energies = dc_energies(point, mounting, error_of(seed, point, mounting), noise, snapshot)
    return energies | {"dc_voltage": energies["dc_power"] / energies["dc_current"]}


def dc_energies(
    point: MeteringPoint, mounting: Mounting, error: MeterError, noise: Floats, snapshot: Snapshot
) -> dict[str, Floats]:
    """Current, power and registers of a meter on the DC side; ``noise`` [n] multiplies current and power."""
    current = snapshot.state[f"current-{point.branch}"] * error.current_gain * noise
    power = snapshot.state[f"dc-{point.branch}"] * error.gain * noise
    charge = snapshot.positive[f"current-{point.branch}"] * error.current_gain
    return {
        "dc_current": current,
        "dc_power": power,
        "dc_energy": _register(error.initial_import_kwh + snapshot.positive[f"dc-{point.branch}"] * error.gain, mounting),
        "dc_charge": error.initial_import_kwh * 1e-3 + charge,
    }


def inverter_quantities(seed: int, point: MeteringPoint, mounting: Mounting, snapshot: Snapshot) -> dict[str, Floats]:
    """Quantities of a PV inverter: those of its AC side, its DC side, temperature and SunSpec state."""
    ac = ac_quantities(seed, point, mounting, _INVERTER_V, snapshot)
    power = ac["active_power"]
    running = power > 0.0
    return ac | {
        "current": 3.0 * ac["current_l1"],
        "dc_power": power / _INVERTER_EFFICIENCY,
        "dc_voltage": np.where(running, _DC_LINK_V, 0.0),
        "cabinet_temperature": snapshot.state["ambient"] + 6.0 + 22.0 * np.abs(power) / max(point.rated_power_kw, 1.0),
        "operating_state": np.where(running, SUNSPEC_MPPT, SUNSPEC_SLEEPING),
    }


def battery_quantities(
    seed: int, point: MeteringPoint, mounting: Mounting, voltage_v: float, snapshot: Snapshot
) -> dict[str, Floats]:
    """Quantities of the battery's converter; the state of charge is its own estimate."""
    power = snapshot.state[point.branch]
    state = np.select([power > 0.002 * point.rated_power_kw, power < 0.0], [1.0, 2.0], 0.0)
    estimate = snapshot.state["soc"] + 0.8 * smooth(stream(seed, "soc/estimate"), snapshot.t_ns, 4 * 3600.0)
    return ac_quantities(seed, point, mounting, voltage_v, snapshot) | {
        "state_of_charge": np.clip(estimate, 0.0, 100.0),
        "state_of_health": np.full(len(power), 97.0),
        "operating_state": state,
    }


def weather_quantities(snapshot: Snapshot) -> dict[str, Floats]:
    """Quantities of the weather station, rounded as its display is."""
    return {
        "irradiance": np.round(snapshot.state["irradiance"] * 1.01, 1),
        "ambient_temperature": np.round(snapshot.state["ambient"], 1),
        "module_temperature": np.round(snapshot.state["module"], 1),
        "wind_speed": np.round(snapshot.state["wind"], 1),
    }


def string_quantities(seed: int, meter: str, epoch_ns: int, snapshot: Snapshot) -> dict[str, Floats]:
    """Currents of the strings of a combiner box in A: see ``simulators.pv``."""
    box = StringBox.of(seed, meter, epoch_ns)
    current = string_currents_a(box, snapshot.t_ns, snapshot.state["irradiance"])
    noise = noise_of(seed, meter, snapshot.t_ns)
    return {f"string_dc_current_{i + 1}": np.round(column * noise, 3) for i, column in enumerate(current.T)}


def pot_quantities(line_number: int, snapshot: Snapshot) -> dict[str, Floats]:
    """Quantities of the pot controllers of a line."""
    return {
        "pots_running": np.round(snapshot.state[f"pots-{line_number}"]),
        "pot_voltage_mean": np.round(snapshot.state[f"voltage-{line_number}"], 4),
        "anode_effects_active": np.round(snapshot.state[f"effects-{line_number}"]),
    }


def rounded(quantities: Mapping[str, Floats]) -> dict[str, Floats]:
    """Power and energy with the three decimals that a JSON meter writes."""
    return {name: np.round(value, 3) for name, value in quantities.items()}


def noise_of(seed: int, meter: str, t_ns: Times) -> Floats:
    """What the last digits of a meter's powers do, as factors about 1."""
    return 1.0 + _NOISE * (2.0 * uniform(stream(seed, f"{meter}/noise"), t_ns // NS_PER_S) - 1.0)


def _register(energy_kwh: Floats, mounting: Mounting) -> Floats:
    """A register of primary energy as the meter shows it: whole steps, on its own side."""
    step = mounting.register_step_kwh
    shown = np.floor(energy_kwh / step + 1e-9) * step if step > 0.0 else energy_kwh
    value: Floats = shown / mounting.ratio
    return value


def _phases(volts: Floats, amps: Floats) -> dict[str, Floats]:
    """Slightly unequal phases."""
    out: dict[str, Floats] = {}
    for i, skew in enumerate((1.0, 0.998, 1.002), start=1):
        out[f"voltage_l{i}_n"] = volts * skew / np.sqrt(3.0)
        out[f"current_l{i}"] = amps * (2.0 - skew)
    for name, skew in (("l1_l2", 1.0), ("l2_l3", 0.999), ("l3_l1", 1.001)):
        out[f"voltage_{name}"] = volts * skew
    return out
