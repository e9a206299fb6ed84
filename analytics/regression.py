"""Ordinary least squares of energy on relevant variables: fit statistics, predictions and how far they may be off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analytics.counters import F64, Mask
from analytics.distributions import f_above, t_quantile, t_two_sided

SERIAL_MIN = 30  # fewer points say nothing about what one has to do with the next


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """y = intercept + slopes . x over n points. ``least`` and ``most`` [k] are the range of the variables, ``rmse`` the
    standard deviation of a residual (n - k - 1 degrees of freedom), ``serial`` 0..1 the correlation of neighbouring ones."""

    names: tuple[str, ...]
    intercept: float
    slopes: F64
    slope_errors: F64
    slope_p: F64
    n: int
    r2: float
    f: float
    f_p: float
    rmse: float
    y_mean: float
    x_mean: F64
    least: F64
    most: F64
    serial: float
    _spread: F64

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the residuals."""
        return self.n - len(self.names) - 1

    @property
    def cv_rmse_percent(self) -> float:
        """CV(RMSE): ``rmse`` of the mean of y, in %."""
        return 100.0 * self.rmse / abs(self.y_mean) if self.y_mean else float("inf")

    def predict(self, x: F64) -> F64:
        """Expected y [m] at x [m, k]."""
        found: F64 = self.intercept + x @ self.slopes
        return found

    def half_width(self, x: F64, probability: float) -> float:
        """Half width of the interval that holds the sum of y over the m points x [m, k] with ``probability``: scatter of the
        points and uncertainty of the fit. Neighbours that resemble one another count for less, as in ASHRAE guideline 14."""
        m, apart = len(x), (x - self.x_mean).sum(axis=0)
        fewer = (1.0 - self.serial) / (1.0 + self.serial)
        variance = m + m * m / self.n + float(apart @ self._spread @ apart)
        freedom = max(self.n * fewer - len(self.names) - 1, 1.0)
        return t_quantile(probability, freedom) * self.rmse * float(np.sqrt(variance / fewer))

    def inside(self, x: F64, beyond_percent: float) -> Mask:
        """Which of the points x [m, k] lie in the range of the fit, widened by a share of it on either side."""
        margin = beyond_percent / 100 * (self.most - self.least)
        found: Mask = np.all((x >= self.least - margin) & (x <= self.most + margin), axis=1)
        return found


def fit(names: tuple[str, ...], x: F64, y: F64) -> Regression | None:
    """Regression of y [n] on x [n, k]. None where it has no answer: no freedom left, a variable that stands still or
    follows from the others. Source: ISO 50006, domain vector B1."""
    n, k = x.shape
    if n < k + 2 or not k:
        return None
    x_mean, y_mean = x.mean(axis=0), float(y.mean())
    centred = x - x_mean
    scale = np.sqrt((centred**2).sum(axis=0))
    if (scale <= 1e-12 * np.maximum(np.abs(x_mean), 1e-30) * np.sqrt(n)).any():
        return None
    unit = centred / scale
    if np.linalg.cond(unit) > 1e6:
        return None
    inverse = np.linalg.inv(unit.T @ unit)
    slopes = inverse @ unit.T @ (y - y_mean) / scale
    residual = y - y_mean - centred @ slopes
    freedom = n - k - 1
    lost, total = float(residual @ residual), float(((y - y_mean) ** 2).sum())
    if total <= 0:
        return None
    variance = lost / freedom
    spread = inverse / np.outer(scale, scale)
    errors = np.sqrt(variance * np.diag(spread))
    explained = total - lost
    f = explained / k / variance if variance > 0 else float("inf")
    p = np.array([t_two_sided(float(b / e), freedom) if e > 0 else 0.0 for b, e in zip(slopes, errors, strict=True)])
    f_p = f_above(f, k, freedom) if np.isfinite(f) else 0.0
    intercept = y_mean - float(x_mean @ slopes)
    serial = _serial(residual, lost) if n >= SERIAL_MIN else 0.0
    least, most = x.min(axis=0), x.max(axis=0)
    r2 = 1.0 - lost / total
    rmse = float(np.sqrt(variance))
    return Regression(
        names, intercept, slopes, errors, p, n, r2, f, f_p, rmse, y_mean, x_mean, least, most, serial, spread
    )  # fmt: skip


def _serial(residual: F64, lost: float) -> float:
    """Correlation of neighbouring residuals; what points the other way would narrow the interval and is not believed."""
    return float(np.clip(residual[1:] @ residual[:-1] / lost, 0.0, 0.95)) if lost > 0 else 0.0
