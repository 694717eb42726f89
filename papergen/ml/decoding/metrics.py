"""What is measured on generated text: repetition, diversity, form. Plain Python and numpy, on any sequence of tokens.

A metric of one text returns None where it is not defined (a text too short to have an n-gram), so that nothing is
averaged that was not measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np

Tokens = Sequence[Hashable]
"""Token ids or words."""

HOLTZMAN_WINDOW = 200
"""Tokens within which Holtzman et al. (2020) look for the repeated phrase."""


def ngrams(tokens: Tokens, n: int) -> Iterator[tuple[Hashable, ...]]:
    """All n-grams in order."""
    return (tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1))


def rep_n(tokens: Tokens, n: int) -> float | None:
    """100 (1 - unique n-grams / n-grams), in percent (Welleck et al. 2020)."""
    total = len(tokens) - n + 1
    return None if total < 1 else 100.0 * (1.0 - len(set(ngrams(tokens, n))) / total)


def diversity(tokens: Tokens) -> float | None:
    """Product over n = 2, 3, 4 of (1 - rep-n / 100) (Su et al. 2022); 1 is no repetition."""
    shares = [rep_n(tokens, n) for n in (2, 3, 4)]
    return None if None in shares else float(np.prod([1.0 - share / 100.0 for share in shares if share is not None]))


def rep_l(tokens: Tokens, window: int) -> float | None:
    """Share of tokens, in percent, that occur among the `window` tokens before them (rep/l of Welleck et al. 2020)."""
    flags = is_repeated(tokens, window)
    return 100.0 * sum(flags) / len(flags) if flags else None


def is_repeated(tokens: Tokens, window: int) -> list[bool]:
    """Per position, whether the token occurs among the `window` tokens before it."""
    last: dict[Hashable, int] = {}
    flags = []
    for position, token in enumerate(tokens):
        flags.append(token in last and position - last[token] <= window)
        last[token] = position
    return flags


def is_degenerate(tokens: Tokens) -> bool:
    """Whether the text ends in a phrase of at least two tokens that occurs three or more times in a row.

    Holtzman et al. (2020): the share of such texts is their Repetition %.
    """
    tail = list(tokens[-HOLTZMAN_WINDOW:])
    return any(
        tail[-size:] == tail[-2 * size : -size] == tail[-3 * size : -2 * size] for size in range(2, len(tail) // 3 + 1)
    )


def distinct_n(texts: Sequence[Tokens], n: int) -> float | None:
    """Unique n-grams of the corpus / its tokens (Li et al. 2016). Falls with the corpus's size: compare equal sizes."""
    num_tokens = sum(len(text) for text in texts)
    return len({gram for text in texts for gram in ngrams(text, n)}) / num_tokens if num_tokens else None


def zipf_coefficient(texts: Sequence[Tokens]) -> float | None:
    """Exponent s of frequency ~ rank**-s: minus the least-squares slope of log frequency on log rank."""
    return zipf_of_counts(Counter(token for text in texts for token in text).values())


def zipf_of_counts(frequencies: Iterable[int], *, num_ranks: int = 5000) -> float | None:
    """The same from how often each token occurs."""
    counts = sorted(frequencies, reverse=True)[:num_ranks]
    if len(counts) < 2:
        return None
    ranks = np.log(np.arange(1, len(counts) + 1))
    ranks -= ranks.mean()
    return -float(ranks @ np.log(counts) / (ranks @ ranks))


def contains(tokens: Tokens, phrase: Tokens) -> bool:
    """Whether `phrase` occurs in `tokens` without gaps."""
    wanted = tuple(phrase)
    return any(gram == wanted for gram in ngrams(tokens, len(wanted)))


def coverage(tokens: Tokens, constraints: Sequence[Sequence[Tokens]]) -> float | None:
    """Share of constraints that hold, in percent; a constraint is a choice of phrases, one of which must occur."""
    if not constraints:
        return None
    return 100.0 * sum(any(contains(tokens, phrase) for phrase in choice) for choice in constraints) / len(constraints)


def duplicate_share(texts: Sequence[Tokens]) -> float | None:
    """Share, in percent, of a prompt's continuations that repeat an earlier one exactly."""
    return 100.0 * (1.0 - len({tuple(text) for text in texts}) / len(texts)) if texts else None


def percentage(flags: Sequence[bool]) -> float | None:
    """Share of true flags in percent: EOS rate, truncation rate, Repetition %, strict coverage."""
    return 100.0 * sum(flags) / len(flags) if flags else None


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are defined."""
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None
