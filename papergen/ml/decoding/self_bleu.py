"""Self-BLEU (Zhu et al. 2018): how much each text of a set resembles the others; lower is more diverse."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence

from papergen.ml.decoding.metrics import Tokens, mean, ngrams

ORDER = 4
FLOOR = 0.1
"""Count given to an n-gram order without a match (method 1 of Chen and Cherry 2014, as in Texygen)."""

Gram = tuple[Hashable, ...]
Counts = list["Counter[Gram]"]
"""n-grams of one text and how often, per order 1 to ORDER."""


class _Set:
    """A set of texts, each of a group, and for every n-gram who has it most often."""

    def __init__(self, texts: Sequence[Tokens], groups: Sequence[int]) -> None:
        self.texts, self.groups = texts, groups
        self.counts: list[Counts] = [[Counter(ngrams(text, n)) for n in range(1, ORDER + 1)] for text in texts]
        holders: dict[Gram, list[tuple[int, int]]] = {}
        for index, orders in enumerate(self.counts):
            for order in orders:
                for gram, count in order.items():
                    holders.setdefault(gram, []).append((count, index))
        self.holders = {gram: sorted(found, key=lambda holder: -holder[0]) for gram, found in holders.items()}
        """n-gram -> (count, text), highest count first."""
        self.lengths = Counter(len(text) for text in texts)
        self.of_group: dict[int, Counter[int]] = {}
        for text, group in zip(texts, groups, strict=True):
            self.of_group.setdefault(group, Counter())[len(text)] += 1
        self._sorted = sorted(self.lengths)

    def matches(self, index: int) -> tuple[list[int], dict[int, list[int]]]:
        """Clipped matches of a text with all others per order, and how many are lost without each other group."""
        matched = [0] * ORDER
        lost: dict[int, list[int]] = {}
        for place, order in enumerate(self.counts[index]):
            for gram, count in order.items():
                most = next(((n, other) for n, other in self.holders[gram] if other != index), None)
                if most is None:
                    continue
                reached = min(count, most[0])
                matched[place] += reached
                owner = self.groups[most[1]]
                if owner == self.groups[index]:
                    continue
                others = (n for n, other in self.holders[gram] if other != index and self.groups[other] != owner)
                missing = reached - min(count, next(others, 0))
                if missing:
                    lost.setdefault(owner, [0] * ORDER)[place] += missing
        return matched, lost

    def reference_length(self, index: int, without: int | None = None) -> int:
        """The length nearest to that of the text among the others; the shorter of two."""
        length = len(self.texts[index])
        gone = Counter({length: 1})
        if without is not None:
            gone.update(self.of_group[without])
        place = bisect_left(self._sorted, length)
        found = []
        for candidates in (self._sorted[place:], reversed(self._sorted[:place])):
            found += [next((other for other in candidates if self.lengths[other] > gone[other]), None)]
        return min((other for other in found if other is not None), key=lambda other: (abs(other - length), other))

    def bleu(self, index: int, matched: Sequence[int], reference_length: int) -> float:
        """BLEU-4 from the clipped matches per order."""
        length = len(self.texts[index])
        log_precisions: list[float] = []
        for order, found in enumerate(matched, start=1):
            total = length - order + 1
            if total < 1 or (found == 0 and order == 1):
                return 0.0  # shorter than the order, or not even a word in common
            log_precisions.append(math.log((found or FLOOR) / total))
        brevity = min(0.0, 1.0 - reference_length / length)
        return math.exp(brevity + sum(log_precisions) / ORDER)


def self_bleu(texts: Sequence[Tokens]) -> list[float | None]:
    """BLEU-4 (0 to 1) of each text against all the others as references; None for an empty text or a single one.

    Exact over all others in time linear in their n-grams. The mean over texts is the number of the papers; it grows
    with the number of texts, so compare sets of equal size.
    """
    if len(texts) < 2:
        return [None] * len(texts)
    whole = _Set(texts, range(len(texts)))
    return [
        whole.bleu(index, whole.matches(index)[0], whole.reference_length(index)) if text else None
        for index, text in enumerate(texts)
    ]


def corpus_self_bleu(texts: Sequence[Tokens]) -> float | None:
    """Mean of `self_bleu`."""
    return mean(self_bleu(texts))


def self_bleu_without(texts: Sequence[Tokens], groups: Sequence[int]) -> list[float | None]:
    """`corpus_self_bleu` of all texts but those of one group, for each group in ascending order; in about linear time.

    Only the groups that hold a text's best match, or the length nearest to its own, change its BLEU when they leave.
    """
    whole = _Set(texts, groups)
    names = sorted(whole.of_group)
    if len(names) < 3:
        return [corpus_self_bleu([text for text, own in zip(texts, groups, strict=True) if own != g]) for g in names]
    total, number = 0.0, sum(bool(text) for text in texts)
    change = dict.fromkeys(names, 0.0)  # of the sum over the texts that stay
    own_sum, own_number = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    for index, text in enumerate(texts):
        if not text:
            continue
        matched, lost = whole.matches(index)
        nearest = whole.reference_length(index)
        bleu = whole.bleu(index, matched, nearest)
        total += bleu
        own_sum[groups[index]] += bleu
        own_number[groups[index]] += 1
        is_own = nearest == len(text)
        of_that_length = whole.lengths[nearest] - is_own
        only = [group for group in names if of_that_length <= whole.of_group[group][nearest]]
        for group in {*lost, *only} - {groups[index]}:
            left = [a - b for a, b in zip(matched, lost.get(group, [0] * ORDER), strict=True)]
            length = whole.reference_length(index, without=group) if group in only else nearest
            change[group] += whole.bleu(index, left, length) - bleu
    return [
        (total - own_sum[group] + change[group]) / (number - own_number[group]) if number > own_number[group] else None
        for group in names
    ]
