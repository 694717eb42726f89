"""Speculative decoding: drafts checked by one forward pass of the model; the same text, fewer passes.

A draft token is kept if it is the very token that the model chooses at its place: the likeliest, or in sampling the one
that the sample's random number for that place draws from the model's distribution. So the text is that of the strategy
without drafts, token by token. (Leviathan et al. 2023 and Chen et al. 2023 accept a drawn token with a probability of
its own, which keeps the distribution, but not the text; a number shared by draft and model couples the two draws, and
where both have the same distribution they always agree.)
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from papergen.core.errors import PapergenError
from papergen.ml.decoding.algorithm import algorithm_of
from papergen.ml.decoding.candidate_generators import (
    AssistantGenerator,
    CandidateGenerator,
    PromptLookupGenerator,
    RaggedTexts,
)
from papergen.ml.decoding.ragged_stepper import RaggedStepper, takes_ragged_rows
from papergen.ml.decoding.search import OPEN_SHARE, Batch, Hypothesis
from papergen.ml.models import load_model


def speculate(batch: Batch) -> list[list[Hypothesis]]:
    """One hypothesis per stream of each prompt, with the counts of its drafts."""
    num_samples = batch.keys.shape[1]
    found = _Speculation(batch).run()
    return [found[start : start + num_samples] for start in range(0, len(found), num_samples)]


class _Speculation:
    """The rows of a batch: one per stream of each prompt."""

    def __init__(self, batch: Batch) -> None:
        assert isinstance(batch.stepper, RaggedStepper), "drafts are checked several tokens at a time"
        strategy, num_samples = batch.strategy, batch.keys.shape[1]
        num_drafts = algorithm_of(strategy).num_drafts(strategy)
        self.batch, self.stepper, self.max_new = batch, batch.stepper, batch.limits.max_new
        self.generator = _generator(batch)
        self.logits = self.stepper.prefill()
        """(rows, vocabulary) of the first new token."""
        num_rows = batch.keys.numel()
        self.texts = RaggedTexts(self.stepper.ids, self.stepper.pads, None, max_new=self.max_new, pad=batch.tokens.pad)
        self.outputs = torch.arange(num_rows, device=batch.device)
        """Which output each row of the batch writes."""
        if num_samples > 1:
            repeated = torch.arange(len(batch.keys), device=batch.device).repeat_interleave(num_samples)
            self._select(repeated)
            self.logits = self.logits[repeated]
        if strategy.do_sample:
            self.texts.keys = batch.keys.flatten()
        self.is_open = torch.ones(num_rows, dtype=torch.bool, device=batch.device)
        self.reach = torch.full((num_rows,), num_drafts, dtype=torch.long, device=batch.device)
        """(rows,) tokens of the next draft."""
        self.ids = torch.full((num_rows, self.max_new), -1, dtype=torch.long, device=batch.device)
        self.log_probs = torch.zeros(num_rows, dtype=torch.float64, device=batch.device)
        self.num_drafted, self.num_accepted, self.num_passes = torch.zeros(
            3, num_rows, dtype=torch.long, device=batch.device
        )

        self.num_known = 0
        """Tokens of the batch whose time has been noted."""

    def run(self) -> list[Hypothesis]:
        none = self.texts.ids.new_zeros(len(self.outputs))
        self._verify(self.logits[:, None], none[:, None], none)
        while self._go_on():
            texts = self.texts
            # A window yields one token more than it has drafts.
            left = (self.max_new - 1 - texts.num_new).clamp(min=0)
            wanted = torch.where(self.is_open, torch.minimum(self.reach, left), 0)
            drafts, counts = self.generator.propose(texts, wanted)
            # Sync point: the width of the next forward pass must be known.
            drafts = drafts[:, : int(counts.max())]
            last = texts.ids.gather(1, texts.ends[:, None] - 1)
            logits = self.stepper.run(torch.cat([last, drafts], dim=1), texts.ends - 1)
            num_right = self._verify(logits, drafts, counts)
            self._adapt(num_right, counts)
        return self._hypotheses()

    def _verify(self, logits: torch.Tensor, drafts: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Append to every open row the tokens that the model chooses, as long as the drafts foresaw them, and one more.

        `logits` (rows, window, vocabulary) are the model's; of `drafts` (rows, window - 1) the first `counts` (rows,)
        are guesses. Returns how many of them were right.
        """
        texts = self.texts
        active = self.is_open.nonzero()[:, 0]
        num_right = torch.zeros_like(counts)
        self.num_passes[self.outputs[active]] += 1
        self.num_drafted[self.outputs] += counts
        for place in range(logits.shape[1]):
            whole = len(active) == len(logits)
            own = (logits[:, place] if whole else logits[active, place]).float()
            ends = texts.ends[active]
            tokens, _ = texts.choose(self.batch.processors, own, active, ends)
            outputs = self.outputs[active]
            self.log_probs[outputs] += own.gather(1, tokens[:, None])[:, 0].double() - own.logsumexp(dim=1).double()
            self.ids[outputs, ends - texts.prompt_width] = tokens
            texts.ids[active, ends] = tokens
            texts.ends[active] = ends + 1
            is_last = torch.isin(tokens, self.batch.eos) | (ends + 1 - texts.prompt_width == self.max_new)
            self.is_open[active] = ~is_last
            if place + 1 == logits.shape[1]:
                break
            is_right = (place < counts[active]) & (drafts[active, place] == tokens)
            num_right[active] += is_right
            active = active[is_right & ~is_last]
            if len(active) == 0:
                break
        self.num_accepted[self.outputs] += num_right
        return num_right

    def _go_on(self) -> bool:
        """Note the time, let rows that ended leave the batch; whether any is left."""
        # Sync point: how many tokens each row got is known to the device only.
        num_open = int(self.is_open.sum())
        num_new = self.texts.num_new
        # A token of the batch is known when every row that gets so far has it.
        known = int(num_new[self.is_open].min() if num_open else num_new.max())
        for _ in range(known - self.num_known):
            self.stepper.mark()
        self.num_known = known
        if 0 < num_open <= OPEN_SHARE * len(self.outputs):
            kept = self.is_open.nonzero()[:, 0]
            self._select(kept)
            self.outputs, self.is_open, self.reach = self.outputs[kept], self.is_open[kept], self.reach[kept]
        return num_open > 0

    def _adapt(self, num_right: torch.Tensor, counts: torch.Tensor) -> None:
        """The schedule of transformers: two more after a draft that was right throughout, else one less."""
        if self.batch.strategy.num_assistant_tokens_schedule == "constant":
            return
        changed = torch.where(num_right == counts, self.reach + 2, (self.reach - 1).clamp(min=1))
        self.reach = torch.where(counts > 0, changed, self.reach)

    def _select(self, index: torch.Tensor) -> None:
        self.stepper.select(index)
        self.generator.select(index)
        self.texts.select(index)

    def _hypotheses(self) -> list[Hypothesis]:
        columns = (self.ids, self.log_probs, self.num_drafted, self.num_accepted, self.num_passes)
        return [
            Hypothesis(
                [token for token in ids if token >= 0],
                log_prob,
                num_drafted=num_drafted,
                num_accepted=num_accepted,
                num_passes=num_passes,
            )
            for ids, log_prob, num_drafted, num_accepted, num_passes in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]


def _generator(batch: Batch) -> CandidateGenerator:
    strategy = batch.strategy
    if strategy.prompt_lookup_num_tokens is not None:
        return PromptLookupGenerator(strategy.max_matching_ngram_size)
    assert isinstance(batch.assistant, RaggedStepper), "an assistant comes with its stepper"
    batch.assistant.prefill()
    return AssistantGenerator(
        batch.assistant, batch.processors, batch.eos, threshold=strategy.assistant_confidence_threshold
    )


def assistant_of(name: str, model: Any) -> Any:
    """The drafting model, loaded once, beside `model`; PapergenError when the two do not go together."""
    assistant = _loaded(name, str(model.dtype).removeprefix("torch."), str(model.device))
    own, theirs = (int(m.config.get_text_config().vocab_size) for m in (model, assistant))
    if own != theirs:
        raise PapergenError(
            f"assistant_model {name!r} has a vocabulary of {theirs} tokens, the model one of {own}.",
            hint="Choose an assistant of the same family.",
        )
    if bool(model.config.is_encoder_decoder) != bool(assistant.config.is_encoder_decoder):
        raise PapergenError(
            f"assistant_model {name!r}: of the two models one has an encoder and the other has none.",
            hint="Choose an assistant of the same family.",
        )
    return assistant


def takes_batches(model: Any, assistant: Any | None) -> bool:
    """Whether prompts are decoded in batches; otherwise one after the other, and so are the samples of a prompt."""
    return all(takes_ragged_rows(one) for one in (model, assistant) if one is not None)


@lru_cache(maxsize=2)
def _loaded(name: str, dtype: Any, device: str) -> Any:
    return load_model(name, dtype=dtype, device=device)
