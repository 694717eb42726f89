"""DoLa (Chuang et al. 2024): the last layer's scores contrasted with those of an earlier layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from papergen.core.errors import PapergenError, ParameterFault
from papergen.core.phrase import Phrase
from papergen.experiment.api import words_only
from papergen.ml.decoding.algorithm import Algorithm, register
from papergen.ml.decoding.algorithms.sample import one_token_per_step
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.wording import cite, distribution

if TYPE_CHECKING:
    from papergen.ml.decoding.search import Batch, Hypothesis


@register
class Dola(Algorithm):
    """Greedy decoding or sampling by contrasted scores."""

    name = "dola"
    asked_by = "dola_layers"
    asking = ("dola_layers",)
    citations = ("chuang2024dola",)

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """Layers are named."""
        return strategy.dola_layers is not None

    def faults(self, strategy: StrategyParameters) -> Iterator[ParameterFault]:
        """No layer at all."""
        if strategy.dola_layers == ():
            yield ParameterFault(
                "dola_layers = [] names no layer. Try low, high or a list of layer numbers.", "dola_layers"
            )

    def contrast_layers(self, strategy: StrategyParameters, model: Any) -> tuple[int, ...] | None:
        """The layers that `dola_layers` means in this model."""
        assert strategy.dola_layers is not None, "DoLa has layers"
        return contrast_layers(strategy.dola_layers, model)

    def search(self, batch: Batch) -> list[list[Hypothesis]]:
        """One hypothesis per sample."""
        return one_token_per_step(batch)

    @words_only
    def phrases(self, strategy: StrategyParameters) -> Iterator[Phrase]:
        """With the layers and the truncations."""
        yield Phrase(
            "{how} with contrasted layers (DoLa, {layers}){cited}", "带层间对比的{how}（DoLa{cited}，{layers}）"
        ).format(
            how=Phrase("sampling", "采样") if strategy.do_sample else Phrase("greedy decoding", "贪心搜索"),
            layers=_named(strategy.dola_layers or ()),
            cited=cite(*self.citations),
        )
        yield from distribution(strategy)


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


@words_only
def _named(layers: str | Sequence[int]) -> Phrase:
    """`low` or `high`, or their numbers."""
    if isinstance(layers, str):
        return Phrase(f"{layers} layers", {"low": "低层", "high": "高层"}[layers])
    return Phrase(f"layers {', '.join(map(str, layers))}", f"第 {'、'.join(map(str, layers))} 层")
