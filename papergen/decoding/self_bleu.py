"""Self-BLEU (Zhu et al. 2018): how much each text of a set resembles the others; lower is more diverse."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from papergen.decoding.metrics import Tokens, mean, ngrams

ORDER = 4
FLOOR = 0.1
"""Count given to an n-gram order without a match (method 1 of Chen and Cherry 2014, as in Texygen)."""


@dataclass
class _Most:
    """The highest count of an n-gram in any text, in which text, and the highest elsewhere."""

    count: int = 0
    owner: int = -1
    elsewhere: int = 0

    def meet(self, count: int, text: int) -> None:
        if count > self.count:
            self.count, self.owner, self.elsewhere = count, text, self.count
        else:
            self.elsewhere = max(self.elsewhere, count)

    def outside(self, text: int) -> int:
        return self.elsewhere if text == self.owner else self.count


def self_bleu(texts: Sequence[Tokens]) -> list[float | None]:
    """BLEU-4 (0 to 1) of each text against all the others as references; None for an empty text or a single one.

    Exact over all others in time linear in their n-grams. The mean over texts is the number of the papers; it grows
    with the number of texts, so compare sets of equal size.
    """
    if len(texts) < 2:
        return [None] * len(texts)
    counts = [[Counter(ngrams(text, n)) for n in range(1, ORDER + 1)] for text in texts]
    most: dict[tuple[Hashable, ...], _Most] = {}
    for index, orders in enumerate(counts):
        for order in orders:
            for gram, count in order.items():
                most.setdefault(gram, _Most()).meet(count, index)
    lengths = sorted(len(text) for text in texts)
    return [
        _bleu(index, counts[index], most, len(text), _closest(lengths, len(text))) if text else None
        for index, text in enumerate(texts)
    ]


def corpus_self_bleu(texts: Sequence[Tokens]) -> float | None:
    """Mean of `self_bleu`."""
    return mean(self_bleu(texts))


def _bleu(
    index: int,
    orders: Sequence[Counter[tuple[Hashable, ...]]],
    most: dict[tuple[Hashable, ...], _Most],
    length: int,
    reference_length: int,
) -> float:
    log_precisions: list[float] = []
    for order in orders:
        total = sum(order.values())
        if total == 0:
            return 0.0  # shorter than the order: BLEU-4 has nothing to count
        matched = sum(min(count, most[gram].outside(index)) for gram, count in order.items())
        if matched == 0 and not log_precisions:
            return 0.0  # not even a word in common
        log_precisions.append(math.log((matched or FLOOR) / total))
    brevity = min(0.0, 1.0 - reference_length / length)
    return math.exp(brevity + sum(log_precisions) / ORDER)


def _closest(lengths: Sequence[int], length: int) -> int:
    """The length nearest to `length` among the sorted `lengths` without one `length` itself; the shorter of two."""
    place = bisect_left(lengths, length)
    others = [*lengths[max(0, place - 1) : place], *lengths[place + 1 : place + 2]]
    return min(others, key=lambda other: (abs(other - length), other))
