import random

import pytest
import sacrebleu

from papergen.ml.decoding import metrics
from papergen.ml.decoding.self_bleu import corpus_self_bleu, self_bleu


def test_rep_n_and_diversity_by_hand():
    text = [1, 2, 1, 2, 1, 2]  # bigrams 12 21 12 21 12, trigrams 121 212 121 212, 4-grams 1212 2121 1212
    assert metrics.rep_n(text, 2) == pytest.approx(60.0)
    assert metrics.rep_n(text, 3) == pytest.approx(50.0)
    assert metrics.rep_n(text, 4) == pytest.approx(100 / 3)
    assert metrics.diversity(text) == pytest.approx(0.4 * 0.5 * (2 / 3))
    assert metrics.rep_n([1, 2, 3], 4) is None
    assert metrics.diversity([1, 2, 3]) is None


def test_rep_l_by_hand():
    text = [1, 2, 3, 1, 1]
    assert metrics.is_repeated(text, 2) == [False, False, False, False, True]
    assert metrics.rep_l(text, 2) == pytest.approx(20.0)
    assert metrics.rep_l(text, 3) == pytest.approx(40.0)
    assert metrics.rep_l([], 3) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ([9, 1, 2, 1, 2, 1, 2], True),
        ([1, 2, 1, 2, 1, 2, 9], False),
        ([9, 1, 2, 1, 2], False),
        ([1, 2, 3] * 3, True),
        ([5] * 5, False),  # a phrase has two tokens at least, so it takes six
        ([5] * 6, True),
        ([], False),
    ],
)
def test_degenerate_ends_by_hand(text, wanted):
    assert metrics.is_degenerate(text) is wanted


def test_distinct_n_by_hand():
    assert metrics.distinct_n([[1, 2, 1], [1, 2]], 1) == pytest.approx(2 / 5)
    assert metrics.distinct_n([[1, 2, 1], [1, 2]], 2) == pytest.approx(2 / 5)
    assert metrics.distinct_n([[]], 1) is None


def test_zipf_recovers_an_exact_law():
    texts = [[rank] * round(1_000_000 / rank**1.3) for rank in range(1, 51)]
    assert metrics.zipf_coefficient(texts) == pytest.approx(1.3, abs=1e-3)
    assert metrics.zipf_coefficient([[1, 1, 1]]) is None


def test_coverage_by_hand():
    constraints = [[(1, 2)], [(7,), (3, 4)]]
    assert metrics.coverage([0, 1, 2, 3, 4], constraints) == 100.0
    assert metrics.coverage([1, 0, 2, 7], constraints) == 50.0
    assert metrics.coverage([1], []) is None


def test_shares_by_hand():
    assert metrics.duplicate_share([[1], [2], [1], [1]]) == pytest.approx(50.0)
    assert metrics.percentage([True, False, False, True]) == 50.0
    assert metrics.percentage([]) is None
    assert metrics.mean([1.0, None, 3.0]) == 2.0
    assert metrics.mean([None]) is None


def test_self_bleu_is_that_of_sacrebleu_against_all_others():
    rng = random.Random(0)
    texts = [[str(rng.randint(0, 6)) for _ in range(rng.randint(4, 14))] for _ in range(25)]
    texts += [texts[0], ["0", "1", "2", "3"], ["9", "9", "9", "9", "9"]]
    for index, found in enumerate(self_bleu(texts)):
        others = [" ".join(text) for place, text in enumerate(texts) if place != index]
        theirs = sacrebleu.sentence_bleu(
            " ".join(texts[index]),
            others,
            smooth_method="floor",
            smooth_value=0.1,
            tokenize="none",
            use_effective_order=False,
        )
        assert found == pytest.approx(theirs.score / 100, abs=1e-9)


def test_self_bleu_at_its_ends():
    assert self_bleu([[1, 2, 3, 4]]) == [None]
    assert corpus_self_bleu([[1, 2, 3, 4, 5]] * 3) == pytest.approx(1.0)
    assert self_bleu([[1, 2, 3, 4], []])[1] is None
    assert corpus_self_bleu([[1, 2, 3, 4], [5, 6, 7, 8]]) == 0.0
    # One word in common: precision 1/4, then 0.1 in place of 0 matches out of 3, 2 and 1.
    assert self_bleu([[1, 2, 3, 4], [1, 6, 7, 8]])[0] == pytest.approx((1 / 4 * 0.1 / 3 * 0.1 / 2 * 0.1) ** 0.25)
