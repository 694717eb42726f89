"""Lexically constrained beam search: words or phrases that every continuation must contain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from papergen.core.errors import ParameterFault, counted
from papergen.core.phrase import Phrase
from papergen.experiment.api import words_only
from papergen.ml.decoding.algorithm import register
from papergen.ml.decoding.algorithms.beam import BeamAlgorithm
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import cite, escaped

if TYPE_CHECKING:
    from papergen.ml.decoding.search import Batch, Hypothesis


NUM_SEARCHES = 2
"""Searches side by side over each prompt, with dynamic and with legacy beam allocation (`constrained.py`)."""


@register
class Constrained(BeamAlgorithm):
    """Forced words by dynamic beam allocation (Hokamp and Liu 2017; Post and Vilar 2018)."""

    name = "constrained"
    asked_by = "force_words"
    asking = ("force_words", "force_words_ids")
    citations = ("hokamp2017lexically", "post2018fast")

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """Words are forced, by text or by token ids."""
        return strategy.is_constrained

    def faults(self, strategy: StrategyParameters) -> Iterator[ParameterFault]:
        """No beams, draws, and words that are none."""
        words = [name for name in self.asking if getattr(strategy, name) is not None]
        if strategy.num_beams == 1:
            yield ParameterFault("Forced words need a beam search to place them. Try num_beams: 4.", *words)
        if strategy.do_sample:
            yield ParameterFault(
                "Forced words with do_sample is no known algorithm. Try do_sample: false.", *words, "do_sample"
            )
        for name in words:
            given = getattr(strategy, name)
            if not given or any(len(item) == 0 or any(part in ((), "") for part in item) for item in given):
                yield ParameterFault(
                    f"{name} = {given!r} contains an empty word, phrase or choice. Leave it out.", name
                )
            elif len(set(given)) < len(given):
                yield ParameterFault(
                    f"{name} names the same constraint twice; an output with the word once meets both. Leave one out.",
                    name,
                )

    def rows_per_prompt(self, strategy: StrategyParameters, vocabulary_size: int) -> int:
        """A row per hypothesis of both searches."""
        del vocabulary_size
        return NUM_SEARCHES * strategy.num_beams

    def search(self, batch: Batch) -> list[list[Hypothesis]]:
        """Hypotheses with all forced words first."""
        from papergen.ml.decoding.constrained import constrained_search

        return constrained_search(batch)

    @words_only
    def phrases(self, strategy: StrategyParameters) -> Iterator[Phrase]:
        """With the number of beams and the words."""
        yield Phrase(
            "lexically constrained beam search with {beams} beams and dynamic beam allocation{cited}{words}",
            "带词汇约束的束搜索{cited}（{beams} 个束，动态分配{words}）",
        ).format(beams=strategy.num_beams, cited=cite(*self.citations), words=self._words(strategy))
        yield from self.ranking(strategy)

    @words_only
    def _words(self, strategy: StrategyParameters) -> Phrase:
        words = strategy.force_words or ()
        if not words:
            count = len(strategy.force_words_ids or ())
            return Phrase(f" and {counted(count, 'forced phrase')}", f"，{count} 个必含短语")
        choices = [(item,) if isinstance(item, str) else item for item in words]
        english = [" or ".join(f"``{escaped(word)}''" for word in choice) for choice in choices]
        chinese = ["或".join(f"“{escaped(word)}”" for word in choice) for choice in choices]
        return Phrase(f" that must contain {' and '.join(english)}", f"，必须包含{'和'.join(chinese)}")
