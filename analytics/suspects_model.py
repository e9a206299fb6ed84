"""A linear model of what meters of one plant have to agree on, and how much better one fault explains what they do not.

Equations are balances of bus sections, AC against DC of rectifier groups, and main against check meters: sums of meter
energies that would be 0 if every meter were exact, nothing were lost and nothing unmetered. What healthy plants leave in them
is a Gaussian prior: every meter's gain within its class, a slack of each equation (loss, unmetered load and its day,
rectifier efficiency) and autocorrelated noise. A fault adds a column of free size; its score is the gain in log-likelihood
(generalised least squares; low-rank part by the Woodbury identity).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from analytics.counters import F64, I64, Mask

ROUNDS = 3  # of estimating noise and what is latent in turn
RUN_LEAST = 96  # slots of an equation that say something
MEMORY_MOST = 0.98  # of the noise from one slot to the next: a level must stay worth something
DAY_SLOTS = 96
NOISE_LEAST = 1e-4  # of the flow: no meters agree better from slot to slot
SPIKE = 8.0  # noise widths beyond which a lone slot is set aside


@dataclass(frozen=True, slots=True, eq=False)
class Equation:
    """``terms`` are (point, coefficient) of its sum; ``slack`` float64[k, m] what a healthy plant may add, each at one standard
    deviation; ``valid`` bool[m] the slots in which all its points were measured. ``throughput_kwh`` is its mean flow a slot."""

    node: str
    terms: tuple[tuple[str, float], ...]
    slack: F64
    valid: Mask
    throughput_kwh: float


class Width(Enum):
    """How the width of noise is estimated: by the median, which a fault moves little, or by the mean square, which says how
    likely all that is left is."""

    MEDIAN = "median"
    MEAN_SQUARE = "mean square"


@dataclass(frozen=True, slots=True)
class Noise:
    """Innovation width in kWh and memory from slot to slot."""

    width_kwh: float
    memory: float


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A column tested: gain in log-likelihood, size with its standard error."""

    score: float
    size: float
    error: float


class Model:
    """Equations of a plant over m slots. ``kwh`` float64[m] by point; ``spread`` one standard deviation of its gain."""

    def __init__(
        self,
        equations: Sequence[Equation],
        kwh: Mapping[str, F64],
        spread: Mapping[str, float],
        known: Sequence[Mapping[str, F64]] = (),
        width: Width = Width.MEDIAN,
    ) -> None:
        told = [e.valid.sum() >= RUN_LEAST for e in equations]
        self.equations = [e for e, enough in zip(equations, told, strict=True) if enough]
        self.kwh, self.spread, self.known = kwh, spread, list(known)
        self.points = list(dict.fromkeys(p for e in self.equations for p, _ in e.terms))
        self.noises = [_noise(self.sums(e), e, Width.MEDIAN) for e in self.equations]
        self._assemble()
        for _ in range(ROUNDS):
            self.noises = [_noise(self.rest(k), e, width) for k, e in enumerate(self.equations)]
            self._assemble()

    def columns_of(self, point: str, shape: F64) -> dict[str, F64]:
        """The column that ``shape`` float64[m] of a point's energy makes in every equation it enters."""
        return {e.node: c * shape for e in self.equations for p, c in e.terms if p == point}

    def score(self, columns: Mapping[str, F64]) -> Scored:
        """A column of free size."""
        hh, hr, lh = self._products(columns)
        hh, hr = hh - float(lh @ self._inverse @ lh), hr - float(lh @ self._solved)
        if hh <= 1e-9:
            return Scored(0.0, 0.0, np.inf)
        return Scored(0.5 * hr * hr / hh, hr / hh, float(1.0 / np.sqrt(hh)))

    def score_fixed(self, columns: Mapping[str, F64]) -> float:
        """Gain in log-likelihood of a column of size 1."""
        hh, hr, lh = self._products(columns)
        return float(hr - lh @ self._solved - 0.5 * (hh - lh @ self._inverse @ lh))

    def score_from(self, columns: Mapping[str, F64], at: I64) -> tuple[F64, F64, F64]:
        """Scores, sizes and errors float64[n] of the column that begins at each slot of ``at`` int64[n] and is 0 before."""
        touched = [k for k, e in enumerate(self.equations) if e.node in columns]
        rows = np.unique(np.concatenate([self._rows[k] for k in touched])) if touched else np.zeros(0, np.int64)
        hh, hr, lh = np.zeros(len(at)), np.zeros(len(at)), np.zeros((len(rows), len(at)))
        for k in touched:
            e = self.equations[k]
            h = np.where(e.valid, columns[e.node], 0.0)
            w, first = self._whiten(k, h), (h * self._opening[k])[at]
            hh += _tail(w * w)[at] + first * first
            hr += _tail(w * self._r[k])[at] + first * self._r[k][at]
            lh[np.searchsorted(rows, self._rows[k])] += _tail(w * self._low[k])[:, at] + first * self._low[k][:, at]
        hh = hh - (lh * (self._inverse[np.ix_(rows, rows)] @ lh)).sum(axis=0)
        hr = hr - self._solved[rows] @ lh
        good = hh > 1e-9
        safe = np.where(good, hh, 1.0)
        return np.where(good, 0.5 * hr * hr / safe, 0.0), np.where(good, hr / safe, 0.0), np.where(good, safe**-0.5, np.inf)

    def likelihood(self) -> float:
        """Logarithm of how likely all sums are, noise included; of columns known to be there the best size."""
        latent = len(self._solved) - len(self.known)
        sizes = np.log(np.diag(self._factor)[:latent]).sum()
        fit = sum(float(r @ r) for r in self._r) - float(self._right @ self._solved)
        opened = sum(float(np.log(o[e.valid]).sum()) for o, e in zip(self._opening, self.equations, strict=True))
        return float(opened - sizes - 0.5 * fit)

    def without(self, *columns: Mapping[str, F64], width: Width = Width.MEDIAN) -> Model:
        """The model in which columns are known to be there, of whatever size."""
        return Model(self.equations, self.kwh, self.spread, [*self.known, *columns], width)

    def _assemble(self) -> None:
        """Whitened sums, whitened columns of what is latent, and the inverse of their covariance."""
        latent = len(self.points)
        starts = []
        for e in self.equations:
            starts.append(latent)
            latent += len(e.slack)
        total = latent + len(self.known)
        place = {p: i for i, p in enumerate(self.points)}
        self._opening = [self._opening_of(k) for k in range(len(self.equations))]
        self._r, self._low, self._rows, self._plain = [], [], [], []
        gram, right = np.eye(total), np.zeros(total)
        for k, e in enumerate(self.equations):
            rows: list[int] = [place[p] for p, _ in e.terms] + list(range(starts[k], starts[k] + len(e.slack)))
            columns = [c * self.spread[p] * self.kwh[p] for p, c in e.terms] + list(e.slack)
            for i, known in enumerate(self.known):
                if e.node in known:
                    rows.append(latent + i)
                    columns.append(1e3 * known[e.node])
            self._plain.append(np.array(columns))
            r, low = self._whiten(k, self.sums(e)), self._whiten(k, self._plain[k])
            self._r.append(r)
            self._low.append(low)
            self._rows.append(np.array(rows, np.int64))
            gram[np.ix_(rows, rows)] += low @ low.T
            right[rows] += low @ r
        self._inverse, self._factor, self._right = np.linalg.inv(gram), np.linalg.cholesky(gram), right
        self._solved = self._inverse @ right

    def sums(self, e: Equation) -> F64:
        """What an equation leaves, kWh float64[m]; 0 where it is not valid."""
        total: F64 = np.sum([c * self.kwh[p] for p, c in e.terms], axis=0)
        return np.where(e.valid, total, 0.0)

    def _products(self, columns: Mapping[str, F64]) -> tuple[float, float, F64]:
        hh = hr = 0.0
        lh = np.zeros(len(self._solved))
        for k, e in enumerate(self.equations):
            if e.node in columns:
                w = self._whiten(k, columns[e.node])
                hh += float(w @ w)
                hr += float(w @ self._r[k])
                lh[self._rows[k]] += self._low[k] @ w
        return hh, hr, lh

    def _whiten(self, k: int, columns: F64) -> F64:
        """Innovations in widths of the noise; float64[..., m]."""
        e, noise = self.equations[k], self.noises[k]
        clean = np.where(e.valid, columns, 0.0)
        found = clean * self._opening[k]
        found[..., 1:] -= np.where(_follows(e.valid), noise.memory * clean[..., :-1] / noise.width_kwh, 0.0)
        return np.asarray(found, np.float64)

    def _opening_of(self, k: int) -> F64:
        """Weight of a slot by itself: one that follows another is an innovation, one that opens a run has all of the noise."""
        e, noise = self.equations[k], self.noises[k]
        weight = np.full(len(e.valid), float(np.sqrt(1.0 - noise.memory**2)) / noise.width_kwh)
        weight[1:][_follows(e.valid)] = 1.0 / noise.width_kwh
        return weight

    def rest(self, k: int) -> F64:
        """What is left of an equation's sum, kWh float64[m], when all that is latent has its most likely size."""
        e = self.equations[k]
        return np.where(e.valid, self.sums(e) - self._solved[self._rows[k]] @ self._plain[k], 0.0)


def _noise(rest: F64, e: Equation, width: Width) -> Noise:
    """Noise of what is left of an equation."""
    follows = _follows(e.valid)
    before, after = rest[:-1][follows], rest[1:][follows]
    floor = NOISE_LEAST * e.throughput_kwh + 1e-6
    if len(before) < RUN_LEAST // 2:
        return Noise(max(_width(rest[e.valid]), floor), 0.0)
    # memory by what is left about each day's own median: a level that a fault moves is none of it
    level = rest - _daily_median(rest)
    quiet = np.abs(level) < SPIKE * max(_width(level[e.valid]), floor)
    quiet = quiet[1:][follows] & quiet[:-1][follows]
    b, a = level[:-1][follows][quiet], level[1:][follows][quiet]
    memory = float(np.clip((b @ a) / max(float(b @ b), 1e-12), 0.0, MEMORY_MOST))
    steps = after - memory * before
    return Noise(max(_width(steps) if width is Width.MEDIAN else float(np.sqrt(np.mean(steps**2))), floor), memory)


def _follows(valid: Mask) -> Mask:
    both: Mask = valid[1:] & valid[:-1]
    return both


def _tail(values: F64) -> F64:
    """Sums of what comes after each slot, along the last axis."""
    whole = np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]
    return np.asarray(whole - values, np.float64)


def _width(values: F64) -> float:
    """Standard deviation by the median, which outliers do not move."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values)))) if len(values) else 0.0


def _daily_median(values: F64) -> F64:
    """Median of the day of slots that each slot is in."""
    block: I64 = np.arange(len(values)) // DAY_SLOTS
    medians = np.array([np.median(values[block == b]) for b in range(int(block[-1]) + 1)])
    return np.asarray(medians[block], np.float64)
