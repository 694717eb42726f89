"""Intervals, paired tests, corrections and effect sizes for a few seeds or a few hundred prompts.

Where the standard error is zero, nothing can be tested and a t test has no p-value. Resampling uses a fixed seed: the
same results give the same paper.

numpy and scipy are imported where they are needed: a paper without intervals is built without them (scipy.special takes
about 0.1 s to import).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import NormalDist
from typing import Any, Literal

LEVEL = 0.95
NUM_RESAMPLES = 9999
ROUNDING = 1e-12
"""Relative differences below this come from floating-point arithmetic, not from what was measured."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of its length."""
        return (self.high - self.low) / 2


class Untestable(Enum):
    """Why a difference cannot be tested."""

    SINGLE = "one value rests on a single unit"
    EQUAL = "no unit differs"
    CONSTANT = "every unit differs by the same"
    """Between independent samples: neither varies, so their difference does not."""

    @property
    def sentence(self) -> str:
        """What a person reads."""
        return f"cannot be tested: {self.value}, so nothing is known of how the difference varies"


@dataclass(frozen=True, kw_only=True)
class Test:
    """The outcome of a two-sided test of "no difference"."""

    __test__ = False  # pytest must not collect it

    name: str
    statistic: float
    """NaN where there is no p-value."""
    p: float | None
    """None where nothing can be tested; `untestable` says why. 1 where no unit differs."""
    n: int
    """Pairs (or both samples' sizes together in an unpaired test)."""
    untestable: Untestable | None = None
    warning: str = ""
    """Why the p-value deserves little trust, "" when nothing speaks against it."""


def t_upper_tail(t: float, df: float) -> float:
    """P(T > t) for Student's t with `df` > 0 degrees of freedom (need not be whole)."""
    from scipy.special import stdtr

    return float(stdtr(df, -t))


def t_quantile(p: float, df: float) -> float:
    """The t with P(T <= t) = p, for 0 < p < 1."""
    from scipy.special import stdtrit

    return float(stdtrit(df, p))


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean, exactly summed."""
    assert values, "the mean of nothing is not a number"
    return math.fsum(values) / len(values)


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones."""
    assert values, "the median of nothing is not a number"
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def sd(values: Sequence[float]) -> float:
    """Standard deviation of the sample (divisor n - 1); needs two values.

    0 where the values differ by the rounding of floats alone: the differences 76.2 - 71.2 and 77.2 - 72.2 are equal.
    """
    assert len(values) > 1, "a deviation needs two values"
    centre = mean(values)
    spread = math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))
    return spread if spread > ROUNDING * max(map(abs, values)) else 0.0


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Student's t interval of the mean; None for fewer than two values, about which no spread is known."""
    if len(values) < 2:
        return None
    half = t_quantile((1 + level) / 2, len(values) - 1) * sd(values) / math.sqrt(len(values))
    centre = mean(values)
    return Interval(centre - half, centre + half)


def bootstrap_interval(
    values: Sequence[float],
    statistic: Callable[..., Any] | None = None,
    *,
    method: Literal["bca", "percentile"] = "bca",
    level: float = LEVEL,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Bootstrap interval of `statistic(array, axis=...)` (default: the mean); None for fewer than two values.

    "bca" is Efron's bias-corrected and accelerated interval; where all resamples agree it is that single point.
    Below about 20 values both are too narrow: `small_sample_warning("bootstrap", n)` says so.
    """
    import numpy as np

    if len(values) < 2:
        return None
    compute = np.mean if statistic is None else statistic
    data = np.asarray(values, dtype=float)
    n = data.size
    draws = np.random.default_rng(seed).integers(0, n, (num_resamples, n))
    replicates = np.asarray(compute(data[draws], axis=-1))
    tails = [(1 - level) / 2, (1 + level) / 2]
    if method == "bca" and replicates.min() < replicates.max():
        observed = float(compute(data, axis=-1))
        below = (np.count_nonzero(replicates < observed) + np.count_nonzero(replicates <= observed)) / 2
        normal = NormalDist()
        bias = normal.inv_cdf(min(max(below / num_resamples, 0.5 / num_resamples), 1 - 0.5 / num_resamples))
        left_out = np.array([float(compute(np.delete(data, index), axis=-1)) for index in range(n)])
        lean = left_out.mean() - left_out
        spread = float((lean**2).sum())
        acceleration = float((lean**3).sum()) / (6 * spread**1.5) if spread else 0.0
        scores = [bias + normal.inv_cdf(tail) for tail in tails]
        tails = [normal.cdf(bias + score / (1 - acceleration * score)) for score in scores]
    low, high = np.quantile(replicates, tails)
    return Interval(float(low), float(high))


def paired_t(a: Sequence[float], b: Sequence[float]) -> Test:
    """Student's paired t test of equal means; without a p-value where all differences are equal."""
    differences = _paired(a, b)
    n = len(differences)
    return _t_test("paired t", mean(differences), sd(differences) / math.sqrt(n), n - 1, n=n, smallest=n)


def welch_t(a: Sequence[float], b: Sequence[float]) -> Test:
    """Welch's t test of equal means, for samples that are not paired; without a p-value where neither varies."""
    error = math.sqrt(math.fsum(sd(sample) ** 2 / len(sample) for sample in (a, b)))
    gap = mean(a) - mean(b)
    return _t_test("Welch t", gap, error, welch_df(a, b), n=len(a) + len(b), smallest=min(len(a), len(b)))


def _t_test(name: str, gap: float, error: float, df: float, *, n: int, smallest: int) -> Test:
    if error == 0:  # t is infinite or 0/0; as a limit p would be 0, as if two equal numbers were certainty
        if gap:
            return Test(name=name, statistic=math.nan, p=None, n=n, untestable=Untestable.CONSTANT)
        # p = 1 and not None: a test that was planned counts in its family whatever came out, or the others gain by it.
        return Test(name=name, statistic=math.nan, p=1.0, n=n, untestable=Untestable.EQUAL)
    statistic = gap / error
    p = min(1.0, 2 * t_upper_tail(abs(statistic), df))
    return Test(name=name, statistic=statistic, p=p, n=n, warning=small_sample_warning("t", smallest))


def welch_df(a: Sequence[float], b: Sequence[float]) -> float:
    """Welch and Satterthwaite's degrees of freedom of the difference of two means."""
    parts = [sd(sample) ** 2 / len(sample) for sample in (a, b)]
    below = math.fsum(part**2 / (len(sample) - 1) for part, sample in zip(parts, (a, b), strict=True))
    return sum(parts) ** 2 / below if below else float(len(a) + len(b) - 2)


def wilcoxon(a: Sequence[float], b: Sequence[float]) -> Test:
    """Wilcoxon's signed-rank test; pairs without a difference are dropped, as Wilcoxon did."""
    differences = [difference for difference in _paired(a, b) if difference != 0]
    n = len(differences)
    if n == 0:
        return Test(name="Wilcoxon", statistic=0.0, p=1.0, n=0, warning="no pair differs")
    from scipy import stats

    outcome = stats.wilcoxon(differences)
    statistic, p = float(outcome.statistic), float(outcome.pvalue)
    return Test(name="Wilcoxon", statistic=statistic, p=p, n=n, warning=small_sample_warning("ranks", n))


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> Test:
    """McNemar's exact test on paired yes/no outcomes; only the pairs that disagree speak."""
    assert len(a) == len(b), "a paired test needs pairs"
    only_a = sum(bool(x) and not y for x, y in zip(a, b, strict=True))
    only_b = sum(bool(y) and not x for x, y in zip(a, b, strict=True))
    disagree = only_a + only_b
    tail = sum(math.comb(disagree, k) for k in range(min(only_a, only_b) + 1))
    p = min(1.0, 2 * tail / 2**disagree)
    warning = small_sample_warning("ranks", disagree) if disagree else "no pair disagrees"
    return Test(name="McNemar", statistic=float(min(only_a, only_b)), p=p, n=len(a), warning=warning)


def permutation(a: Sequence[float], b: Sequence[float], *, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> Test:
    """Paired permutation test of the mean difference: all 2^n sign flips up to n = 13, else `num_resamples` of them."""
    import numpy as np

    differences = np.asarray(_paired(a, b))
    n = differences.size
    observed = abs(float(differences.sum()))
    is_exact = 2**n <= max(num_resamples, 1)
    if is_exact:
        flips = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        flips = np.random.default_rng(seed).integers(0, 2, (num_resamples, n))
    sums = np.abs((1 - 2 * flips) @ differences)
    # A sum that equals the observed one but for rounding is as extreme.
    hits = int(np.count_nonzero(sums >= observed * (1 - 1e-12)))
    p = hits / len(flips) if is_exact else (hits + 1) / (num_resamples + 1)
    return Test(
        name="permutation",
        statistic=float(differences.mean()),
        p=min(1.0, p),
        n=n,
        warning=small_sample_warning("ranks", n),
    )


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjusted p-values, in the order given: each may be compared with the level itself.

    What could not be tested (None) stays None and does not count.
    """
    order = sorted((p, index) for index, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        adjusted[index] = highest
    return adjusted


def cohens_dz(a: Sequence[float], b: Sequence[float]) -> float:
    """Cohen's d_z: the mean paired difference in units of the differences' deviation (infinite when that is zero)."""
    differences = _paired(a, b)
    centre, spread = mean(differences), sd(differences)
    if spread == 0:
        return 0.0 if centre == 0 else math.copysign(math.inf, centre)
    return centre / spread


def cliffs_delta(a: Sequence[float], b: Sequence[float]) -> float:
    """Cliff's delta: P(x > y) - P(x < y) for x from `a` and y from `b`; in [-1, 1]."""
    assert a, "an effect size needs values"
    assert b, "an effect size needs values"
    ordered = sorted(b)
    above = sum(bisect.bisect_left(ordered, x) for x in a)
    below = sum(len(ordered) - bisect.bisect_right(ordered, x) for x in a)
    return (above - below) / (len(a) * len(b))


def small_sample_warning(kind: Literal["t", "ranks", "bootstrap"], n: int) -> str:
    """A sentence when `n` is too small for that kind of inference, else ""."""
    if kind == "t" and n < 5:
        return f"n = {n}: Student's t leans on normality here; 5 or more are better"
    if kind == "ranks" and n < 6:
        return f"n = {n}: no outcome can reach p < 0.05 with fewer than 6 informative pairs"
    if kind == "bootstrap" and n < 20:
        return f"n = {n}: a bootstrap interval is too narrow below about 20 values"
    return ""


def _paired(a: Sequence[float], b: Sequence[float]) -> list[float]:
    assert len(a) == len(b), "a paired test needs pairs"
    assert len(a) > 1, "a paired test needs two pairs"
    return [x - y for x, y in zip(a, b, strict=True)]
