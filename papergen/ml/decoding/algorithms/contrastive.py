"""Contrastive search (Su et al. 2022): likely tokens whose hidden state does not resemble the text so far."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

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
    also_reads = ("top_k",)
    citations = ("su2022contrastive",)
    needs_cache = True
    needs_hidden_states = True

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """There is a weight of the degeneration penalty."""
        return strategy.penalty_alpha is not None

    def faults(self, strategy: StrategyParameters) -> Iterator[str]:
        """Draws, and too few candidates."""
        if strategy.do_sample:
            yield (
                "penalty_alpha takes the best token of each step, so do_sample = true has no place."
                " Try do_sample: false."
            )
        if strategy.top_k < 2:
            yield (
                f"top_k = {strategy.top_k} leaves contrastive search no choice. Try top_k: 4 with penalty_alpha: 0.6."
            )

    def rows_per_prompt(self, strategy: StrategyParameters, vocabulary_size: int) -> int:
        """A row per candidate."""
        return min(strategy.top_k, vocabulary_size)

    def search(self, batch: Batch) -> list[list[Hypothesis]]:
        """One hypothesis per prompt."""
        from papergen.ml.decoding.contrastive import contrastive_search

        return contrastive_search(batch)

    @words_only
    def phrase_en(self, strategy: StrategyParameters) -> Iterator[str]:
        """With its two parameters."""
        alpha = number(strategy.penalty_alpha)
        yield f"contrastive search with $k={strategy.top_k}$ and $\\alpha={alpha}${cite(*self.citations)}"

    @words_only
    def phrase_zh(self, strategy: StrategyParameters) -> Iterator[str]:
        """With its two parameters."""
        alpha = number(strategy.penalty_alpha)
        yield f"对比搜索{cite(*self.citations)}（$k={strategy.top_k}$，$\\alpha={alpha}$）"
