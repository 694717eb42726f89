"""Numbers made from other numbers, with an interval where an honest one exists: differences, ratios, the best row, and
whether a row differs from another by more than noise.

Two values are paired when they rest on the same units (the same prompts of the same data, the same seeds); then the
units' differences are what is averaged and tested. Otherwise Welch's method takes the two as independent samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from papergen.core.errors import PapergenError
from papergen.core.phrase import Phrase
from papergen.report import statistics
from papergen.report.results import NotApplicableError, Results
from papergen.report.values import Text, Value, summary, value_of

TESTS = ("t", "wilcoxon", "permutation", "mcnemar")


def paired(a: Value, b: Value) -> tuple[tuple[int, ...], list[float], list[float]] | None:
    """The ids and both columns of the units that the values share; None when there are fewer than two."""
    if not a.population or a.population != b.population:
        return None
    if a.population == "seeds" and a.sample_ids != b.sample_ids:
        return None
    of_b = dict(zip(b.sample_ids, b.samples, strict=True))
    shared = [(unit, x, of_b[unit]) for unit, x in zip(a.sample_ids, a.samples, strict=True) if unit in of_b]
    if len(shared) < 2:
        return None
    return tuple(unit for unit, _, _ in shared), [x for _, x, _ in shared], [y for _, _, y in shared]


def difference(a: Value, b: Value) -> Value:
    """`a - b`: a paired interval where they are paired, else Welch's; none when either rests on a single unit, and none
    where no unit differs by more or less than the others.
    """
    return total(a, b.scaled(-1), key=f"{a.key} - {b.key}")


def total(a: Value, b: Value, key: str = "") -> Value:
    """`a + b`, with an interval as for a difference; both must count in the same unit."""
    if a.unit != b.unit:
        raise PapergenError(f"{a.key} counts in {a.unit or 'no unit'} and {b.key} in {b.unit or 'no unit'}.")
    base = replace(_joined(a, b, key or f"{a.key} + {b.key}", a.mean + b.mean), unit=a.unit)
    pairs = paired(a, b)
    if pairs is not None:
        ids, xs, ys = pairs
        fields = summary([x + y for x, y in zip(xs, ys, strict=True)])
        if not fields["sd"]:  # all sums are equal: how they vary is unknown, and an interval of no width would deny it
            fields |= {"low": None, "high": None}
        return replace(base, **fields, over=a.over, sample_ids=ids, population=a.population)
    if a.sd is None or b.sd is None:
        return base
    error = math.sqrt(a.sd**2 / a.n + b.sd**2 / b.n)
    if error == 0:
        return base
    half = statistics.t_quantile((1 + statistics.LEVEL) / 2, statistics.welch_df(a.samples, b.samples)) * error
    return replace(base, low=base.mean - half, high=base.mean + half, n=min(a.n, b.n), over=a.over)


def ratio(a: Value, b: Value) -> Value:
    """`a / b` of the means with Fieller's interval; none when either rests on one unit, when neither varies or when `b`
    may well be zero.
    """
    if b.mean == 0:
        raise PapergenError(f"{b.key} is zero: nothing can be divided by it.")
    unit = "" if a.unit == b.unit else f"{a.unit or '1'}/({b.unit})" if b.unit else a.unit
    base = replace(_joined(a, b, f"{a.key} / {b.key}", a.mean / b.mean), unit=unit)
    if a.sd is None or b.sd is None:
        return base
    pairs = paired(a, b)
    xs, ys = (list(a.samples), list(b.samples)) if pairs is None else pairs[1:]
    mean_x, mean_y = statistics.mean(xs), statistics.mean(ys)
    var_x, var_y = statistics.sd(xs) ** 2 / len(xs), statistics.sd(ys) ** 2 / len(ys)
    together = 0.0
    if pairs is not None:
        products = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
        together = products / (len(xs) - 1) / len(xs)
    t = statistics.t_quantile((1 + statistics.LEVEL) / 2, min(len(xs), len(ys)) - 1)
    doubt = t**2 * var_y / mean_y**2
    of_means = mean_x / mean_y
    under_root = (
        var_x - 2 * of_means * together + of_means**2 * var_y - t**2 / mean_y**2 * (var_x * var_y - together**2)
    )
    nothing = statistics.ROUNDING * (var_x + of_means**2 * var_y)  # neither varies, or both by the same factor
    if doubt >= 1 or under_root <= nothing:
        return base
    centre = of_means - t**2 * together / mean_y**2
    reach = t / abs(mean_y) * math.sqrt(under_root)
    low, high = (centre - reach) / (1 - doubt), (centre + reach) / (1 - doubt)
    return replace(base, mean=of_means, low=low, high=high, n=min(len(xs), len(ys)), over=a.over)


def compare(a: Value, b: Value, test: str = "t") -> statistics.Test:
    """Whether two values differ: a paired test where they are paired, else Welch's.

    There is no p-value where a value rests on one unit, and none of a t test where nothing varies.
    """
    if any(value.n < 2 or not value.samples for value in (a, b)):
        return statistics.Test(name=test, statistic=math.nan, p=None, n=1, untestable=statistics.Untestable.SINGLE)
    pairs = paired(a, b)
    if pairs is None:
        if test != "t":
            raise PapergenError(f"{a.key} and {b.key} are not paired: the test {test} needs pairs.")
        return statistics.welch_t(a.samples, b.samples)
    _, xs, ys = pairs
    if test == "mcnemar":
        outcomes = sorted({*xs, *ys})
        if len(outcomes) > 2:
            raise PapergenError(f"{a.key} and {b.key} are no yes/no outcomes: McNemar's test is for those.")
        return statistics.mcnemar([x == outcomes[-1] for x in xs], [y == outcomes[-1] for y in ys])
    tests = {"t": statistics.paired_t, "wilcoxon": statistics.wilcoxon, "permutation": statistics.permutation}
    return tests[test](xs, ys)


def verdicts(
    values: Mapping[str, Value],
    baseline: str,
    *,
    better: str = Phrase("better", "更好"),
    worse: str = Phrase("worse", "更差"),
) -> dict[str, str]:
    """Row -> better, worse, or within noise; "" for the baseline, and why where nothing can be tested.

    Two-sided t tests, paired where the rows share their seeds (rounds), with Holm's correction over the rows: with a
    dozen rows one in twenty would differ by chance else.
    """
    base = values[baseline]
    tests = {row: compare(value, base) for row, value in values.items() if row != baseline}
    found = dict.fromkeys(values, "")
    for (row, test), p in zip(tests.items(), statistics.holm([test.p for test in tests.values()]), strict=True):
        if p is None or test.untestable is not None:
            is_single = test.untestable is statistics.Untestable.SINGLE
            found[row] = Phrase("one round", "仅一轮") if is_single else Phrase("no spread", "无波动，无法检验")
        elif p >= 1 - statistics.LEVEL:
            found[row] = Phrase("within noise", "无显著差异")
        else:
            found[row] = better if is_better(values[row], base) else worse
    return found


def is_better(a: Value, b: Value) -> bool:
    """Whether `a` is better than `b` in the direction of the metric; PapergenError when it has none."""
    if a.direction == "none" or a.direction != b.direction:
        raise PapergenError(f"{a.key}: neither higher nor lower is better, so nothing outperforms anything here.")
    return a.mean > b.mean if a.direction == "higher" else a.mean < b.mean


def extreme(
    results: Results,
    which: Literal["best", "min", "max"],
    experiment: str,
    metric: str,
    rows: Sequence[str] | None = None,
) -> tuple[str, Value]:
    """The row with the best, smallest or largest mean and its value; the row that a metric aims at takes no part."""
    how = results.metric(experiment, metric)
    found: dict[str, Value] = {}
    aim: Value | None = None
    for row in results.rows(experiment) if rows is None else rows:
        try:
            value = value_of(results, f"{experiment}/{row}/{metric}")
        except NotApplicableError:
            continue
        if isinstance(value, Text):
            raise PapergenError(f"{value.key}: is a text, which has no order.")
        if row == how.closest_to:
            aim = value
        else:
            found[row] = value
    if not found:
        raise PapergenError(f"{experiment}: no row reports {metric}.")
    if which == "best" and aim is None and how.direction == "none":
        raise PapergenError(f"{experiment}: of {metric} neither higher nor lower is better, so no row is best.")

    def loss(row: str) -> float:
        if which == "best" and aim is not None:
            return abs(found[row].mean - aim.mean)
        is_high = which == "max" or (which == "best" and how.direction == "higher")
        return -found[row].mean if is_high else found[row].mean

    chosen = min(found, key=loss)
    ties = [row for row in found if loss(row) == loss(chosen)]
    if len(ties) > 1:
        raise PapergenError(f"{experiment}: {' and '.join(ties)} share the {which} {metric}: no one row has it.")
    return chosen, found[chosen]


def _joined(a: Value, b: Value, key: str, mean: float) -> Value:
    """A bare number that knows what it was made from."""
    return Value(
        key=key,
        mean=mean,
        num_seeds=min(a.num_seeds, b.num_seeds),
        label=key,
        digests=tuple(dict.fromkeys((*a.digests, *b.digests))),
    )
