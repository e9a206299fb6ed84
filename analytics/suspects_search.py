"""The search for the meter that is wrong: every fault that a meter can have, scored by what the plant's equations say of it.

A meter that shows ``gain`` times the truth leaves ``1 - 1/gain`` of what it shows in every sum that it enters, a clock that is
off leaves the difference to what it should have shown, one that hangs what it did before less what it shows. The best fault of
each meter is ranked; the first is named only when it is clear: beyond chance, beyond the meter's class, and ahead of every
other explanation, unmetered load among them. What was named is taken as known before a second one is sought.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from analytics.counters import F64, Mask
from analytics.suspects_model import DAY_SLOTS, Equation, Model, Width

SLOT_S = 900.0
SCORE_LEAST = 25.0  # gain in log-likelihood from which a fault is more than chance; calibrated on healthy plants
LEAD_LEAST = 4.0  # ahead of the next meter, and of unmetered load
LATE_PENALTY = 6.0  # of a fault that sets in within the window: it was picked from as many as there are slots
SHIFT_PENALTY = 6.0
SHIFTS_S = tuple(s * m * 60.0 for m in (5, 10, 15, 30, 45, 60, 120, 240, 480) for s in (1, -1))
CLASSES_LEAST = 3.0  # how many times its class a meter must be off, and
GAIN_LEAST = 0.012  # at least so much; and
GAIN_MOST = 12.0  # no ratio is set wrong by more
HELD_SLOTS = 16  # equal amounts in a row, of a meter of whose amounts at most
EQUAL_MOST = 0.05  # are equal to the one before,
HELD_SCORE = 3.0  # each of them worth the logarithm of that
STEADY = 0.01  # mean step from slot to slot, of the mean, below which a load cannot tell a time
COMPARED, UNMETERED_COMPARED = 5, 2  # faults whose noise is estimated anew
MOST = 3  # suspects named at once
NOBODY = ""  # stands for load without a meter


@dataclass(frozen=True, slots=True, eq=False)
class Fault:
    """A fault of a meter as the statistics see it. ``kind`` gain | drift | clock | stuck | unmetered; ``gain`` is what the meter
    shows of the truth (of a drift: at the end), ``error`` one standard deviation of it (of a clock: none); ``since`` is the slot
    it begins at; ``excess`` float64[m] kWh that the meter shows beyond the truth, in its own sign; ``held`` how many slots in
    a row it showed the same amount, those ``inside``."""

    point: str
    kind: str
    score: float
    gain: float
    error: float
    since: int
    shift_s: float
    excess: F64
    columns: Mapping[str, F64]
    held: int = 0
    inside: Mask = field(default_factory=lambda: np.zeros(0, bool))


@dataclass(frozen=True, slots=True, eq=False)
class Accused:
    """A fault that is clear, and how far it is ahead of the next meter's (natural logarithm of the odds)."""

    fault: Fault
    lead: float


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Faults that are clear, and all that were weighed when the first was sought: the best of each point, most telling first."""

    accused: tuple[Accused, ...]
    ranked: tuple[Fault, ...]


def search(equations: Sequence[Equation], kwh: Mapping[str, F64], class_share: Mapping[str, float]) -> Findings:
    """Suspects of a plant. ``kwh`` float64[m] is each point's net energy a slot in the plant's sign, NaN where nothing is known;
    ``class_share`` its class (0..1)."""
    filled = {p: np.nan_to_num(v) for p, v in kwh.items()}
    model = Model(equations, filled, {p: c / float(np.sqrt(3.0)) for p, c in class_share.items()})
    accused: list[Accused] = []
    ranked: list[Fault] = []
    shown: list[Fault] = []
    while len(accused) < MOST and model.equations:
        taken = {a.fault.point for a in accused}
        ranked = _ranked(f for p in model.points if p not in taken for f in _of_point(model, p, class_share))
        if not ranked or ranked[0].score < SCORE_LEAST:
            break
        ranked = _compared(model, ranked)
        if not ranked:
            break
        shown = shown or ranked
        lead = ranked[0].score - max((f.score for f in ranked[1:]), default=0.0)
        if ranked[0].point == NOBODY or ranked[0].score < SCORE_LEAST or lead < LEAD_LEAST:
            break
        accused.append(Accused(ranked[0], lead))
        model = _knowing(model, ranked[0])
    return Findings(tuple(accused), tuple(shown or ranked))


def _ranked(faults: Iterable[Fault]) -> list[Fault]:
    """The best fault of each point, most telling first."""
    best: dict[str, Fault] = {}
    for fault in faults:
        if fault.score > 0.0 and (fault.point not in best or fault.score > best[fault.point].score):
            best[fault.point] = fault
    return sorted(best.values(), key=lambda f: (f.kind != "stuck", -f.score))


def _knowing(model: Model, fault: Fault) -> Model:
    """The model to which a fault is known; what a meter that hung should have shown nobody knows."""
    if not fault.inside.any():
        return model.without(fault.columns)
    touched = [e if fault.point not in dict(e.terms) else replace(e, valid=e.valid & ~fault.inside) for e in model.equations]
    return Model(touched, model.kwh, model.spread, model.known)


def _compared(model: Model, ranked: Sequence[Fault]) -> list[Fault]:
    """The first of the ranked faults, and load without a meter, by what each leaves: the noise of a plant with a fault is that
    which the fault leaves."""
    if ranked[0].kind == "stuck":
        return list(ranked)  # what it should have shown is known too badly to leave little, and it speaks for itself
    model = _inside(model, max((abs(f.shift_s) for f in ranked[:COMPARED]), default=0.0))
    base = model.without(width=Width.MEAN_SQUARE).likelihood()
    unmetered = sorted(_unmetered(model), key=lambda f: -f.score)[:UNMETERED_COMPARED]
    found = [
        replace(f, score=model.without(f.columns, width=Width.MEAN_SQUARE).likelihood() - base + _prior(f))
        for f in (*ranked[:COMPARED], *unmetered)
    ]
    return _ranked(found)


def _inside(model: Model, shift_s: float) -> Model:
    """The model without the slots at either end, for which a clock that is off leaves nothing to compare with."""
    edge = int(np.ceil(shift_s / SLOT_S))
    if not edge:
        return model
    slots = np.arange(len(model.equations[0].valid))
    middle = (slots >= edge) & (slots < len(slots) - edge)
    return Model([replace(e, valid=e.valid & middle) for e in model.equations], model.kwh, model.spread, model.known)


def _prior(fault: Fault) -> float:
    """What a fault loses for having been picked from many, and a meter that hangs gains by showing the same every time."""
    picked = SHIFT_PENALTY if fault.kind == "clock" else LATE_PENALTY if fault.since else 0.0
    return HELD_SCORE * fault.held - picked


def _score(model: Model, fault: Fault) -> float:
    found = model.score_fixed(fault.columns) if fault.kind == "clock" else model.score(fault.columns).score
    return found + _prior(fault)


def _matters(fault: Fault, class_share: Mapping[str, float]) -> bool:
    """Whether a meter within its class, and within what the model knows of plants, could not look like that."""
    off, least = abs(fault.gain - 1.0), max(CLASSES_LEAST * class_share[fault.point], GAIN_LEAST)
    return off - 2.0 * fault.error > least and abs(fault.gain) < GAIN_MOST


def _of_point(model: Model, point: str, class_share: Mapping[str, float]) -> Iterator[Fault]:
    """Every fault of a point that matters."""
    kwh = model.kwh[point]
    if not np.any(kwh):
        return
    columns = model.columns_of(point, kwh)
    whole = model.score(columns)
    gains = [_gain(point, kwh, columns, whole.score, whole.size, whole.error, 0)]
    gains += [*_late(model, point, kwh, columns), *_drifts(model, point, kwh)]
    yield from (f for f in gains if _matters(f, class_share) and (not _steady(kwh) or _beyond_own_noise(model, f)))
    yield from _clocks(model, point, model.kwh[point])
    yield from _stuck(model, point, model.kwh[point])


def _steady(kwh: F64) -> bool:
    return bool(np.abs(np.diff(kwh)).mean() < STEADY * np.abs(kwh).mean())


def _beyond_own_noise(model: Model, fault: Fault) -> bool:
    """Whether a gain shows in a steady meter as its neighbouring slots have it: the noise of its own is most of what changes in
    it, and is in what does not add up too."""
    near = np.abs(np.arange(len(fault.excess)) - fault.since) <= 2 if fault.since else np.zeros(len(fault.excess), bool)
    smooth = {node: np.where(near, column, _neighbours(column)) for node, column in fault.columns.items()}
    return model.score(smooth).score > SCORE_LEAST / 2.0


def _neighbours(column: F64) -> F64:
    padded = np.pad(column, 2, mode="edge")
    return np.asarray((padded[:-4] + padded[1:-3] + padded[3:-1] + padded[4:]) / 4.0, np.float64)


def _gain(point: str, kwh: F64, columns: Mapping[str, F64], score: float, size: float, error: float, since: int) -> Fault:
    gain = _gain_of(size)
    after = np.arange(len(kwh)) >= since
    shown = {n: np.where(after, c, 0.0) for n, c in columns.items()}
    return Fault(point, "gain", score, gain, error * gain**2, since, 0.0, np.where(after, size * kwh, 0.0), shown)


def _gain_of(size: float) -> float:
    """What a meter shows of the truth when ``size`` of what it shows is wrong; one that shows next to none of it is far off."""
    left = 1.0 - size
    return 1.0 / (left if abs(left) > 0.01 else float(np.copysign(0.01, left)))


def _late(model: Model, point: str, kwh: F64, columns: Mapping[str, F64]) -> Iterator[Fault]:
    """A gain that sets in at some slot, with at least half a day on either side."""
    margin = DAY_SLOTS // 2
    if len(kwh) <= 3 * margin:
        return
    at = np.arange(margin, len(kwh) - margin)  # every slot: beside the one it begins at, a fault that sets in fits badly
    score, size, error = model.score_from(columns, at)
    best = int(np.argmax(score))
    yield _gain(point, kwh, columns, float(score[best]) - LATE_PENALTY, float(size[best]), float(error[best]), int(at[best]))


def _drifts(model: Model, point: str, kwh: F64) -> Iterator[Fault]:
    """An error that grows evenly from some day on."""
    m = len(kwh)
    for since in range(0, m - 2 * DAY_SLOTS, max(m // 6, 1)):
        ramp = np.clip((np.arange(m) - since) / (m - since), 0.0, 1.0)
        size = model.score(model.columns_of(point, ramp * kwh)).size
        grown = _gain_of(size) - 1.0
        if not GAIN_LEAST < abs(grown) < 0.9:
            continue
        wrong = (1.0 - 1.0 / (1.0 + grown * ramp)) * kwh  # of what is shown: not quite a line
        columns = model.columns_of(point, wrong)
        found = model.score(columns)
        gain = _gain_of(found.size * (1.0 - 1.0 / (1.0 + grown)))
        error = found.error * abs(grown) * gain**2
        yield Fault(point, "drift", found.score - LATE_PENALTY, gain, error, since, 0.0, found.size * wrong, columns)


def _clocks(model: Model, point: str, kwh: F64) -> Iterator[Fault]:
    """A clock that is off by minutes or hours: what it shows now belongs to another time."""
    if _steady(kwh):
        return
    for shift_s in SHIFTS_S:
        excess = kwh - shifted(kwh, shift_s)
        columns = model.columns_of(point, excess)
        score = model.score_fixed(columns) - SHIFT_PENALTY
        yield Fault(point, "clock", score, 1.0, 0.0, 0, shift_s, excess, columns)


def shifted(kwh: F64, shift_s: float) -> F64:
    """What a meter would have shown had its clock not been ``shift_s`` late: amounts moved that much earlier. Where that lies
    beyond what is known, what it shows stands."""
    at = np.arange(len(kwh) + 1, dtype=np.float64) + shift_s / SLOT_S
    count = np.interp(at, np.arange(len(kwh) + 1, dtype=np.float64), np.concatenate([[0.0], np.cumsum(kwh)]))
    inside = (at[:-1] >= 0.0) & (at[1:] <= len(kwh))
    return np.where(inside, np.diff(count), kwh)


def _stuck(model: Model, point: str, kwh: F64) -> Iterator[Fault]:
    """A meter that shows the same amount, or nothing, from some slot on, against what it should have shown."""
    same = np.concatenate([[False], np.abs(np.diff(kwh)) <= 1e-9 * np.abs(kwh[1:])])
    showing = np.abs(kwh) > 0.0
    since, held = _longest(same & showing)
    told = held
    if held < HELD_SLOTS or since < DAY_SLOTS or same[:since][showing[:since]].mean() > EQUAL_MOST:
        since, held = _longest(~showing & np.concatenate([[False], ~showing[:-1]]))
        told = 0
        if since < DAY_SLOTS or held < HELD_SLOTS + 1.5 * _longest(~showing[:since])[1]:
            return
    slots = np.arange(len(kwh))
    inside = (slots > since) & (slots < since + held)
    excess = np.where(inside, kwh - _expected(model, point, since), 0.0)
    columns = model.columns_of(point, excess)
    fault = Fault(point, "stuck", 0.0, 1.0, 0.0, since, 0.0, excess, columns, told, inside)
    if told or _vanished(model, fault):
        yield replace(fault, score=_score(model, fault))


def _vanished(model: Model, fault: Fault) -> bool:
    """Whether what a meter that shows nothing should have shown is what its equations miss."""
    for e in model.equations:
        if e.node in fault.columns:
            inside = fault.inside & e.valid
            column = fault.columns[e.node]
            usual = np.median(model.sums(e)[e.valid & ~fault.inside]) if (e.valid & ~fault.inside).any() else 0.0
            missed, due = (model.sums(e) - usual)[inside], column[inside]
            size = float(due @ missed) / max(float(due @ due), 1e-9)
            left = float(((missed - size * due) ** 2).sum()) / max(float((missed**2).sum()), 1e-9)
            if not 0.6 < size < 1.5 or left > 0.3:
                return False
    return True


def _longest(same: Mask) -> tuple[int, int]:
    """Start and length of the longest run of equal values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(np.int8), [0]])))
    if not len(edges):
        return 0, 0
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]) - 1, int(ends[longest] - starts[longest]) + 1


def _expected(model: Model, point: str, since: int) -> F64:
    """What a point should have shown, from its course over the day and its likest neighbour until ``since``; float64[m]."""
    kwh = model.kwh[point]
    before = slice(0, since)
    phase = np.arange(len(kwh)) % DAY_SLOTS
    mean = np.bincount(phase[before], kwh[before], DAY_SLOTS) / np.maximum(np.bincount(phase[before], minlength=DAY_SLOTS), 1)
    columns = [np.ones(len(kwh)), mean[phase]]
    others = [p for p in model.points if p != point and np.ptp(model.kwh[p][before]) > 0.0]
    if others and np.ptp(kwh[before]) > 0.0:
        likeness = [abs(np.corrcoef(kwh[before], model.kwh[p][before])[0, 1]) for p in others]
        columns.append(model.kwh[others[int(np.argmax(likeness))]])
    design = np.column_stack(columns)
    fit, *_ = np.linalg.lstsq(design[before], kwh[before], rcond=None)
    return np.asarray(design @ fit, np.float64)


def _unmetered(model: Model) -> Iterator[Fault]:
    """Load on a section that no meter sees, steady or begun within the window: only energy that vanished speaks for it."""
    for e in model.equations:
        if not e.node.startswith("bus:"):
            continue
        steady = {e.node: np.ones(len(e.valid))}
        whole = model.score(steady)
        score, size, _ = model.score_from(steady, np.arange(len(e.valid)))
        at = int(np.argmax(np.where(size > 0.0, score, 0.0)))
        for told, kwh, since in ((whole.score, whole.size, 0), (float(score[at]) - LATE_PENALTY, float(size[at]), at)):
            if kwh > 0.0:
                after = np.where(np.arange(len(e.valid)) >= since, kwh, 0.0)
                yield Fault(NOBODY, "unmetered", told, 1.0, 0.0, since, 0.0, after, {e.node: after})
