"""The pots of a line one by one, second by second: voltage, state, anode effects. A pure function of (seed, time).

The mean of the pots in service is the line's mean pot voltage of ``simulators.smelter`` where no pot is in effect. An anode
effect announces itself: the alumina runs out, the voltage creeps up for minutes, then jumps to 15 to 40 V.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import orjson

from plant.series import Span
from plant.site import PotState
from simulators.lattice import day_of, day_start_ns
from simulators.mqtt_publisher import Publication
from simulators.noise import NS_PER_S, Floats, Times, stream, uniform
from simulators.parameters import Line
from simulators.potline import EFFECT_V, AnodeEffect, anode_effects, outage_of
from simulators.smelter import SmelterModel

_SPREAD_V = 0.04  # pots differ by age and by where their busbars run
_NOISE_V = 0.012
_WARNING_S = 600.0
_CREEP_V = 0.30
_JUMP_S = 2.0
_RECOVERY_S = 45.0
_BYPASSED_V, _PREHEATING_V, _STARTING_V = 0.05, 2.6, 6.2
_HALF_DAY_NS = 43_200 * NS_PER_S
_WORDS = {state.value: state.name.lower() for state in PotState}
_NAMESPACE = uuid.UUID("0f4a7d52-6b3c-4b0e-8d0e-8d2f6f0c9a11")


@dataclass(frozen=True, slots=True)
class EndedEffect:
    """An anode effect as the controller tells it once it is over."""

    id: str
    pot: int
    start_ns: int
    duration_s: int
    peak_v: float


class PotFeed:
    """What the controllers of one line see of its pots, which count from 1."""

    def __init__(self, model: SmelterModel, line: Line) -> None:
        self._model, self._line = model, line
        offset = uniform(stream(model.seed, f"{line.name}/pots/offset"), np.arange(line.pots, dtype=np.int64)) - 0.5
        self._offset_v = 2.0 * _SPREAD_V * (offset - offset.mean())

    @property
    def pots(self) -> int:
        """How many pots the line has."""
        return self._line.pots

    def voltages(self, t_ns: Times) -> Floats:
        """Volts float64[n, pots] at instants int64[n]."""
        columns = self._model.state(t_ns)
        n = self._line.number
        base = columns[f"voltage-{n}"] - columns[f"effects-{n}"] * EFFECT_V / columns[f"pots-{n}"]
        pots = np.arange(self._line.pots, dtype=np.int64)
        key = stream(self._model.seed, f"{self._line.name}/pots/noise")
        noise = uniform(key, (t_ns // NS_PER_S)[:, None] * self._line.pots + pots) - 0.5
        volts: Floats = base[:, None] + self._offset_v + 2.0 * _NOISE_V * noise
        for effect in self._effects_near(t_ns):
            _add_effect(volts[:, effect.pot - 1], t_ns, effect, self._peak_v(effect))
        states = self.states(t_ns)
        for state, volt in (
            (PotState.BYPASSED, _BYPASSED_V),
            (PotState.PREHEATING, _PREHEATING_V),
            (PotState.STARTING, _STARTING_V),
        ):
            volts = np.where(states == state, volt + 0.1 * noise, volts)
        return volts

    def states(self, t_ns: Times) -> Floats:
        """``plant.site.PotState`` as float64[n, pots]. A pot that comes back is heated for half a day and started for another."""
        found = np.full((len(t_ns), self._line.pots), float(PotState.RUNNING))
        days = day_of(t_ns)
        for day in np.unique(days).tolist():
            outage = outage_of(self._model.seed, self._line, day)
            if outage is None or not outage.first_day <= day < outage.last_day:
                continue
            rows = days == day
            state = np.full(int(rows.sum()), float(PotState.BYPASSED))
            if day == outage.last_day - 1:
                morning = t_ns[rows] < day_start_ns(day) + _HALF_DAY_NS
                state = np.where(morning, float(PotState.PREHEATING), float(PotState.STARTING))
            found[rows, outage.pot - 1] = state
        return found

    def ended_effects(self, span: Span) -> list[EndedEffect]:
        """Effects of pots in service that are over within [start, end), in the order of their ends."""
        first, last = day_of(np.array([span.start_ns, span.end_ns], np.int64)).tolist()
        found = [e for day in range(first, last + 1) for e in anode_effects(self._model.seed, self._line, day)]
        over = sorted((e for e in found if span.start_ns <= _end_ns(e) < span.end_ns), key=_end_ns)
        return [self._ended(e) for e in over if self._in_service(e)]

    def _effects_near(self, t_ns: Times) -> list[AnodeEffect]:
        days = np.unique(day_of(t_ns)).tolist()
        around = sorted({d for day in days for d in (day - 1, day, day + 1)})  # an effect shows minutes before and after
        return [e for day in around for e in anode_effects(self._model.seed, self._line, day)]

    def _in_service(self, effect: AnodeEffect) -> bool:
        at = np.array([effect.start_ns], np.int64)
        return bool(self.states(at)[0, effect.pot - 1] == PotState.RUNNING)

    def _ended(self, effect: AnodeEffect) -> EndedEffect:
        name = f"{self._line.name}/{effect.pot}/{effect.start_ns}"
        return EndedEffect(
            str(uuid.uuid5(_NAMESPACE, name)), effect.pot, effect.start_ns, effect.duration_s, round(self._peak_v(effect), 1)
        )

    def _peak_v(self, effect: AnodeEffect) -> float:
        u = float(uniform(stream(self._model.seed, f"{self._line.name}/{effect.pot}/peak"), np.array([effect.start_ns]))[0])
        return 18.0 + 20.0 * u


def pot_publications(feed: PotFeed, topic: Callable[[int], str], span: Span, *, period_s: int = 1) -> list[Publication]:
    """One message a pot and period within [start, end), all pots of an instant together; numbered by instant."""
    period_ns = period_s * NS_PER_S
    numbers = np.arange(-(-span.start_ns // period_ns), -(-span.end_ns // period_ns), dtype=np.int64)
    t_ns = numbers * period_ns
    millivolts, states = np.round(feed.voltages(t_ns) * 1e3).astype(int).tolist(), feed.states(t_ns).astype(int).tolist()
    return [
        Publication(topic(pot), orjson.dumps({"t": t // NS_PER_S, "seq": number, "u_mv": mv, "state": _WORDS[state]}), t)
        for number, t, row_mv, row_state in zip(numbers.tolist(), t_ns.tolist(), millivolts, states, strict=True)
        for pot, (mv, state) in enumerate(zip(row_mv, row_state, strict=True), start=1)
    ]


def effect_publications(feed: PotFeed, topic: str, span: Span) -> list[Publication]:
    """One message for each effect that ends within [start, end), at its end."""
    return [
        Publication(
            topic,
            orjson.dumps(
                {"id": e.id, "pot": e.pot, "start": e.start_ns // NS_PER_S, "duration_s": e.duration_s, "peak_v": e.peak_v}
            ),
            e.start_ns + e.duration_s * NS_PER_S,
        )
        for e in feed.ended_effects(span)
    ]


def _end_ns(effect: AnodeEffect) -> int:
    return effect.start_ns + effect.duration_s * NS_PER_S


def _add_effect(volts: Floats, t_ns: Times, effect: AnodeEffect, peak_v: float) -> None:
    """Raise one pot's volts, in place: creep before, jump and slow fall during, decay after."""
    since_s = (t_ns - effect.start_ns) / NS_PER_S
    after_s = since_s - effect.duration_s
    creep = np.clip(1.0 + since_s / _WARNING_S, 0.0, 1.0) ** 3 * _CREEP_V
    height_v = (0.75 + 0.25 * np.exp(-(since_s - _JUMP_S).clip(0.0) / 30.0)) * (peak_v - volts)
    during = np.maximum(np.minimum(since_s / _JUMP_S, 1.0) * height_v, _CREEP_V)
    decay = np.exp(-after_s.clip(0.0) / _RECOVERY_S) * _CREEP_V
    volts += np.select([since_s < 0.0, after_s < 0.0, after_s < 20.0 * _RECOVERY_S], [creep, during, decay], 0.0)
