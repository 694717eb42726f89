"""Speculative decoding with a smaller model that drafts tokens (Leviathan et al. 2023; Chen et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from papergen.core.phrase import Phrase
from papergen.experiment.api import words_only
from papergen.ml.decoding.algorithm import Algorithm, register
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import cite, distribution, escaped

if TYPE_CHECKING:
    from papergen.ml.decoding.search import Batch, Hypothesis


class DraftingAlgorithm(Algorithm):
    """What drafts tokens and checks them in one forward pass."""

    needs_cache = True

    def search(self, batch: Batch) -> list[list[Hypothesis]]:
        """One hypothesis per sample, with the counts of its drafts."""
        from papergen.ml.decoding.speculative import speculate

        return speculate(batch)

    @words_only
    def called(self, strategy: StrategyParameters) -> Phrase:
        """What it is called."""
        if strategy.do_sample:
            return Phrase("speculative sampling", "推测采样")
        return Phrase("greedy speculative decoding", "贪心推测解码")


@register
class Assisted(DraftingAlgorithm):
    """Drafts of an assistant model."""

    name = "assisted"
    asked_by = "assistant_model"
    asking = ("assistant_model",)
    own_parameters = ("num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold")
    citations = ("leviathan2023fast", "chen2023accelerating")

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """There is an assistant."""
        return strategy.assistant_model is not None

    def num_drafts(self, strategy: StrategyParameters) -> int:
        """As many as the assistant may draft."""
        return strategy.num_assistant_tokens

    @words_only
    def phrases(self, strategy: StrategyParameters) -> Iterator[Phrase]:
        """With the assistant, the length of its drafts and the truncations."""
        assistant, most = _assistant(strategy), strategy.num_assistant_tokens
        yield Phrase(
            "{name} with drafts of up to {most} tokens by {assistant}{cited}",
            "{name}{cited}（草稿由 {assistant} 生成，至多 {most} 个词元）",
        ).format(
            name=self.called(strategy), most=most, assistant=f"\\texttt{{{assistant}}}", cited=cite(*self.citations)
        )
        yield from distribution(strategy)


@words_only
def _assistant(strategy: StrategyParameters) -> str:
    """The last part of its path or id."""
    return escaped((strategy.assistant_model or "").rstrip("/").rsplit("/", 1)[-1])
