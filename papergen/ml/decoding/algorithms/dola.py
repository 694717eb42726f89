"""DoLa (Chuang et al. 2024): the last layer's scores contrasted with those of an earlier layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from papergen.experiment.api import words_only
from papergen.ml.decoding.algorithm import Algorithm, register
from papergen.ml.decoding.algorithms.sample import one_token_per_step
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import cite, distribution_en, distribution_zh

if TYPE_CHECKING:
    from papergen.ml.decoding.search import Batch, Hypothesis


@register
class Dola(Algorithm):
    """Greedy decoding or sampling by contrasted scores."""

    name = "dola"
    asked_by = "dola_layers"
    citations = ("chuang2024dola",)

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """Layers are named."""
        return strategy.dola_layers is not None

    def faults(self, strategy: StrategyParameters) -> Iterator[str]:
        """No layer at all."""
        if strategy.dola_layers == ():
            yield "dola_layers = [] names no layer. Try low, high or a list of layer numbers."

    def contrast_layers(self, strategy: StrategyParameters, model: Any) -> tuple[int, ...] | None:
        """The layers that `dola_layers` means in this model."""
        from papergen.ml.decoding.dola import contrast_layers

        assert strategy.dola_layers is not None, "DoLa has layers"
        return contrast_layers(strategy.dola_layers, model)

    def search(self, batch: Batch) -> list[list[Hypothesis]]:
        """One hypothesis per sample."""
        return one_token_per_step(batch)

    @words_only
    def phrase_en(self, strategy: StrategyParameters) -> Iterator[str]:
        """With the layers and the truncations."""
        how = "sampling" if strategy.do_sample else "greedy decoding"
        layers = strategy.dola_layers
        named = f"{layers} layers" if isinstance(layers, str) else f"layers {', '.join(map(str, layers or ()))}"
        yield f"{how} with contrasted layers (DoLa, {named}){cite(*self.citations)}"
        yield from distribution_en(strategy)

    @words_only
    def phrase_zh(self, strategy: StrategyParameters) -> Iterator[str]:
        """With the layers and the truncations."""
        how = "采样" if strategy.do_sample else "贪心搜索"
        layers = strategy.dola_layers
        if isinstance(layers, str):
            named = {"low": "低层", "high": "高层"}[layers]
        else:
            named = f"第 {'、'.join(map(str, layers or ()))} 层"
        yield f"带层间对比的{how}（DoLa{cite(*self.citations)}，{named}）"
        yield from distribution_zh(strategy)
