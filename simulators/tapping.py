"""Tapping: when each pot is tapped, what is really taken out, what the ladle scale shows, what stays in the pots."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plant.series import Span
from simulators.lattice import day_of, day_start_ns
from simulators.noise import NS_PER_S, Floats, Times, draw, stream, uniform
from simulators.parameters import Line
from simulators.potline import OUTAGE_BLOCK_DAYS, Outage, outage_of
from simulators.smelter import SmelterModel

_SHORTEST_H, _LONGEST_H = 24.0, 32.0
_LADLE_SPREAD_KG = 70.0
_SMALLEST_KG = 500.0  # nobody drives a ladle to a pot for less: what is there waits for the next one
_SURE_KG = _SMALLEST_KG + 2.0 * _LADLE_SPREAD_KG  # a pot that made this much is tapped, whatever it held before and keeps
_NAMESPACE = uuid.UUID("5c1b3a4e-7d0f-4c68-9a52-0b1f6d6c2f11")


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """Taps of one line in the order of time: ``pot`` from 1, ``number`` counts the taps of a pot, masses in kg."""

    t_ns: Times
    pot: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]
    true_kg: Floats
    weighed_kg: Floats
    event_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.t_ns)


class Tapping:
    """The taps of one line: every pot has a rhythm of its own between 24 and 32 h, so any span can be asked for."""

    def __init__(self, model: SmelterModel, line: Line) -> None:
        self._model, self._line = model, line
        pots = np.arange(1, line.pots + 1, dtype=np.int64)
        rhythm = uniform(stream(model.seed, f"{line.name}/tap/rhythm"), pots)
        self._period_ns = np.round((_SHORTEST_H + rhythm * (_LONGEST_H - _SHORTEST_H)) * 3600.0).astype(np.int64) * NS_PER_S
        phase = uniform(stream(model.seed, f"{line.name}/tap/phase"), pots)
        # the pot's number in ms keeps two ladles of one second apart
        self._phase_ns = (phase * self._period_ns).astype(np.int64) // NS_PER_S * NS_PER_S + pots * 1_000_000
        self._scale_gain = draw(model.seed, f"{line.name}/scale", -0.0012, 0.0012)

    def taps(self, span: Span) -> Taps:
        """Taps of [start, end)."""
        pot, number = self._due(span)
        t_ns = self._phase_ns[pot - 1] + number * self._period_ns[pot - 1]
        order = np.argsort(t_ns, kind="stable")
        t_ns, pot, number = t_ns[order], pot[order], number[order]
        true_kg = self._made_before_kg(pot, number) + self._left_kg(pot, number - 1) - self._rest_kg(pot, number)
        keep = true_kg >= _SMALLEST_KG
        t_ns, pot, number, true_kg = t_ns[keep], pot[keep], number[keep], true_kg[keep]
        error = 2.0 * uniform(stream(self._model.seed, f"{self._line.name}/tap/weighing"), _event_index(pot, number)) - 1.0
        weighed = np.round(true_kg * (1.0 + self._scale_gain + 0.002 * error))
        ids = tuple(self._event_id(int(p), int(n)) for p, n in zip(pot, number, strict=True))
        return Taps(t_ns, pot, number, true_kg, weighed, ids)

    def metal_in_pots_kg(self, t_ns: int) -> float:
        """Molten metal in all pots of the line at an instant."""
        pot = np.arange(1, self._line.pots + 1, dtype=np.int64)
        last = (t_ns - self._phase_ns) // self._period_ns
        last_ns = self._phase_ns + last * self._period_ns
        made = self._made_kg(pot, last_ns, np.full(len(pot), t_ns, np.int64))
        return float(np.sum(self._line.metal_per_pot_kg + self._left_kg(pot, last) + made))

    def _due(self, span: Span) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        first = -((self._phase_ns - span.start_ns) // self._period_ns)
        end = -((self._phase_ns - span.end_ns) // self._period_ns)
        count = np.maximum(end - first, 0)
        pot = np.repeat(np.arange(1, self._line.pots + 1, dtype=np.int64), count)
        within = np.arange(count.sum(), dtype=np.int64) - np.repeat(np.cumsum(count) - count, count)
        return pot, np.repeat(first, count) + within

    def _left_kg(self, pot: npt.NDArray[np.int64], number: npt.NDArray[np.int64]) -> Floats:
        """How much more than planned is in a pot after a tap fell due, whether it was worth a ladle or not."""
        if not len(pot):
            return np.zeros(0)
        left, made = self._rest_kg(pot, number), self._made_before_kg(pot, number)
        unsure = np.flatnonzero(made < _SURE_KG)
        # ends with the outage, which is some days long
        held = made[unsure] + self._left_kg(pot[unsure], number[unsure] - 1) if len(unsure) else np.zeros(0)
        left[unsure] = np.where(held - left[unsure] >= _SMALLEST_KG, left[unsure], held)
        return left

    def _made_before_kg(self, pot: npt.NDArray[np.int64], number: npt.NDArray[np.int64]) -> Floats:
        """Metal that each pot made in the period that a tap ends."""
        period_ns = self._period_ns[pot - 1]
        end_ns = self._phase_ns[pot - 1] + number * period_ns
        return self._made_kg(pot, end_ns - period_ns, end_ns)

    def _rest_kg(self, pot: npt.NDArray[np.int64], number: npt.NDArray[np.int64]) -> Floats:
        """How much more than planned a tap left in the pot."""
        u = uniform(stream(self._model.seed, f"{self._line.name}/tap/rest"), _event_index(pot, number))
        rest: Floats = _LADLE_SPREAD_KG * (2.0 * u - 1.0)
        return rest

    def _made_kg(self, pot: npt.NDArray[np.int64], start_ns: Times, end_ns: Times) -> Floats:
        """Metal that each pot made between two instants; a pot out of service makes none."""
        made = self._running_kg(end_ns) - self._running_kg(start_ns)
        for outage in self._outages(start_ns, end_ns):
            rows = np.flatnonzero(pot == outage.pot)
            first_ns, last_ns = day_start_ns(outage.first_day), day_start_ns(outage.last_day)
            low, high = np.clip(start_ns[rows], first_ns, last_ns), np.clip(end_ns[rows], first_ns, last_ns)
            made[rows] -= self._running_kg(high) - self._running_kg(low)
        return made

    def _outages(self, start_ns: Times, end_ns: Times) -> list[Outage]:
        if not len(start_ns):
            return []
        first, last = day_of(np.array([start_ns.min(), end_ns.max()]))
        days = range(int(first) // OUTAGE_BLOCK_DAYS * OUTAGE_BLOCK_DAYS, int(last) + 1, OUTAGE_BLOCK_DAYS)
        found = (outage_of(self._model.seed, self._line, day) for day in days)
        return [outage for outage in found if outage is not None]

    def _running_kg(self, t_ns: Times) -> Floats:
        if not len(t_ns):
            return np.zeros(0)
        return self._model.integrals(t_ns)[0][f"pot-metal-{self._line.number}"]

    def _event_id(self, pot: int, number: int) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{self._model.seed}/{self._line.name}/{pot}/{number}"))


def _event_index(pot: npt.NDArray[np.int64], number: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return pot * 1_000_000 + number
