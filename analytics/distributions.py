"""Tail probabilities of Student's t and of F, and quantiles of t, by the incomplete beta function."""

from __future__ import annotations

import math

_TINY = 1e-300
_STEPS = 300


def beta_share(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b), 0..1. Source: continued fraction after Lentz, DLMF 8.17.22."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - beta_share(b, a, 1.0 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d, total = 1.0, 0.0, 1.0
    for step in range(_STEPS):
        m = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / _away(1.0 + term * d)
        c = _away(1.0 + term / c)
        total *= c * d
        if step and abs(c * d - 1.0) < 1e-14:
            break
    return front * (total - 1.0)


def t_two_sided(t: float, freedom: float) -> float:
    """Probability that Student's t with ``freedom`` degrees lies further from 0 than ``t``."""
    return 1.0 if freedom <= 0 else beta_share(freedom / 2, 0.5, freedom / (freedom + t * t))


def f_above(f: float, between: float, within: float) -> float:
    """Probability that F with (``between``, ``within``) degrees of freedom is larger than ``f``."""
    return 1.0 if f <= 0 or within <= 0 else beta_share(within / 2, between / 2, within / (within + between * f))


def t_quantile(probability: float, freedom: float) -> float:
    """Half width of the interval about 0 that holds Student's t with ``probability`` 0..1."""
    low, high = 0.0, 1.0
    while t_two_sided(high, freedom) > 1.0 - probability:
        high *= 2.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_two_sided(middle, freedom) > 1.0 - probability else (low, middle)
    return (low + high) / 2


def _away(x: float) -> float:
    return _TINY if abs(x) < _TINY else x
