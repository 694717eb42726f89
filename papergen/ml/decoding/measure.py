"""One trial's measurements: every metric of the room over a set of continuations, corpus-wide and per prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from papergen.ml.decoding import jackknife
from papergen.ml.decoding import metrics as m
from papergen.ml.decoding.scoring import Score, perplexity
from papergen.ml.decoding.self_bleu import corpus_self_bleu, self_bleu_without
from papergen.ml.decoding.tokens import Phrases


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """A text to be measured: generated, or the human author's own."""

    prompt_index: int
    ids: tuple[int, ...]
    """New tokens, EOS left out."""
    is_ended: bool
    """Whether EOS ended it; otherwise the length limit cut it off."""
    is_met: bool | None = None
    """Whether all forced words are in it; None without forced words."""
    num_drafted: int | None = None
    """Tokens that were guessed while it was generated; None without drafts, as the next two."""
    num_accepted: int | None = None
    """Guesses that became text."""
    num_passes: int | None = None
    """Forward passes of the model."""


@dataclass(frozen=True)
class Measured:
    """Numbers of the whole set, and per prompt in the order of the prompts (the mean over its continuations)."""

    metrics: Mapping[str, float]
    units: Mapping[str, Sequence[float]] = field(default_factory=dict)


def measure(
    continuations: Sequence[Continuation],
    scores: Sequence[Score],
    *,
    by_scorer: Sequence[Score] | None = None,
    constraints: Sequence[Phrases] = (),
) -> Measured:
    """`scores[i]` is what the generating model thinks of `continuations[i]`; both in the order of the prompts.

    `by_scorer` is what a second model thinks, `constraints` the forced words. A metric that is not defined for a text
    (too short for an n-gram) is NaN there; one that is defined for none of them (the Zipf coefficient of a single
    token) is left out. Metrics of the whole set have units as well: what each prompt contributes by the jackknife.
    """
    texts = [continuation.ids for continuation in continuations]
    per_text: dict[str, list[float | None]] = {
        **{f"rep_{n}": [m.rep_n(text, n) for text in texts] for n in (2, 3, 4)},
        "diversity": [m.diversity(text) for text in texts],
        "repetition": [100.0 * m.is_degenerate(text) for text in texts],
        "nll": [-score.log_prob / score.num_tokens if score.num_tokens else None for score in scores],
        "log_prob": [score.log_prob for score in scores],
        "length": [float(len(text)) for text in texts],
        "eos_rate": [100.0 * continuation.is_ended for continuation in continuations],
        "truncation_rate": [100.0 * (not continuation.is_ended) for continuation in continuations],
    }
    if any(continuation.is_met is not None for continuation in continuations):
        per_text["constraints_met"] = [100.0 * bool(continuation.is_met) for continuation in continuations]
        per_text["coverage"] = [m.coverage(text, constraints) for text in texts]
    if any(continuation.num_passes is not None for continuation in continuations):
        per_text["acceptance_rate"] = [_share(one.num_accepted, one.num_drafted) for one in continuations]
        # The final EOS is a token that a pass has found as well.
        per_text["tokens_per_pass"] = [
            (len(one.ids) + one.is_ended) / one.num_passes if one.num_passes else None for one in continuations
        ]
    prompts = [continuation.prompt_index for continuation in continuations]
    units = {name: _per_prompt(prompts, values) for name, values in per_text.items()}
    places = [list(indices) for _, indices in groupby(range(len(texts)), key=lambda i: prompts[i])]
    groups = [[texts[i] for i in indices] for indices in places]
    units["duplicates"] = [_number(m.duplicate_share(group)) for group in groups]
    means = {name: m.mean([value for value in values if not math.isnan(value)]) for name, values in units.items()}
    corpus: dict[str, tuple[float | None, Sequence[float | None]]] = {
        "perplexity": (perplexity(scores), jackknife.perplexity_without([[scores[i] for i in own] for own in places])),
        **{f"distinct_{n}": (m.distinct_n(texts, n), jackknife.distinct_without(groups, n)) for n in (1, 2, 3)},
        "zipf": (m.zipf_coefficient(texts), jackknife.zipf_without(groups)),
        "self_bleu": (corpus_self_bleu(texts), self_bleu_without(texts, prompts)),
    }
    if by_scorer is not None:
        of_groups = [[by_scorer[i] for i in own] for own in places]
        corpus["scorer_perplexity"] = (perplexity(by_scorer), jackknife.perplexity_without(of_groups))
    for name, (whole, without) in corpus.items():
        means[name] = whole
        parts = None if whole is None else jackknife.contributions(whole, without)
        if parts is not None:
            units[name] = parts
    defined = {name: value for name, value in means.items() if value is not None}
    return Measured(defined, {name: values for name, values in units.items() if name in defined})


def repetition_by_position(texts: Sequence[Sequence[int]], *, window: int = 64) -> list[tuple[int, float]]:
    """(position, share in percent of the texts whose token there occurs among the `window` tokens before it)."""
    flags = [m.is_repeated(text, window) for text in texts]
    longest = max((len(text) for text in flags), default=0)
    curve = []
    for position in range(longest):
        at_position = [text[position] for text in flags if position < len(text)]
        curve.append((position + 1, 100.0 * sum(at_position) / len(at_position)))
    return curve


def _per_prompt(prompts: Sequence[int], values: Sequence[float | None]) -> list[float]:
    groups = groupby(zip(prompts, values, strict=True), key=lambda pair: pair[0])
    return [_number(m.mean([value for _, value in group])) for _, group in groups]


def _share(part: int | None, whole: int | None) -> float | None:
    """In percent; None of nothing."""
    return 100.0 * part / whole if whole and part is not None else None


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
