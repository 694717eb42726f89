"""Measures of the task heads by the definitions of the field, on plain labels, tags and texts."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")

Entity = tuple[str, int, int]
"""(type, first word, last word)."""


def accuracy(gold: Sequence[object], found: Sequence[object]) -> float:
    """Per cent of predictions that equal the gold label."""
    return 100.0 * sum(a == b for a, b in zip(gold, found, strict=True)) / len(gold)


def macro_f1(gold: Sequence[str], found: Sequence[str]) -> float:
    """Unweighted mean of the classes' F1 in per cent, over the classes met in gold or found (as scikit-learn's)."""
    scores = []
    for label in sorted({*gold, *found}):
        right = sum(a == b == label for a, b in zip(gold, found, strict=True))
        scores.append(_f1(right, sum(b == label for b in found), sum(a == label for a in gold)))
    return 100.0 * sum(scores) / len(scores)


def macro_f1_without(gold: Sequence[str], found: Sequence[str]) -> list[float]:
    """Macro-F1 of the set without each example."""
    right = Counter(a for a, b in zip(gold, found, strict=True) if a == b)
    ours, theirs = Counter(found), Counter(gold)
    scores: dict[tuple[str, str], float] = {}  # examples of one kind are alike
    for pair in set(zip(gold, found, strict=True)):
        a, b = pair
        without = [
            _f1(right[label] - (a == b == label), ours[label] - (b == label), theirs[label] - (a == label))
            for label in {*gold, *found}
            if ours[label] - (b == label) + theirs[label] - (a == label)
        ]
        scores[pair] = 100.0 * sum(without) / len(without) if without else 0.0
    return [scores[pair] for pair in zip(gold, found, strict=True)]


def entities(tags: Sequence[str]) -> set[Entity]:
    """The chunks of an IOB sequence as conlleval and seqeval's default mode read it.

    A chunk begins at B-, and at an I- that does not continue a chunk of its type.
    """
    found: set[Entity] = set()
    begin, kind = 0, ""
    for index, tag in enumerate([*tags, "O"]):
        mark, _, name = tag.partition("-")
        continues = mark == "I" and kind == name and bool(kind)
        if kind and not continues:
            found.add((kind, begin, index - 1))
            kind = ""
        if not continues and mark in {"B", "I"}:
            begin, kind = index, name
    return found


def entity_counts(gold: Sequence[str], found: Sequence[str]) -> tuple[int, int, int]:
    """Entities that are right in type and both ends, found, and in gold."""
    theirs, ours = entities(gold), entities(found)
    return len(theirs & ours), len(ours), len(theirs)


def entity_scores(counts: Sequence[tuple[int, int, int]]) -> tuple[float, float, float]:
    """Precision, recall and F1 in per cent over all sentences (micro average, as seqeval prints first)."""
    right, found, gold = (sum(column) for column in zip(*counts, strict=True))
    precision = 100.0 * right / found if found else 0.0
    recall = 100.0 * right / gold if gold else 0.0
    return precision, recall, 100.0 * _f1(right, found, gold)


def entity_scores_without(counts: Sequence[tuple[int, int, int]]) -> list[tuple[float, float, float]]:
    """Precision, recall and F1 without each sentence."""
    right, found, gold = (sum(column) for column in zip(*counts, strict=True))
    return [entity_scores([(right - own[0], found - own[1], gold - own[2])]) for own in counts]


CHINESE_PUNCTUATION = "，。：？！；、（）《》〈〉【】「」『』～"
"""What no English text holds: that is normalised as SQuAD's own script does it."""


def normalised(answer: str) -> str:
    """An answer as SQuAD's evaluation compares it: lower case, without punctuation and articles, spaces made one.

    Chinese is taken as CMRC 2018's evaluation does: without its punctuation, every character a word; an "A" in it is
    no article.
    """
    plain = "".join(char for char in answer.lower() if char not in string.punctuation + CHINESE_PUNCTUATION)
    spaced = HAN.sub(r" \g<0> ", plain)
    return " ".join((re.sub(r"\b(a|an|the)\b", " ", spaced) if spaced == plain else spaced).split())


def exact_match(found: str, golds: Sequence[str]) -> float:
    """100 when the answer is one of the gold ones after normalisation; no gold means that there is no answer."""
    return 100.0 * any(normalised(found) == normalised(gold) for gold in golds or [""])


def span_f1(found: str, golds: Sequence[str]) -> float:
    """F1 of the words shared with the nearest gold answer, in per cent; without an answer 100 for an empty one."""
    return max(_words_f1(normalised(found).split(), normalised(gold).split()) for gold in golds or [""])


def _words_f1(found: list[str], gold: list[str]) -> float:
    if not found or not gold:
        return 100.0 * (found == gold)
    return 100.0 * _f1(sum((Counter(found) & Counter(gold)).values()), len(found), len(gold))


def _f1(right: int, found: int, gold: int) -> float:
    return 2 * right / (found + gold) if found + gold else 0.0
