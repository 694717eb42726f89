"""Student's t distribution in plain Python, so that a paper with intervals is built without importing scipy.

Agrees with scipy.stats.t to 1e-10 relative, which `tests/report/test_statistics.py` checks.
"""

from __future__ import annotations

import functools
import math
from statistics import NormalDist

_TINY = 1e-300


def t_upper_tail(t: float, df: float) -> float:
    """P(T > t) for Student's t with `df` > 0 degrees of freedom (need not be whole)."""
    assert df > 0, "Student's t needs at least one degree of freedom"
    if t < 0:
        return 1.0 - t_upper_tail(-t, df)
    if math.isinf(t):
        return 0.0
    square = t * t
    if square < 1:  # below the shoulder the tail is near 1/2 and the centre is the small, exact part
        return 0.5 - 0.5 * _incomplete_beta(0.5, df / 2, square / (df + square), df / (df + square))
    return 0.5 * _incomplete_beta(df / 2, 0.5, df / (df + square), square / (df + square))


@functools.lru_cache(maxsize=512)
def t_quantile(p: float, df: float) -> float:
    """The t with P(T <= t) = p, for 0 < p < 1."""
    assert 0 < p < 1, "a quantile needs a probability strictly between 0 and 1"
    if p < 0.5:
        return -t_quantile(1 - p, df)
    if p == 0.5:
        return 0.0
    upper = 1 - p
    # The tail is convex and the normal quantile lies left of the root, so Newton's steps never overshoot.
    t = NormalDist().inv_cdf(p)
    for _ in range(200):
        step = (t_upper_tail(t, df) - upper) / _density(t, df)
        t += step
        if abs(step) <= 1e-14 * t:
            break
    return t


def _density(t: float, df: float) -> float:
    return math.exp(_log_gamma_step(df / 2) - 0.5 * math.log(df * math.pi) - (df + 1) / 2 * math.log1p(t * t / df))


def _log_gamma_step(a: float) -> float:
    """The log of Gamma(a + 1/2) / Gamma(a), without lgamma's cancellation for large a (Stirling's series)."""
    if a < 50:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    return 0.5 * math.log(a) - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5) + 17 / (14336 * a**7)


def _incomplete_beta(a: float, b: float, x: float, complement: float) -> float:
    """Regularised incomplete beta I_x(a, b) where one of a, b is 1/2; `complement` is 1 - x, exact."""
    if x <= 0:
        return 0.0
    if complement <= 0:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _incomplete_beta(b, a, complement, x)
    log_front = a * _log(x, complement) + b * _log(complement, x)
    log_beta = 0.5 * math.log(math.pi) - _log_gamma_step(max(a, b) if max(a, b) != 0.5 else 0.5)
    return math.exp(log_front - log_beta) / a * _continued_fraction(a, b, x)


def _log(x: float, complement: float) -> float:
    """Natural logarithm of x, precise near 1 as well because 1 - x is known exactly."""
    return math.log(x) if x < 0.5 else math.log1p(-complement)


def _continued_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method."""
    c = 1.0
    d = 1.0 / _nonzero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 20_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _nonzero(1 + term * d)
            c = _nonzero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < 2e-16:
            break
    return value


def _nonzero(x: float) -> float:
    return x if abs(x) > _TINY else _TINY
