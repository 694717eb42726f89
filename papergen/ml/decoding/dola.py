"""DoLa (Chuang et al. 2024): the last layer's log-probabilities minus those of an earlier layer that differs most."""

from __future__ import annotations

import math
from typing import Any

import torch

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
