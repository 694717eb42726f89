"""Diverse (group) beam search: groups of beams are penalised for the tokens that earlier groups chose."""

from __future__ import annotations

from collections.abc import Iterator

from papergen.core.errors import ParameterFault
from papergen.core.phrase import Phrase
from papergen.experiment.api import words_only
from papergen.ml.decoding.algorithm import register
from papergen.ml.decoding.algorithms.beam import BeamAlgorithm
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import cite, number


@register
class Diverse(BeamAlgorithm):
    """Beams in groups (Vijayakumar et al. 2018)."""

    name = "diverse"
    asked_by = "num_beam_groups > 1"
    asking = ("num_beam_groups",)
    own_parameters = (*BeamAlgorithm.own_parameters, "num_beam_groups", "diversity_penalty")
    citations = ("vijayakumar2018diverse",)

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """More than one group."""
        return strategy.num_beam_groups > 1

    def faults(self, strategy: StrategyParameters) -> Iterator[ParameterFault]:
        """Groups of unequal size, groups that do the same, groups that draw."""
        s = strategy
        if s.num_beams % s.num_beam_groups:
            good = [str(n) for n in range(2, s.num_beams + 1) if s.num_beams % n == 0]
            remedy = f"Try {' or '.join(good)}." if good else "Raise num_beams first."
            yield ParameterFault(
                f"num_beam_groups = {s.num_beam_groups} does not divide num_beams = {s.num_beams}. {remedy}",
                "num_beam_groups",
                "num_beams",
            )
        elif s.diversity_penalty == 0:
            yield ParameterFault(
                "num_beam_groups > 1 with diversity_penalty = 0 runs the same search in every group. Try 0.5.",
                "num_beam_groups",
                "diversity_penalty",
            )
        if s.do_sample:
            yield ParameterFault(
                "num_beam_groups > 1 with do_sample is no known algorithm. Try do_sample: false.",
                "num_beam_groups",
                "do_sample",
            )

    def fault_without(self, strategy: StrategyParameters, parameter: str) -> ParameterFault:
        """It acts between groups."""
        value = getattr(strategy, parameter)
        return ParameterFault(
            f"{parameter} = {value} acts between groups. Try num_beam_groups: {strategy.num_beams}.", parameter
        )

    @words_only
    def phrases(self, strategy: StrategyParameters) -> Iterator[Phrase]:
        """With the numbers of beams and groups, and the penalty."""
        yield Phrase(
            "diverse beam search with {beams} beams in {groups} groups and diversity penalty ${penalty}${cited}",
            "多样束搜索{cited}（{beams} 个束，分为 {groups} 组，多样性惩罚为 ${penalty}$）",
        ).format(
            beams=strategy.num_beams,
            groups=strategy.num_beam_groups,
            penalty=number(strategy.diversity_penalty),
            cited=cite(*self.citations),
        )
        yield from self.ranking(strategy)
