"""Beam search and beam sampling: `num_beams` hypotheses per prompt compete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from papergen.core.errors import ParameterFault
from papergen.core.phrase import Phrase
from papergen.experiment.api import words_only
from papergen.ml.decoding.algorithm import Algorithm, register
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import cite, distribution, number

if TYPE_CHECKING:
    from papergen.ml.decoding.search import Batch, Hypothesis


class BeamAlgorithm(Algorithm):
    """What all beam searches have in common: hypotheses of unequal length are ranked, and the search stops."""

    asked_by = "num_beams > 1"
    asking: ClassVar[tuple[str, ...]] = ("num_beams",)
    own_parameters: ClassVar[tuple[str, ...]] = ("length_penalty", "early_stopping")
    is_search = True

    def fault_without(self, strategy: StrategyParameters, parameter: str) -> ParameterFault:
        """It ranks hypotheses."""
        value = getattr(strategy, parameter)
        return ParameterFault(
            f"{parameter} = {value} ranks hypotheses, and num_beams = 1 has one. Try num_beams: 4.",
            parameter,
            "num_beams",
        )

    def most_outputs(self, strategy: StrategyParameters) -> int | None:
        """As many as there are hypotheses."""
        return strategy.num_beams

    def rows_per_prompt(self, strategy: StrategyParameters, vocabulary_size: int) -> int:
        """A row per hypothesis."""
        del vocabulary_size
        return strategy.num_beams

    def search(self, batch: Batch) -> list[list[Hypothesis]]:
        """The best finished hypotheses."""
        from papergen.ml.decoding.beam import beam_search

        return beam_search(batch)

    @words_only
    def ranking(self, strategy: StrategyParameters) -> Iterator[Phrase]:
        """How hypotheses are ranked and when the search stops, where that is not the default."""
        if strategy.length_penalty != 1.0:
            score = f"$\\log p / \\mathit{{length}}^{{{number(strategy.length_penalty)}}}$"
            yield Phrase(f"hypotheses ranked by {score}", f"候选按 {score} 排序")
        if strategy.early_stopping is True:
            yield Phrase(
                f"stopped at the first {strategy.num_beams} finished hypotheses",
                f"得到 {strategy.num_beams} 个完成的候选即停止",
            )
        elif strategy.early_stopping == "never":
            yield Phrase("stopped when no better hypothesis is possible", "直到不可能出现更好的候选才停止")


@register
class Beam(BeamAlgorithm):
    """Beam search."""

    name = "beam"
    citations = ("graves2012sequence",)

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """Beams of one group, no draws, no forced words."""
        return is_plain(strategy) and not strategy.do_sample

    @words_only
    def phrases(self, strategy: StrategyParameters) -> Iterator[Phrase]:
        """With the number of beams."""
        cited = cite(*self.citations)
        yield Phrase(
            f"beam search with {strategy.num_beams} beams{cited}", f"束宽为 {strategy.num_beams} 的束搜索{cited}"
        )
        yield from self.ranking(strategy)


@register
class BeamSample(BeamAlgorithm):
    """Beam search whose continuations are drawn."""

    name = "beam_sample"

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """Beams of one group that draw."""
        return is_plain(strategy) and strategy.do_sample

    @words_only
    def phrases(self, strategy: StrategyParameters) -> Iterator[Phrase]:
        """With the number of beams and the truncations."""
        yield Phrase(
            f"beam search with {strategy.num_beams} beams whose continuations are drawn without replacement",
            f"束宽为 {strategy.num_beams} 的束采样（续写为无放回抽取）",
        )
        yield from distribution(strategy)
        yield from self.ranking(strategy)


def is_plain(strategy: StrategyParameters) -> bool:
    """Whether the beams are one group, and no words are forced."""
    return strategy.num_beams > 1 and strategy.num_beam_groups == 1 and not strategy.is_constrained
