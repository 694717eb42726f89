r"""A strategy in the words of a Chinese method section; numbers and \cite commands are those of `describing`."""

from __future__ import annotations

from collections.abc import Iterator

from papergen.ml.decoding.algorithm import algorithm_of
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import cite, number

DECIDES_NUMBERS = False
"""Wording may change without making a result stale."""


def describe(strategy: StrategyParameters) -> str:
    """E.g. `核采样（$p=0.95$~\\cite{holtzman2020curious}）`; more parts follow after commas."""
    return "，".join([*algorithm_of(strategy).phrase_zh(strategy), *_scores(strategy), *_lengths(strategy)])


def _scores(s: StrategyParameters) -> Iterator[str]:
    if s.repetition_penalty != 1.0:
        yield f"重复惩罚 ${number(s.repetition_penalty)}${cite('keskar2019ctrl')}"
    if s.no_repeat_ngram_size:
        yield f"不允许重复的 {s.no_repeat_ngram_size} 元组{cite('paulus2018deep')}"
    for sequence, bias in s.sequence_bias or ():
        if sequence == ("eos",):
            yield f"结束符的偏置为 ${number(bias)}$"
    others = sum(sequence != ("eos",) for sequence, _ in s.sequence_bias or ())
    if others:
        yield f"对 {others} 个词元序列加偏置"
    if s.suppress_tokens == ("eos",):
        yield "禁止结束符"
    elif s.suppress_tokens:
        yield f"禁止 {len(s.suppress_tokens)} 个词元"
    if s.bad_words_ids:
        yield f"禁止 {len(s.bad_words_ids)} 个词元序列"
    if s.exponential_decay_length_penalty:
        start, factor = s.exponential_decay_length_penalty
        yield f"结束符的分数从第 {start} 个词元起每个词元增长 ${number(factor)}$"


def _lengths(s: StrategyParameters) -> Iterator[str]:
    if s.eos_token_id is None:
        yield "忽略结束符"
    if s.min_new_tokens is not None:
        yield f"至少 {s.min_new_tokens} 个新词元"
    if s.min_length is not None:
        yield f"连同提示至少 {s.min_length} 个词元"
