r"""A strategy in the words of a method section: a LaTeX-safe noun phrase with \cite commands."""

from __future__ import annotations

from collections.abc import Iterator

from papergen.ml.decoding.algorithm import algorithm_of
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import cite, number

DECIDES_NUMBERS = False
"""Wording may change without making a result stale."""


def describe(strategy: StrategyParameters) -> str:
    """E.g. `nucleus sampling with $p=0.95$~\\cite{holtzman2020curious}`; more parts follow after commas."""
    return ", ".join([*algorithm_of(strategy).phrase_en(strategy), *_scores(strategy), *_lengths(strategy)])


def _scores(s: StrategyParameters) -> Iterator[str]:
    if s.repetition_penalty != 1.0:
        yield f"repetition penalty ${number(s.repetition_penalty)}${cite('keskar2019ctrl')}"
    if s.no_repeat_ngram_size:
        yield f"no repeated {s.no_repeat_ngram_size}-grams{cite('paulus2018deep')}"
    for sequence, bias in s.sequence_bias or ():
        if sequence == ("eos",):
            yield f"a bias of ${number(bias)}$ on the end-of-sequence token"
    others = sum(sequence != ("eos",) for sequence, _ in s.sequence_bias or ())
    if others:
        yield f"a bias on {others} token sequence{'s' if others != 1 else ''}"
    if s.suppress_tokens == ("eos",):
        yield "the end-of-sequence token suppressed"
    elif s.suppress_tokens:
        yield f"{len(s.suppress_tokens)} token{'s' if len(s.suppress_tokens) != 1 else ''} suppressed"
    if s.bad_words_ids:
        yield f"{len(s.bad_words_ids)} forbidden token sequence{'s' if len(s.bad_words_ids) != 1 else ''}"
    if s.exponential_decay_length_penalty:
        start, factor = s.exponential_decay_length_penalty
        yield f"an end-of-sequence score that grows by ${number(factor)}$ per token from token {start} on"


def _lengths(s: StrategyParameters) -> Iterator[str]:
    if s.eos_token_id is None:
        yield "no end-of-sequence token"
    if s.min_new_tokens is not None:
        yield f"at least {s.min_new_tokens} new tokens"
    if s.min_length is not None:
        yield f"at least {s.min_length} tokens with the prompt"
