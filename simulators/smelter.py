"""The simulated smelter: true power of every branch, current, metal and weather as a pure function of (seed, time).

Signs are the plant's: + away from the grid. Every column holds kW unless its name says otherwise: ``<branch>`` AC power,
``dc-<group>``, ``current-<group>`` kA, per line ``voltage-<n>`` V, ``pots-<n>``, ``effects-<n>``, ``pot-metal-<n>`` and
``production-<n>`` kg/h; ``loss-<bus>``, ``unmetered``; ``soc`` %, and the weather.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping

import numpy as np

from simulators import lattice
from simulators.battery import day_plan
from simulators.lattice import Columns, DayLattice
from simulators.noise import Floats, Times, smooth, stream
from simulators.parameters import BUS_OF, parameters_of
from simulators.potline import line_columns
from simulators.pv import field_power_kw, weather

EPOCH_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00Z: where energies are counted from unless another is given
_DAYS_KEPT = 48
_NOT_STORED_SHARE = 0.25  # of the load, fed from the sun before any of it is stored
_FULL_KW = {1: 220_000.0, 2: 160_000.0}


class SmelterModel:
    """Random access to the truth of a seed; energies are counted from ``epoch_ns`` and are negative before it.

    Days are kept once computed. Several threads may ask at the same time: a history is filled beside the live devices.
    """

    def __init__(self, seed: int, epoch_ns: int = EPOCH_NS) -> None:
        self.seed = seed
        self.epoch_ns = epoch_ns
        self.parameters = parameters_of(seed)
        self._days: OrderedDict[int, DayLattice] = OrderedDict()
        self._lock = threading.RLock()
        first = int(lattice.day_of(np.array([epoch_ns]))[0])
        names = list(self._compute(first))
        self.names = {name: i for i, name in enumerate(names)}
        zero = np.zeros(len(names))
        self._before: dict[int, tuple[Floats, Floats]] = {first: (zero, zero)}
        self._first_known = self._last_known = first
        at_epoch = self._integrals(np.array([epoch_ns], np.int64))
        self._at_epoch = (at_epoch[0][0], at_epoch[1][0])

    def state(self, t_ns: Times) -> Columns:
        """True values at instants int64[n]."""
        out = np.empty((len(t_ns), len(self.names)))
        for day, rows, offset in _by_day(t_ns):
            out[rows] = lattice.interpolate(self._day(day), offset)
        return Columns(self.names, out)

    def integrals(self, t_ns: Times) -> tuple[Columns, Columns]:
        """(of the positive, of the negative part) since the epoch, in the column's unit times hours: kWh, kAh, kg."""
        positive, negative = self._integrals(t_ns)
        return Columns(self.names, positive - self._at_epoch[0]), Columns(self.names, negative - self._at_epoch[1])

    def _integrals(self, t_ns: Times) -> tuple[Floats, Floats]:
        shape = (len(t_ns), len(self.names))
        positive, negative = np.empty(shape), np.empty(shape)
        for day, rows, offset in _by_day(t_ns):
            before = self._integrals_before(day)
            up, down = lattice.integrate(self._day(day), offset)
            positive[rows], negative[rows] = before[0] + up, before[1] + down
        return positive, negative

    def _integrals_before(self, day: int) -> tuple[Floats, Floats]:
        with self._lock:
            while self._last_known < day:
                up, down = self._before[self._last_known]
                whole = self._day(self._last_known)
                self._last_known += 1
                self._before[self._last_known] = up + whole.positive[-1], down + whole.negative[-1]
            while self._first_known > day:
                up, down = self._before[self._first_known]
                self._first_known -= 1
                whole = self._day(self._first_known)
                self._before[self._first_known] = up - whole.positive[-1], down - whole.negative[-1]
            return self._before[day]

    def _day(self, day: int) -> DayLattice:
        with self._lock:
            found = self._days.get(day)
            if found is not None:
                self._days.move_to_end(day)
                return found
        # outside of the lock, so that a live answer never waits for a day of history
        found = lattice.build(np.column_stack(list(self._compute(day).values())))
        with self._lock:
            self._days[day] = found
            if len(self._days) > _DAYS_KEPT:
                self._days.popitem(last=False)
        return found

    def _compute(self, day: int) -> dict[str, Floats]:
        """Every column at the day's lattice points, in a fixed order."""
        t_ns = lattice.minutes_of(day)
        columns: dict[str, Floats] = {}
        for line in self.parameters.lines:
            columns |= line_columns(self.seed, line, day, t_ns)
        columns |= self._consumers(t_ns, columns["production-1"] / 1000.0, columns["production-2"] / 1000.0)
        columns |= self._sun(t_ns)
        load = _total(columns, _LOADS)
        columns["unit-1"] = self._unit(t_ns)
        surplus = -_total(columns, ("pv-1", "pv-2", "pv-3")) - _NOT_STORED_SHARE * load
        hour = np.linspace(0.0, 24.0, lattice.STEPS + 1)
        power, stored = day_plan(self.parameters.battery, hour, surplus)
        columns["battery"] = power
        columns["soc"] = 100.0 * stored / self.parameters.battery.capacity_kwh
        return columns | self._busbars(t_ns, columns)

    def _noise(self, name: str, t_ns: Times, period_s: float) -> Floats:
        return smooth(stream(self.seed, name), t_ns, period_s)

    def _consumers(self, t_ns: Times, made_1_t_per_h: Floats, made_2_t_per_h: Floats) -> dict[str, Floats]:
        aux = self.parameters.auxiliaries
        made = made_1_t_per_h + made_2_t_per_h
        return {
            "fume-1": aux.fume_kwh_per_t[0] * made_1_t_per_h * (1.0 + 0.03 * self._noise("fume-1", t_ns, 5400.0)),
            "fume-2": aux.fume_kwh_per_t[1] * made_2_t_per_h * (1.0 + 0.03 * self._noise("fume-2", t_ns, 5400.0)),
            "desulphurisation": aux.desulphurisation_kwh_per_t * made * (1.0 + 0.05 * self._noise("desulph", t_ns, 9000.0)),
            "compressors": aux.compressors_kwh_per_t * made * (1.0 + 0.12 * self._noise("compressors", t_ns, 600.0)),
            "potroom-aux": aux.potroom_kwh_per_t * made * (1.0 + 0.25 * self._noise("potroom", t_ns, 900.0)),
            "casthouse": aux.casthouse_kwh_per_t * made * (1.0 + 0.5 * self._noise("casthouse", t_ns, 4800.0)),
            "unmetered": aux.unmetered_kw * (1.0 + 0.2 * self._noise("unmetered", t_ns, 7200.0)),
        }

    def _sun(self, t_ns: Times) -> dict[str, Floats]:
        sky = weather(self.seed, t_ns, self.parameters.fields[0].tilt_deg)
        fields = {field.name: -field_power_kw(self.seed, field, t_ns) for field in self.parameters.fields}
        return fields | {
            "irradiance": sky.irradiance_w_per_m2,
            "ambient": sky.ambient_temperature_degc,
            "module": sky.module_temperature_degc,
            "wind": sky.wind_speed_m_per_s,
        }

    def _unit(self, t_ns: Times) -> Floats:
        """The coal unit gives way at midday, whatever the clouds do: its schedule is made the day before."""
        hour = (t_ns / 3.6e12 + 8.0) % 24.0
        midday = np.clip(1.0 - ((hour - 12.8) / 4.5) ** 2, 0.0, 1.0)
        output = self.parameters.unit_kw * (1.0 - 0.3 * midday + 0.015 * self._noise("unit", t_ns, 1800.0))
        return -output

    def _busbars(self, t_ns: Times, columns: dict[str, Floats]) -> dict[str, Floats]:
        """Losses of both sections, and the ties and the coupler that make every section balance."""
        need: dict[int, Floats] = {}
        losses: dict[str, Floats] = {}
        for bus in (1, 2):
            load = _total(columns, (name for name in _LOADS if BUS_OF[name] == bus))
            full = _FULL_KW[bus]
            loss = self.parameters.loss_kw[bus - 1] + self.parameters.loss_share[bus - 1] * full * (load / full) ** 2
            losses[f"loss-{bus}"] = loss
            need[bus] = loss + _total(columns, (name for name in _SIGNED if BUS_OF[name] == bus))
        need[2] = need[2] + columns["unmetered"]
        share = self.parameters.tie_share + 0.04 * self._noise("tie/share", t_ns, 3 * 3600.0)
        transit = 2_500.0 * self._noise("tie/transit", t_ns, 2 * 3600.0)
        tie_1 = share * (need[1] + need[2]) + transit
        tie_2 = need[1] + need[2] - tie_1
        return losses | {"tie-1": tie_1, "tie-2": tie_2, "coupler": tie_1 - need[1]}


_LOADS = tuple(name for name in BUS_OF if not name.startswith(("tie", "unit", "pv", "battery")))
_SIGNED = tuple(name for name in BUS_OF if not name.startswith("tie"))


def _total(columns: Mapping[str, Floats], names: Iterable[str]) -> Floats:
    total: Floats = np.sum([columns[name] for name in names], axis=0)
    return total


def _by_day(t_ns: Times) -> list[tuple[int, Times | slice, Times]]:
    """(day, rows, offsets into the day) of instants, day by day."""
    days = lattice.day_of(t_ns)
    if len(days) and days[0] == days[-1] and np.all(days == days[0]):
        day = int(days[0])
        return [(day, slice(None), t_ns - lattice.day_start_ns(day))]
    found: list[tuple[int, Times | slice, Times]] = []
    for day in np.unique(days):
        rows = np.flatnonzero(days == day)
        found.append((int(day), rows, t_ns[rows] - lattice.day_start_ns(int(day))))
    return found
