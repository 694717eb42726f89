"""AdamW with decay on the matrices only, and a learning rate that is a function of the step alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from papergen.ml.training.settings import TrainingSettings


def build_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019): weight matrices and embeddings decay, biases and norms do not."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: Sequence[dict[str, object]] = (
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    )
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        fused=settings.strategy != "fsdp2",
    )


def learning_rate(settings: TrainingSettings, step: int, num_steps: int) -> float:
    """The rate of the optimiser step counted from 0: linear warm-up, then the chosen decay towards 0 at `num_steps`."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    if settings.lr_scheduler_type == "constant":
        return settings.learning_rate
    # Counted so that the first step after the warm-up has the peak rate and the last one still moves.
    share = (step - settings.warmup_steps) / max(1, num_steps - settings.warmup_steps)
    if settings.lr_scheduler_type == "linear":
        return settings.learning_rate * (1 - share)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
