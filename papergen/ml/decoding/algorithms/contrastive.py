"""Contrastive search (Su et al. 2022): likely tokens whose hidden state does not resemble the text so far."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from papergen.core.errors import ParameterFault
from papergen.core.phrase import Phrase
from papergen.experiment.api import words_only
from papergen.ml.decoding.algorithm import Algorithm, register
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import cite, number

if TYPE_CHECKING:
    from papergen.ml.decoding.search import Batch, Hypothesis


@register
class Contrastive(Algorithm):
    """The best of the `top_k` likeliest tokens by probability and resemblance."""

    name = "contrastive"
    asked_by = "penalty_alpha"
    asking = ("penalty_alpha",)
    also_reads = ("top_k",)
    citations = ("su2022contrastive",)
    needs_cache = True
    needs_hidden_states = True

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """There is a weight of the degeneration penalty."""
        return strategy.penalty_alpha is not None

    def faults(self, strategy: StrategyParameters) -> Iterator[ParameterFault]:
        """Draws, and too few candidates."""
        if strategy.do_sample:
            yield ParameterFault(
                "penalty_alpha takes the best token of each step, so do_sample = true has no place."
                " Try do_sample: false.",
                "penalty_alpha",
                "do_sample",
            )
        if strategy.top_k < 2:
            yield ParameterFault(
                f"top_k = {strategy.top_k} leaves contrastive search no choice. Try top_k: 4 with penalty_alpha: 0.6.",
                "top_k",
                "penalty_alpha",
            )

    def rows_per_prompt(self, strategy: StrategyParameters, vocabulary_size: int) -> int:
        """A row per candidate."""
        return min(strategy.top_k, vocabulary_size)

    def search(self, batch: Batch) -> list[list[Hypothesis]]:
        """One hypothesis per prompt.

        Each step runs the `top_k` likeliest tokens of every row and keeps the one with the highest
        (1 - alpha) p(token) - alpha max cosine(hidden state, hidden states of the text before it), prompt included.
        """
        import torch

        from papergen.ml.decoding.search import Hypothesis

        stepper, strategy, eos = batch.stepper, batch.strategy, batch.eos
        alpha, num_candidates = strategy.penalty_alpha, min(strategy.top_k, batch.tokens.vocabulary_size)
        assert alpha is not None, "contrastive search has a penalty_alpha"
        logits = stepper.prefill()
        rows = torch.arange(len(logits), device=batch.device)
        context = torch.nn.functional.normalize(stepper.hidden[-1].float(), dim=2)  # (rows, positions, size)
        # Padding resembles nothing: it must not count as text that a candidate repeats.
        positions = torch.arange(context.shape[1], device=batch.device)
        is_text = positions >= stepper.pads[:, None] if not stepper.is_encoder_decoder else positions[None] >= 0
        is_text = is_text.expand(context.shape[:2])  # (rows, positions)
        ids = torch.full((len(rows), batch.limits.max_new), -1, dtype=torch.long, device=batch.device)
        log_probs = torch.zeros(len(rows), dtype=torch.float64, device=batch.device)
        is_open = torch.ones(len(rows), dtype=torch.bool, device=batch.device)
        # Every prompt has as many rows as there are candidates; after each step all become the one that was chosen.
        stepper.fan_out(num_candidates)
        outputs = rows
        """Which output each prompt of the batch writes."""
        for step in range(batch.limits.max_new):
            scores = batch.process(logits, rows=rows * num_candidates)
            probabilities, candidates = scores.softmax(dim=1).topk(num_candidates, dim=1)
            following = stepper.step(candidates.flatten()).view(len(rows), num_candidates, -1)
            hidden = torch.nn.functional.normalize(stepper.hidden[-1][:, -1].float(), dim=1)
            hidden = hidden.view(len(rows), num_candidates, -1)
            resemblance = (hidden @ context.transpose(1, 2)).masked_fill(~is_text[:, None], -torch.inf).amax(dim=2)
            # (1 - alpha) p(token) - alpha max cosine, as in the docstring (Su et al. 2022).
            values = (1 - alpha) * probabilities - alpha * resemblance
            # A candidate that the processors forbid stays out, however new it looks.
            best = values.masked_fill(probabilities == 0, -torch.inf).argmax(dim=1)
            tokens = candidates[rows, best]
            stepper.settle(best)
            chosen = logits.gather(1, tokens[:, None])[:, 0].double() - logits.logsumexp(dim=1).double()
            log_probs[outputs] += torch.where(is_open, chosen, 0.0)
            ids[outputs, step] = torch.where(is_open, tokens, -1)
            is_open &= ~torch.isin(tokens, eos)
            if stepper.is_true(~is_open.any()):
                break
            logits = following[rows, best]
            context = torch.cat([context, hidden[rows, best][:, None]], dim=1)
            is_text = torch.cat([is_text, is_text.new_ones(len(rows), 1)], dim=1)
            kept = batch.staying(~is_open)
            if kept is not None:
                stepper.keep_prompts(kept, num_candidates)
                rows, outputs, is_open = rows[: len(kept)], outputs[kept], is_open[kept]
                logits, context, is_text = logits[kept], context[kept], is_text[kept]
        return [
            [Hypothesis([token for token in row if token >= 0], log_prob)]
            for row, log_prob in zip(ids.tolist(), log_probs.tolist(), strict=True)
        ]

    @words_only
    def phrases(self, strategy: StrategyParameters) -> Iterator[Phrase]:
        """With its two parameters."""
        yield Phrase(
            "contrastive search with $k={k}$ and $\\alpha={alpha}${cited}",
            "对比搜索{cited}（$k={k}$，$\\alpha={alpha}$）",
        ).format(k=strategy.top_k, alpha=number(strategy.penalty_alpha), cited=cite(*self.citations))
