"""Speculative decoding with drafts that are looked up in the text so far (Saxena 2023)."""

from __future__ import annotations

from collections.abc import Iterator

from papergen.core.phrase import Phrase
from papergen.experiment.api import words_only
from papergen.ml.decoding.algorithm import register
from papergen.ml.decoding.algorithms.assisted import DraftingAlgorithm
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import cite, distribution


@register
class PromptLookup(DraftingAlgorithm):
    """Drafts from where the text read the same before."""

    name = "prompt_lookup"
    asked_by = "prompt_lookup_num_tokens"
    asking = ("prompt_lookup_num_tokens",)
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
    def phrases(self, strategy: StrategyParameters) -> Iterator[Phrase]:
        """With the length of the drafts and the truncations."""
        yield Phrase(
            "{name} with drafts of up to {most} tokens looked up in the text so far{cited}",
            "{name}{cited}（草稿从已有文本中查得，至多 {most} 个词元）",
        ).format(name=self.called(strategy), most=strategy.prompt_lookup_num_tokens, cited=cite(*self.citations))
        yield from distribution(strategy)
