"""What the numbers of an unknown map may be: quantities guessed from what a three-phase meter cannot help showing.

A guess is a question to the engineer, with its reason; nothing here is a product's map. Units and scales follow from the
size that a mains frequency, a low or instrument voltage has; where nothing fixes a scale it stays 1 and the reason says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from devices.plausible import Floats, Hypothesis, frequencies, phases, sums_of

_PHASE_V = (57.735, 63.5, 120.0, 127.0, 220.0, 230.0, 240.0, 277.0)
_LINE_V = (100.0, 110.0, 208.0, 380.0, 400.0, 415.0, 480.0, 660.0, 690.0)
_SCALES = (1.0, 0.1, 0.01, 0.001)
_WITHIN = 0.08
_STEADY = 0.02  # a voltage moves no more than that within seconds, and lies no further from the other phases
_ROOT_3 = (1.65, 1.82)
_SUM_WITHIN = 0.02  # values of several requests are not of one instant
_POWER_SPREAD, _POWER_FACTOR_MIN = 0.1, 0.3

Triple = tuple[int, int, int]
Take = Callable[[Sequence[str], Sequence[int], str, float, str], None]


@dataclass(frozen=True, slots=True)
class Guess:
    """One number that may be a quantity of ``plant.quantities``: raw times ``scale`` is in ``unit``."""

    name: str
    address: int
    type: str
    word_order: str
    unit: str
    scale: float
    why: str


def guesses(hypothesis: Hypothesis) -> list[Guess]:
    """Guesses by address for the numbers of the most plausible type and order; each number and each quantity at most once."""
    found: list[Guess] = []
    left = set(range(len(hypothesis.address)))
    triples = phases(hypothesis.address, hypothesis.value, hypothesis.words)

    def take(names: Sequence[str], places: Sequence[int], unit: str, scale: float, why: str) -> None:
        for name, place in zip(names, places, strict=True):
            at = int(hypothesis.address[place])
            kind = hypothesis.type if (hypothesis.value[:, place] < 0).any() else _unsigned(hypothesis.type)
            found.append(Guess(name, at, kind, hypothesis.order.value, unit, scale, why))
            left.discard(place)

    voltage_triples = [t for t in triples if _voltage(hypothesis, t) is not None]
    for triple, names in _name_voltages(hypothesis, voltage_triples[:2]):
        scale = _voltage(hypothesis, triple)
        take(names, triple, "V", scale or 1.0, "three steady numbers near each other and near a usual voltage")
    volts = next((t for t in voltage_triples if t[0] not in left), None)
    rest = [t for t in triples if set(t) <= left]
    amps, watts, share = _currents_and_powers(hypothesis.value, volts, rest)
    if amps:
        why = "three numbers of one size" + (" that give the powers with the voltages" if watts else "")
        take(("current_l1", "current_l2", "current_l3"), amps, "A", 1.0, f"{why}: the scale is to be checked")
    if watts:
        why = f"voltage times current times {share:.2f} in all three phases: the unit is to be checked"
        take(("active_power_l1", "active_power_l2", "active_power_l3"), watts, "W", 1.0, why)
        totals = [int(p) for p in sums_of(hypothesis.value, watts, _SUM_WITHIN) if int(p) in left]
        if totals:
            take(("active_power",), totals[:1], "W", 1.0, "the sum of the three powers: the unit is to be checked")
            _triangle(hypothesis.value, totals[0], left, take)
    for place in (int(p) for p in frequencies(hypothesis.value) if int(p) in left):
        scale = _frequency_scale(hypothesis.value[:, place])
        take(("frequency",), (place,), "Hz", scale, "a steady number at the mains frequency")
        break
    return sorted(found, key=lambda guess: guess.address)


def _currents_and_powers(
    value: Floats, volts: Triple | None, rest: Sequence[Triple]
) -> tuple[Triple | None, Triple | None, float]:
    """Which triples are currents and active powers: their ratio to voltage times current is the same in all phases and, but
    for a power of ten, a power factor. Without voltages or such a pair the first triple passes for the currents."""
    found: list[tuple[float, Triple, Triple, float]] = []
    for amps, watts in permutations(rest if volts else [], 2):
        ratio = np.abs(value[:, list(watts)] / (value[:, list(volts or ())] * value[:, list(amps)]))
        spread = float((ratio.max(axis=1) / ratio.min(axis=1)).max()) - 1.0
        share = float(ratio.mean())
        share /= 10.0 ** np.ceil(np.log10(share / 1.02))
        if spread <= _POWER_SPREAD and share >= _POWER_FACTOR_MIN:
            found.append((spread, amps, watts, share))
    if found:
        _, amps, watts, share = min(found)
        return amps, watts, share
    return (rest[0] if rest else None), None, 0.0


def _triangle(value: Floats, total: int, left: set[int], take: Take) -> None:
    """Reactive and apparent power beside a total active power: S squared is P squared plus Q squared in every reading."""
    for q, s in permutations(sorted(left), 2):
        expected = np.hypot(value[:, total], value[:, q])
        reactive_counts = np.abs(value[:, q]).min() > 0.05 * np.abs(value[:, total]).max()
        if reactive_counts and (np.abs(expected / np.where(value[:, s] == 0, np.nan, value[:, s]) - 1.0) <= _SUM_WITHIN).all():
            why = "with the active power they make a right triangle: the unit is to be checked"
            take(("reactive_power",), (q,), "var", 1.0, why)
            take(("apparent_power",), (s,), "VA", 1.0, why)
            return


def _voltage(hypothesis: Hypothesis, triple: Triple) -> float | None:
    """The scale with which three numbers are a usual voltage, None where they are none."""
    three = np.abs(hypothesis.value[:, list(triple)])
    steady = three.max(axis=0) / three.min(axis=0) - 1.0 <= _STEADY
    near = three.max() / three.min() - 1.0 <= 2.5 * _STEADY
    if not steady.all() or not near:
        return None
    mean = float(three.mean())
    scales = (1.0,) if hypothesis.family == "float" else _SCALES[::-1]
    fitting = [s for s in scales for v in (*_PHASE_V, *_LINE_V) if abs(mean * s / v - 1.0) <= _WITHIN]
    return fitting[0] if fitting else None


def _name_voltages(hypothesis: Hypothesis, triples: Sequence[Triple]) -> list[tuple[Triple, tuple[str, str, str]]]:
    """Phase or line voltages: two triples by their ratio, one by the usual voltage that it is nearest to."""
    to_neutral, between = ("voltage_l1_n", "voltage_l2_n", "voltage_l3_n"), ("voltage_l1_l2", "voltage_l2_l3", "voltage_l3_l1")
    means = [float(np.abs(hypothesis.value[:, list(t)]).mean()) for t in triples]
    if len(triples) == 2:
        low, high = sorted(range(2), key=lambda i: means[i])
        if _ROOT_3[0] <= means[high] / means[low] <= _ROOT_3[1]:
            return [(triples[low], to_neutral), (triples[high], between)]
    if not triples:
        return []
    volts = means[0] * (_voltage(hypothesis, triples[0]) or 1.0)
    nearest = min((*_PHASE_V, *_LINE_V), key=lambda v: abs(volts / v - 1.0))
    return [(triples[0], to_neutral if nearest in _PHASE_V else between)]


def _frequency_scale(value: Floats) -> float:
    mean = float(value.mean())
    return next(s for s in (1.0, 0.1, 0.01, 0.001) if 49.0 <= mean * s <= 61.0)


def _unsigned(type_: str) -> str:
    return type_.replace("int", "uint") if type_.startswith("int") else type_
