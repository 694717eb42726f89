"""DoLa (Chuang et al. 2024): the last layer's log-probabilities minus those of an earlier layer that differs most."""

from __future__ import annotations

import math
from typing import Any

import torch

from papergen.core.errors import PapergenError
from papergen.ml.decoding.stepper import Stepper

RELATIVE_TOP = 0.1
"""Tokens below this share of the likeliest token's probability are out of the contrast."""


class DolaStepper(Stepper):
    """A stepper whose logits are contrasted ones; `plain` keeps the model's own of the same step.

    Every row chooses its own earlier layer, so that a row does not depend on its batch.
    """

    hidden_positions = slice(-1, None)

    def __init__(
        self, model: Any, ids: torch.Tensor, kwargs: dict[str, Any], layers: tuple[int, ...], **own: Any
    ) -> None:
        super().__init__(model, ids, kwargs, wants_hidden=True, **own)
        self._layers = layers

    def _scores(self, logits: torch.Tensor) -> torch.Tensor:
        self.plain = logits
        head = self.model.get_output_embeddings()
        early = torch.stack([head(self.hidden[layer][:, -1]).float() for layer in self._layers], dim=1)
        return contrasted(logits, early)


def contrasted(final: torch.Tensor, early: torch.Tensor) -> torch.Tensor:
    """(rows, vocabulary) scores from the last layer's logits and those of the earlier ones, (rows, layers, vocabulary).

    The earlier layer is the one with the greatest Jensen-Shannon divergence from the last one.
    """
    last = final.log_softmax(dim=1)
    before = early.log_softmax(dim=2)
    chosen = before[:, 0]
    if before.shape[1] > 1:
        # Jensen-Shannon divergence in logarithms: log((p + q) / 2) without leaving float32.
        mixture = torch.logaddexp(last[:, None], before) - math.log(2.0)
        divergence = 0.5 * (
            (last.exp()[:, None] * (last[:, None] - mixture)).sum(dim=2)
            + (before.exp() * (before - mixture)).sum(dim=2)
        )
        chosen = before[torch.arange(len(final), device=final.device), divergence.argmax(dim=1)]
    # The plausibility constraint of contrastive decoding (Li et al. 2023): an unlikely token gains most by a contrast.
    is_likely = last >= last.amax(dim=1, keepdim=True) + math.log(RELATIVE_TOP)
    return (last - chosen).masked_fill(~is_likely, -torch.inf)


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
