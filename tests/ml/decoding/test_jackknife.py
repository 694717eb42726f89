"""Leaving prompts out one by one gives what computing everything again gives, and honest intervals."""

import math
import random
import statistics

import pytest

from papergen.ml.decoding import jackknife, metrics
from papergen.ml.decoding.scoring import Score, perplexity
from papergen.ml.decoding.self_bleu import corpus_self_bleu, self_bleu_without
from papergen.report.statistics import t_interval


def without_each(groups, statistic):
    return [statistic([item for other in groups if other is not group for item in other]) for group in groups]


def random_groups(rng):
    """Texts of 0 to 8 tokens out of 6, one or two per prompt."""
    size = rng.choice([1, 2])
    return [[[rng.randint(0, 5) for _ in range(rng.randint(0, 8))] for _ in range(size)] for _ in range(5)]


def test_each_measure_without_a_prompt_is_the_measure_of_the_others():
    rng = random.Random(1)
    for _ in range(60):
        groups = random_groups(rng)
        texts = [text for group in groups for text in group]
        owners = [place for place, group in enumerate(groups) for _ in group]
        same = lambda found, wanted: found == pytest.approx(wanted, abs=1e-9, nan_ok=True)  # noqa: E731
        assert same(self_bleu_without(texts, owners), without_each(groups, corpus_self_bleu))
        assert same(jackknife.zipf_without(groups), without_each(groups, metrics.zipf_coefficient))
        for n in (1, 2):
            wanted = without_each(groups, lambda texts, n=n: metrics.distinct_n(texts, n))
            assert same(jackknife.distinct_without(groups, n), wanted)
    scores = [[Score.of((-1.0, -2.0))], [Score.of((-4.0,)), Score.of(())], [Score.of((-0.5,) * 3)]]
    assert jackknife.perplexity_without(scores) == pytest.approx(without_each(scores, perplexity))


def test_contributions_to_a_mean_are_the_values_themselves():
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    without = [(sum(values) - value) / 4 for value in values]
    assert jackknife.contributions(sum(values) / 5, without) == pytest.approx(values)


def test_the_mean_of_the_contributions_is_the_measure():
    groups = random_groups(random.Random(3))
    whole = metrics.distinct_n([text for group in groups for text in group], 2)
    found = jackknife.contributions(whole, jackknife.distinct_without(groups, 2))
    assert math.fsum(found) / len(found) == pytest.approx(whole)


def test_what_is_undefined_without_a_prompt_has_no_interval():
    assert jackknife.contributions(1.0, [2.0, None]) is None
    assert jackknife.contributions(1.0, [2.0]) is None


def test_the_interval_of_a_perplexity_covers_the_truth():
    """Prompts with a log-normal spread: about 95 of 100 intervals hold the value of a large population."""
    rng = random.Random(0)
    draw = lambda: Score.of(tuple(-rng.lognormvariate(0, 0.5) for _ in range(rng.randint(3, 9))))  # noqa: E731
    truth = perplexity([draw() for _ in range(30_000)])
    hits, widths = 0, []
    for _ in range(200):
        scores = [[draw()] for _ in range(40)]
        whole = perplexity([score for group in scores for score in group])
        interval = t_interval(jackknife.contributions(whole, jackknife.perplexity_without(scores)))
        hits += interval.low <= truth <= interval.high
        widths.append(interval.half_width)
    assert hits >= 180
    assert statistics.median(widths) < 0.2 * truth
