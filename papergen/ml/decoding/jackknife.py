"""Intervals for measures of a whole set of texts: what each prompt contributes, by leaving it out.

The interval of such a measure cannot run over its values per prompt, for it has none. Efron and Stein's jackknife makes
some: n * whole - (n - 1) * (whole without the prompt), moved so that their mean is the measure itself. Student's t over
them is the jackknife interval, and two strategies on the same prompts can be compared in pairs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from papergen.ml.decoding import metrics as m
from papergen.ml.decoding.metrics import Tokens
from papergen.ml.decoding.scoring import Score


def contributions(whole: float, without: Sequence[float | None]) -> list[float] | None:
    """One number per prompt with the mean `whole`; None where the measure is not defined without some prompt."""
    left = [value for value in without if value is not None]
    if len(left) < len(without) or len(left) < 2:
        return None
    centre = math.fsum(left) / len(left)
    # n whole - (n - 1) without_i, moved by a constant so that the mean is `whole`.
    return [whole + (len(left) - 1) * (centre - value) for value in left]


def perplexity_without(groups: Sequence[Sequence[Score]]) -> list[float | None]:
    """The corpus's perplexity without each prompt."""
    log_probs = np.array([math.fsum(score.log_prob for score in group) for group in groups])
    counts = np.array([sum(score.num_tokens for score in group) for group in groups])
    rest, num_tokens = log_probs.sum() - log_probs, counts.sum() - counts
    return [
        math.exp(-log_prob / count) if count else None
        for log_prob, count in zip(rest.tolist(), num_tokens.tolist(), strict=True)
    ]


def distinct_without(groups: Sequence[Sequence[Tokens]], n: int) -> list[float | None]:
    """distinct-n without each prompt."""
    grams = [Counter(gram for text in group for gram in m.ngrams(text, n)) for group in groups]
    owners: Counter[object] = Counter(gram for own in grams for gram in own)
    lengths = [sum(len(text) for text in group) for group in groups]
    rest = [sum(lengths) - length for length in lengths]
    lost = [sum(owners[gram] == 1 for gram in own) for own in grams]
    return [(len(owners) - gone) / count if count else None for gone, count in zip(lost, rest, strict=True)]


def zipf_without(groups: Sequence[Sequence[Tokens]]) -> list[float | None]:
    """The Zipf coefficient without each prompt."""
    own = [Counter(token for text in group for token in text) for group in groups]
    whole: Counter[object] = Counter()
    for counts in own:
        whole.update(counts)
    return [m.zipf_of_counts((whole - counts).values()) for counts in own]
