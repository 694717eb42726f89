"""Every number agrees with scipy, or with a value worked out by hand where scipy has none."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy import stats

from papergen.report.statistics import (
    Untestable,
    bootstrap_interval,
    cliffs_delta,
    cohens_dz,
    holm,
    mcnemar,
    mean,
    median,
    paired_t,
    permutation,
    sd,
    small_sample_warning,
    t_interval,
    t_quantile,
    t_upper_tail,
    welch_t,
    wilcoxon,
)

RNG = np.random.default_rng(7)
A = RNG.normal(1.0, 2.0, 24).tolist()
B = RNG.normal(0.2, 1.0, 24).tolist()


@pytest.mark.parametrize("df", [1, 2, 3, 4.5, 9, 30, 99, 100, 101, 250.3, 1000, 100_000])
def test_student_agrees_with_scipy(df: float) -> None:
    for t in (0.0, 0.1, 0.99, 1.01, 2.5, 7.0, 40.0):
        assert t_upper_tail(t, df) == pytest.approx(stats.t.sf(t, df), rel=1e-10)
        assert t_upper_tail(-t, df) == pytest.approx(stats.t.cdf(t, df), rel=1e-10)
    for p in (0.025, 0.4, 0.5, 0.9, 0.975, 0.9995):
        assert t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-10, abs=1e-12)


def test_mean_median_and_deviation() -> None:
    assert mean([0.1] * 10) == 0.1
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5
    assert sd(A) == pytest.approx(np.std(A, ddof=1), rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 5, 24])
def test_t_interval_is_scipys(n: int) -> None:
    interval = t_interval(A[:n])
    assert interval is not None
    expected = stats.t.interval(0.95, n - 1, loc=np.mean(A[:n]), scale=stats.sem(A[:n]))
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-10)


def test_one_value_has_no_interval() -> None:
    assert t_interval([3.0]) is None
    assert bootstrap_interval([3.0]) is None


@pytest.mark.parametrize(("method", "name"), [("bca", "BCa"), ("percentile", "percentile")])
@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_bootstrap_is_scipys_with_the_same_draws(method: str, name: str, statistic: object) -> None:
    data = RNG.exponential(2.0, 30)
    ours = bootstrap_interval(data.tolist(), statistic, method=method, num_resamples=2000)  # type: ignore[arg-type]
    theirs = stats.bootstrap(
        (data,), statistic, method=name, n_resamples=2000, rng=np.random.default_rng(0)
    ).confidence_interval
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_bootstrap_covers_as_often_as_it_promises() -> None:
    hits = 0
    for trial in range(300):
        sample = np.random.default_rng(trial).exponential(1.0, 40)
        interval = bootstrap_interval(sample.tolist(), num_resamples=500)
        assert interval is not None
        hits += interval.low <= 1.0 <= interval.high
    assert 0.89 <= hits / 300 <= 0.985


def test_bootstrap_of_equal_values_is_that_value() -> None:
    interval = bootstrap_interval([2.0] * 25)
    assert interval is not None
    assert (interval.low, interval.high) == (2.0, 2.0)


def test_paired_and_welch_t_are_scipys() -> None:
    ours, theirs = paired_t(A, B), stats.ttest_rel(A, B)
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-10)
    ours, theirs = welch_t(A, B[:9]), stats.ttest_ind(A, B[:9], equal_var=False)
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-10)


def test_welch_of_few_and_tied_values_is_exact() -> None:
    """T = -sqrt(2) with 4 degrees of freedom, where Student's distribution has a closed form."""
    found = welch_t([0.55, 0.6, 0.6], [0.6, 0.6, 0.65])
    assert (found.statistic, found.p) == pytest.approx((-math.sqrt(2), 1 - 4 / (3 * math.sqrt(3))), rel=1e-9)
    paired = paired_t([0.55, 0.6, 0.6], [0.6, 0.6, 0.65])  # t = -2 with 2 degrees of freedom
    assert (paired.statistic, paired.p) == pytest.approx((-2, 1 - 2 / math.sqrt(6)), rel=1e-9)


def test_one_sample_that_does_not_vary_can_be_tested() -> None:
    found = welch_t([0.5, 0.5, 0.5], [0.5, 0.6, 0.7])  # all the error is the other's: t = -sqrt(3), 2 degrees
    assert (found.statistic, found.p) == pytest.approx((-math.sqrt(3), 1 - math.sqrt(3 / 5)), rel=1e-9)


@pytest.mark.parametrize("test", [paired_t, welch_t])
@pytest.mark.parametrize(
    ("a", "b", "p", "reason"),
    [
        ([0.5, 0.5], [0.5, 0.5], 1.0, Untestable.EQUAL),  # counts in its family, as it was planned before the outcome
        ([0.7, 0.7, 0.7], [0.6, 0.6, 0.6], None, Untestable.CONSTANT),
    ],
)
def test_what_does_not_vary_cannot_be_tested(
    test: Any, a: list[float], b: list[float], p: float | None, reason: Untestable
) -> None:
    found = test(a, b)
    assert (found.p, found.untestable) == (p, reason)
    assert math.isnan(found.statistic)


def test_equal_differences_are_no_certainty() -> None:
    assert paired_t([0.50, 0.75], [0.25, 0.50]).untestable is Untestable.CONSTANT
    assert paired_t([2.0, 3.0, 4.0], [1.0, 2.0, 3.0]).p is None
    assert paired_t([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]).untestable is Untestable.EQUAL


def test_wilcoxon_is_scipys_and_survives_no_difference() -> None:
    assert wilcoxon(A, B).p == pytest.approx(stats.wilcoxon(A, B).pvalue, rel=1e-12)
    assert wilcoxon([1.0, 2.0], [1.0, 2.0]).p == 1.0


@pytest.mark.parametrize(("only_a", "only_b"), [(9, 1), (4, 4), (0, 7), (12, 5), (0, 0)])
def test_mcnemar_is_the_exact_binomial_test(only_a: int, only_b: int) -> None:
    a = [True] * only_a + [False] * only_b + [True] * 5
    b = [False] * only_a + [True] * only_b + [True] * 5
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar(a, b).p == pytest.approx(expected, rel=1e-12)


def _mean_difference(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    return np.mean(x - y, axis=axis)


def test_permutation_is_exact_for_few_pairs() -> None:
    theirs = stats.permutation_test((A[:9], B[:9]), _mean_difference, permutation_type="samples", vectorized=True)
    assert permutation(A[:9], B[:9]).p == pytest.approx(theirs.pvalue, rel=1e-12)


def test_permutation_by_chance_is_near_the_t_test_and_never_zero() -> None:
    assert permutation(A, B).p == pytest.approx(paired_t(A, B).p, abs=0.02)
    assert permutation([x + 100 for x in B], B).p == pytest.approx(1e-4)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
    assert holm([0.01, None, 0.03]) == [pytest.approx(0.02), None, pytest.approx(0.03)], "None counts for nothing"


def test_effect_sizes_by_hand() -> None:
    assert cohens_dz([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]) == pytest.approx(2.0)
    assert cliffs_delta([1, 2, 3], [2, 2, 2]) == 0
    assert cliffs_delta([5, 6], [1, 2, 3]) == 1
    by_hand = np.mean(np.sign(np.subtract.outer(A, B)))
    assert cliffs_delta(A, B) == pytest.approx(by_hand)


def test_too_small_samples_are_named() -> None:
    assert "n = 3" in small_sample_warning("t", 3)
    assert "fewer than 6" in small_sample_warning("ranks", 5)
    assert "too narrow" in small_sample_warning("bootstrap", 19)
    assert (
        small_sample_warning("t", 5) == small_sample_warning("ranks", 6) == small_sample_warning("bootstrap", 20) == ""
    )


def test_what_needs_no_interval_imports_neither_numpy_nor_scipy() -> None:
    code = "import sys, papergen.report.statistics as s; s.mean([1,2]); s.sd([1,2]); s.t_interval([1]); s.holm([.1]); "
    code += "print([m for m in ('numpy', 'scipy', 'torch', 'matplotlib') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_rounding_of_floats_is_no_spread() -> None:
    a, b = ([100 * share for share in shares] for shares in ((0.762, 0.772, 0.752), (0.712, 0.722, 0.702)))
    differences = [x - y for x, y in zip(a, b, strict=True)]
    assert len(set(differences)) > 1  # as floats
    assert sd(differences) == 0
    assert sd([1.0, 1.0 + 1e-9]) > 0
    assert paired_t(a, b).untestable is Untestable.CONSTANT
