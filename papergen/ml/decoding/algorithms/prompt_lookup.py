"""Speculative decoding with drafts that are looked up in the text so far (Saxena 2023)."""

from __future__ import annotations

from collections.abc import Iterator

from papergen.experiment.api import words_only
from papergen.ml.decoding.algorithm import register
from papergen.ml.decoding.algorithms.assisted import DraftingAlgorithm
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import cite, distribution_en, distribution_zh


@register
class PromptLookup(DraftingAlgorithm):
    """Drafts from where the text read the same before."""

    name = "prompt_lookup"
    asked_by = "prompt_lookup_num_tokens"
    own_parameters = ("max_matching_ngram_size",)
    citations = ("saxena2023prompt",)

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """A length of drafts is given."""
        return strategy.prompt_lookup_num_tokens is not None

    def num_drafts(self, strategy: StrategyParameters) -> int:
        """As many as are looked up."""
        assert strategy.prompt_lookup_num_tokens is not None, "drafts have a length"
        return strategy.prompt_lookup_num_tokens

    @words_only
    def phrase_en(self, strategy: StrategyParameters) -> Iterator[str]:
        """With the length of the drafts and the truncations."""
        yield (
            f"{self.name_en(strategy)} with drafts of up to {strategy.prompt_lookup_num_tokens} tokens looked up in"
            f" the text so far{cite(*self.citations)}"
        )
        yield from distribution_en(strategy)

    @words_only
    def phrase_zh(self, strategy: StrategyParameters) -> Iterator[str]:
        """With the length of the drafts and the truncations."""
        yield (
            f"{self.name_zh(strategy)}{cite(*self.citations)}"
            f"（草稿从已有文本中查得，至多 {strategy.prompt_lookup_num_tokens} 个词元）"
        )
        yield from distribution_zh(strategy)
