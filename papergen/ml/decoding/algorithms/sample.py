"""Greedy decoding and sampling: one token per text and step, as far as nothing else is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from papergen.core.phrase import Phrase
from papergen.experiment.api import words_only
from papergen.ml.decoding.algorithm import Algorithm, register
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import sampling

if TYPE_CHECKING:
    from papergen.ml.decoding.sampling import Choose
    from papergen.ml.decoding.search import Batch, Hypothesis


def one_token_per_step(batch: Batch, choose: Choose | None = None) -> list[list[Hypothesis]]:
    """A token per text and step: what `choose` makes of the scores, by itself the likeliest; or a drawn one.

    Steps of static shape are taken where there are such.
    """
    from papergen.ml.decoding.sampling import likeliest, sample
    from papergen.ml.decoding.static_sampling import sample_static
    from papergen.ml.decoding.static_stepper import StaticStepper

    run = sample_static if isinstance(batch.stepper, StaticStepper) else sample
    return run(batch, choose or likeliest)


@register
class Greedy(Algorithm):
    """The likeliest token at every step."""

    name = "greedy"

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """Without draws and beams."""
        return strategy.num_beams == 1 and not strategy.do_sample

    def search(self, batch: Batch) -> list[list[Hypothesis]]:
        """One hypothesis per prompt."""
        return one_token_per_step(batch)

    @words_only
    def phrases(self, strategy: StrategyParameters) -> Iterator[Phrase]:
        """Its name."""
        del strategy
        yield Phrase("greedy decoding", "贪心搜索")


@register
class Sample(Algorithm):
    """A token drawn at every step, after the truncations and the temperature."""

    name = "sample"

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """With draws and without beams."""
        return strategy.num_beams == 1 and strategy.do_sample

    def search(self, batch: Batch) -> list[list[Hypothesis]]:
        """One hypothesis per sample."""
        return one_token_per_step(batch)

    @words_only
    def phrases(self, strategy: StrategyParameters) -> Iterator[Phrase]:
        """By the name of its truncation."""
        yield from sampling(strategy)
