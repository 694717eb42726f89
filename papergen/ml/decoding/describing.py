r"""A strategy in the words of a method section: a LaTeX-safe noun phrase with \cite commands, in both languages."""

from __future__ import annotations

from collections.abc import Iterator

from papergen.core.errors import counted
from papergen.core.phrase import Phrase
from papergen.ml.decoding.algorithm import algorithm_of
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import cite, number

DECIDES_NUMBERS = False
"""Wording may change without making a result stale."""


def describe(strategy: StrategyParameters) -> Phrase:
    """E.g. `nucleus sampling with $p=0.95$~\\cite{holtzman2020curious}`; more parts follow after commas."""
    phrases = [*algorithm_of(strategy).phrases(strategy), *_scores(strategy), *_lengths(strategy)]
    return Phrase(", ".join(phrases), "，".join(phrase.zh for phrase in phrases))


def _scores(s: StrategyParameters) -> Iterator[Phrase]:
    if s.repetition_penalty != 1.0:
        yield Phrase("repetition penalty ${}${}", "重复惩罚 ${}${}").format(
            number(s.repetition_penalty), cite("keskar2019ctrl")
        )
    if s.no_repeat_ngram_size:
        yield Phrase("no repeated {}-grams{}", "不允许重复的 {} 元组{}").format(
            s.no_repeat_ngram_size, cite("paulus2018deep")
        )
    for sequence, bias in s.sequence_bias or ():
        if sequence == ("eos",):
            yield Phrase("a bias of ${}$ on the end-of-sequence token", "结束符的偏置为 ${}$").format(number(bias))
    if others := sum(sequence != ("eos",) for sequence, _ in s.sequence_bias or ()):
        yield Phrase(f"a bias on {counted(others, 'token sequence')}", f"对 {others} 个词元序列加偏置")
    if s.suppress_tokens == ("eos",):
        yield Phrase("the end-of-sequence token suppressed", "禁止结束符")
    elif s.suppress_tokens:
        count = len(s.suppress_tokens)
        yield Phrase(f"{counted(count, 'token')} suppressed", f"禁止 {count} 个词元")
    if s.bad_words_ids:
        count = len(s.bad_words_ids)
        yield Phrase(counted(count, "forbidden token sequence"), f"禁止 {count} 个词元序列")
    if s.exponential_decay_length_penalty:
        start, factor = s.exponential_decay_length_penalty
        yield Phrase(
            "an end-of-sequence score that grows by ${factor}$ per token from token {start} on",
            "结束符的分数从第 {start} 个词元起每个词元增长 ${factor}$",
        ).format(start=start, factor=number(factor))


def _lengths(s: StrategyParameters) -> Iterator[Phrase]:
    if s.eos_token_id is None:
        yield Phrase("no end-of-sequence token", "忽略结束符")
    if s.min_new_tokens is not None:
        yield Phrase("at least {} new tokens", "至少 {} 个新词元").format(s.min_new_tokens)
    if s.min_length is not None:
        yield Phrase("at least {} tokens with the prompt", "连同提示至少 {} 个词元").format(s.min_length)
