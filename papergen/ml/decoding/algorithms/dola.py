"""DoLa (Chuang et al. 2024): the last layer's scores contrasted with those of an earlier layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from papergen.core.errors import PapergenError
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


def contrast_layers(wanted: str | tuple[int, ...], model: Any) -> tuple[int, ...]:
    """The earlier layers to choose from: every second one of the lower or upper half, or those asked for.

    Layer 0 is the embedding, skipped where it is tied to the output; of models beyond 40 layers, `low` and `high` take
    from the 20 at that end. PapergenError when the model has no such layer.
    """
    if model.config.is_encoder_decoder:
        raise PapergenError("dola_layers: DoLa is for decoder-only models, and this one has an encoder.")
    config = model.config.get_text_config()
    num_layers = int(config.num_hidden_layers)
    first = min(2, max(1, num_layers - 1)) if getattr(config, "tie_word_embeddings", False) else 0
    middle, reach = num_layers // 2, 20
    layers: tuple[int, ...]
    if wanted == "low":
        layers = tuple(range(first, middle if num_layers <= 2 * reach else reach, 2)) or (first,)
    elif wanted == "high":
        layers = tuple(range(middle if num_layers <= 2 * reach else num_layers - reach, num_layers, 2))
    else:
        layers = tuple(layer for layer in wanted if isinstance(layer, int))
    wrong = [layer for layer in layers if not 0 <= layer < num_layers]
    if wrong:
        raise PapergenError(
            f"dola_layers: the model has layers 0 to {num_layers - 1} before its last one, not {wrong}.",
            hint="Try dola_layers: low.",
        )
    return layers
