"""What is done to scores between the model and the choice of a token, over whole batches, in transformers' order.

Nothing here reads a tensor's value on the host: with `num_new` and `length` as tensors a chain can be part of a CUDA
graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from transformers.generation.logits_process import (
    EpsilonLogitsWarper,
    MinPLogitsWarper,
    NoBadWordsLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TypicalLogitsWarper,
)

from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.tokens import Tokens


@dataclass(frozen=True)
class LengthLimits:
    """How many new tokens a batch's prompts may and must have, translated from whatever the strategy says."""

    max_new: int
    min_new: int


@dataclass(frozen=True)
class TextState:
    """What a processor may look at beside the scores."""

    ids: torch.Tensor
    """(rows, width) tokens so far with left padding, and with `length` unused columns at the end."""
    pads: torch.Tensor
    """(rows,) padding tokens on the left."""
    num_new: int | torch.Tensor
    """Tokens generated so far; a number, or int64, () or one for each of the rows (rows,)."""
    penalty: torch.Tensor | None = None
    """(rows, vocabulary) taken off the scores: the diversity term of a group."""
    length: torch.Tensor | None = None
    """int64 (), the columns of `ids` in use; None for all of them."""

    def last(self, count: int) -> torch.Tensor:
        """(rows, count) the last tokens, padding included; fewer, or -1 in front, where there are not so many."""
        if self.length is None:
            return self.ids[:, max(0, self.ids.shape[1] - count) :]
        places = self.length + torch.arange(-count, 0, device=self.ids.device)
        return torch.where(places < 0, -1, self.ids[:, places.clamp(min=0)])

    def is_text(self) -> torch.Tensor:
        """(rows, width) which of `ids` are neither padding nor unused."""
        columns = torch.arange(self.ids.shape[1], device=self.ids.device)
        is_text = columns >= self.pads[:, None]
        return is_text if self.length is None else is_text & (columns < self.length)


Processor = Callable[[TextState, torch.Tensor], torch.Tensor]


class Processors:
    """All processors of a strategy: maps (rows, vocabulary) scores to new ones and leaves the input alone."""

    def __init__(
        self, strategy: StrategyParameters, tokens: Tokens, limits: LengthLimits, device: torch.device
    ) -> None:
        self._chain = [*_shaping(strategy, tokens, limits, device), *_drawing(strategy, tokens)]

    @property
    def is_idle(self) -> bool:
        """Whether the scores stay as they are."""
        return not self._chain

    def __call__(self, context: TextState, scores: torch.Tensor) -> torch.Tensor:
        """The processed scores; -inf where a token is impossible."""
        for processor in self._chain:
            scores = processor(context, scores)
        return scores


def _shaping(
    strategy: StrategyParameters, tokens: Tokens, limits: LengthLimits, device: torch.device
) -> list[Processor]:
    eos = torch.tensor(tokens.eos, dtype=torch.long, device=device)
    chain: list[Processor] = []
    if tokens.bias:
        longest = max(len(ids) for ids, _ in tokens.bias)
        chain.append(_theirs(SequenceBiasLogitsProcessor([[list(ids), bias] for ids, bias in tokens.bias]), longest))
    if strategy.num_beam_groups > 1:
        chain.append(_diversity)
    if strategy.repetition_penalty != 1.0:
        chain.append(_repetition(strategy.repetition_penalty))
    if strategy.no_repeat_ngram_size:
        chain.append(_no_repeat(strategy.no_repeat_ngram_size))
    if tokens.forbidden:
        longest = max(len(ids) for ids in tokens.forbidden)
        chain.append(_theirs(NoBadWordsLogitsProcessor([list(ids) for ids in tokens.forbidden]), longest))
    if limits.min_new and tokens.eos:
        chain.append(_not_yet(eos, limits.min_new))
    if tokens.forced_bos is not None:
        chain.append(_only(torch.tensor([tokens.forced_bos], device=device), 0))
    if tokens.forced_eos:
        chain.append(_only(torch.tensor(tokens.forced_eos, device=device), limits.max_new - 1))
    if strategy.exponential_decay_length_penalty is not None:
        chain.append(_growing(eos, *strategy.exponential_decay_length_penalty))
    if tokens.suppressed:
        suppressed = torch.tensor(tokens.suppressed, dtype=torch.long, device=device)
        chain.append(lambda _, scores: scores.index_fill(1, suppressed, -torch.inf))
    return chain


def _drawing(strategy: StrategyParameters, tokens: Tokens) -> list[Processor]:
    """The filters of a random draw; none for a strategy that draws nothing."""
    if not strategy.do_sample:
        return []
    # A search needs one token besides EOS to go on with.
    keep = len(tokens.eos) + 1 if strategy.num_beams > 1 else 1
    chain: list[Processor] = []
    if strategy.temperature != 1.0:
        chain.append(_theirs(TemperatureLogitsWarper(strategy.temperature)))
    if strategy.top_k:
        chain.append(_theirs(TopKLogitsWarper(strategy.top_k, min_tokens_to_keep=keep)))
    if strategy.top_p < 1.0:
        chain.append(_nucleus(strategy.top_p, keep))
    if strategy.min_p is not None:
        chain.append(_theirs(MinPLogitsWarper(strategy.min_p, min_tokens_to_keep=keep)))
    if strategy.typical_p < 1.0:
        chain.append(_theirs(TypicalLogitsWarper(strategy.typical_p, min_tokens_to_keep=keep)))
    if strategy.epsilon_cutoff:
        chain.append(_theirs(EpsilonLogitsWarper(strategy.epsilon_cutoff, min_tokens_to_keep=keep)))
    if strategy.eta_cutoff:
        chain.append(_eta(strategy.eta_cutoff, keep))
    return chain


def _theirs(processor: Callable[..., torch.Tensor], longest: int = 1) -> Processor:
    """A processor of transformers that looks at no more than `longest` tokens of the text, the next one among them."""
    return lambda context, scores: processor(context.last(longest), scores)


def _eta(cutoff: float, keep: int) -> Processor:
    """Hewitt et al. (2022): tokens below min(cutoff, sqrt(cutoff) exp(-entropy)) go.

    transformers' own asks torch.distributions for the entropy, which checks its arguments on the host.
    """

    def apply(_: TextState, scores: torch.Tensor) -> torch.Tensor:
        logs = scores.log_softmax(dim=1)
        probabilities = scores.softmax(dim=1)
        entropy = -(probabilities * logs.clamp(min=torch.finfo(logs.dtype).min)).sum(dim=1, keepdim=True)
        eta = (cutoff**0.5 * torch.exp(-entropy)).clamp(max=cutoff)
        best = scores.topk(min(keep, scores.shape[1]), dim=1).values[:, -1:]
        return scores.masked_fill((probabilities < eta) & (scores < best), -torch.inf)

    return apply


def _nucleus(top_p: float, keep: int) -> Processor:
    """Holtzman et al. (2020); of equally likely tokens at the edge, those that come first in the vocabulary stay."""

    def apply(_: TextState, scores: torch.Tensor) -> torch.Tensor:
        ordered = _ordered(scores)
        mass = ordered.softmax(dim=1).cumsum(dim=1, dtype=torch.float64)
        num_dropped = (mass <= 1 - top_p).sum(dim=1, keepdim=True).clamp(max=scores.shape[1] - keep)
        edge = ordered.gather(1, num_dropped)
        num_above = (scores > edge).sum(dim=1, keepdim=True)
        is_edge = scores == edge
        is_kept = is_edge & (is_edge.cumsum(dim=1) <= scores.shape[1] - num_dropped - num_above)
        return scores.masked_fill(~(is_kept | (scores > edge)), -torch.inf)

    return apply


def _ordered(scores: torch.Tensor) -> torch.Tensor:
    """Each row's values from small to large; numpy sorts them several times faster than torch, which adds places."""
    if scores.device.type == "cpu":
        return torch.from_numpy(np.sort(scores.numpy(), axis=1))
    return scores.sort(dim=1).values


def _diversity(context: TextState, scores: torch.Tensor) -> torch.Tensor:
    """Vijayakumar et al. (2018), Hamming diversity; before the repetition penalty, where transformers 4 had it."""
    return scores if context.penalty is None else scores - context.penalty


def _repetition(penalty: float) -> Processor:
    """Keskar et al. (2019); padding is not a repetition."""

    def apply(context: TextState, scores: torch.Tensor) -> torch.Tensor:
        rows, size = scores.shape
        seen = torch.zeros(rows, size + 1, dtype=torch.bool, device=scores.device)
        seen.scatter_(1, context.ids.masked_fill(~context.is_text(), size), True)
        penalised = torch.where(scores < 0, scores * penalty, scores / penalty)
        return torch.where(seen[:, :size], penalised, scores)

    return apply


def _no_repeat(size: int) -> Processor:
    """Paulus et al. (2018): a token that would complete an n-gram of the text so far becomes impossible."""

    def apply(context: TextState, scores: torch.Tensor) -> torch.Tensor:
        ids = context.ids
        if ids.shape[1] < size:
            return scores
        windows = ids.unfold(1, size, 1)  # (rows, positions, size)
        is_same = (windows[:, :, :-1] == context.last(size - 1)[:, None]).all(dim=2)
        is_text = context.is_text()
        is_text = is_text[:, : windows.shape[1]] & is_text[:, size - 1 :]  # as text has no gaps
        banned = windows[:, :, -1].masked_fill(~(is_same & is_text), scores.shape[1])
        extended = torch.nn.functional.pad(scores, (0, 1))
        return extended.scatter(1, banned, -torch.inf)[:, :-1]

    return apply


def _not_yet(eos: torch.Tensor, min_new: int) -> Processor:
    return lambda context, scores: _when(
        context.num_new < min_new, lambda: scores.index_fill(1, eos, -torch.inf), scores
    )


def _only(allowed: torch.Tensor, when: int) -> Processor:
    def apply(context: TextState, scores: torch.Tensor) -> torch.Tensor:
        return _when(
            context.num_new == when,
            lambda: torch.full_like(scores, -torch.inf).index_fill(1, allowed, 0.0),
            scores,
        )

    return apply


def _growing(eos: torch.Tensor, start: int, factor: float) -> Processor:
    """EOS gains |score| * (factor**steps - 1), with steps counted from `start` new tokens on."""

    def apply(context: TextState, scores: torch.Tensor) -> torch.Tensor:
        steps = context.num_new - start

        def grown() -> torch.Tensor:
            if isinstance(steps, torch.Tensor):
                growth = (torch.pow(factor, steps.double()) - 1).to(scores.dtype)[..., None]
                gain = scores[:, eos].abs() * growth
            else:
                gain = scores[:, eos].abs() * (factor**steps - 1)
            gain = gain.masked_fill(~gain.isfinite(), 0.0)  # EOS that is impossible stays so
            return scores.index_add(1, eos, gain)

        return _when(steps > 0, grown, scores)

    return apply


def _when(condition: bool | torch.Tensor, changed: Callable[[], torch.Tensor], scores: torch.Tensor) -> torch.Tensor:
    """`changed()` or `scores`, chosen on the device where the condition is a tensor."""
    if isinstance(condition, torch.Tensor):
        return torch.where(condition[..., None], changed(), scores)
    return changed() if condition else scores
