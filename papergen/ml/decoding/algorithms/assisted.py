"""Speculative decoding with a smaller model that drafts tokens (Leviathan et al. 2023; Chen et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from papergen.experiment.api import words_only
from papergen.ml.decoding.algorithm import Algorithm, register
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import cite, distribution_en, distribution_zh, escaped

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
    def name_en(self, strategy: StrategyParameters) -> str:
        """What it is called."""
        return "speculative sampling" if strategy.do_sample else "greedy speculative decoding"

    @words_only
    def name_zh(self, strategy: StrategyParameters) -> str:
        """What it is called."""
        return "推测采样" if strategy.do_sample else "贪心推测解码"


@register
class Assisted(DraftingAlgorithm):
    """Drafts of an assistant model."""

    name = "assisted"
    asked_by = "assistant_model"
    own_parameters = ("num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold")
    citations = ("leviathan2023fast", "chen2023accelerating")

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """There is an assistant."""
        return strategy.assistant_model is not None

    def num_drafts(self, strategy: StrategyParameters) -> int:
        """As many as the assistant may draft."""
        return strategy.num_assistant_tokens

    @words_only
    def phrase_en(self, strategy: StrategyParameters) -> Iterator[str]:
        """With the assistant, the length of its drafts and the truncations."""
        yield (
            f"{self.name_en(strategy)} with drafts of up to {strategy.num_assistant_tokens} tokens by"
            f" \\texttt{{{_assistant(strategy)}}}{cite(*self.citations)}"
        )
        yield from distribution_en(strategy)

    @words_only
    def phrase_zh(self, strategy: StrategyParameters) -> Iterator[str]:
        """With the assistant, the length of its drafts and the truncations."""
        yield (
            f"{self.name_zh(strategy)}{cite(*self.citations)}"
            f"（草稿由 \\texttt{{{_assistant(strategy)}}} 生成，至多 {strategy.num_assistant_tokens} 个词元）"
        )
        yield from distribution_zh(strategy)


@words_only
def _assistant(strategy: StrategyParameters) -> str:
    """The last part of its path or id."""
    return escaped((strategy.assistant_model or "").rstrip("/").rsplit("/", 1)[-1])
