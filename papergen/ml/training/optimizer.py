"""AdamW, its learning rate, and one step: gradients averaged over tokens and ranks, clipped, applied."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from papergen.ml.distributed import Ranks
from papergen.ml.training.batches import IGNORED, TokenBatch
from papergen.ml.training.settings import TrainingSettings

AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""dtype parameter -> autocast type; the others compute in the type of the weights."""


def negative_log_likelihood(model: nn.Module, batch: TokenBatch) -> torch.Tensor:
    """Sum over the batch's targets of -log p(target), in nats; a scalar in float32, or in float64 for such a model.

    Own code because transformers computes its loss in float32 always and averages it over one rank's tokens.
    """
    logits = model(input_ids=batch.inputs, use_cache=False).logits  # (batch, time, vocab)
    if logits.dtype != torch.float64:
        logits = logits.float()
    return F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED, reduction="sum")


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


class OptimizerSteps:
    """Applies optimiser steps to a (wrapped) model."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, settings: TrainingSettings, ranks: Ranks
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=settings.dtype == "float16")
        self._settings = settings
        self._ranks = ranks

    def step(self, batches: Sequence[TokenBatch], num_targets: int, learning_rate: float) -> torch.Tensor:
        """One optimiser step over the rank's passes; `num_targets` counts the target tokens of all ranks and passes.

        Returns the rank's summed negative log-likelihood, on its device, without waiting for it.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        total = self.backward(batches, num_targets)
        self.clip()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return total

    def backward(self, batches: Sequence[TokenBatch], num_targets: int) -> torch.Tensor:
        """Leave the gradient of the step's mean loss in the parameters, the same on every rank."""
        total = torch.zeros((), dtype=torch.float64, device=self._ranks.device)
        for index, batch in enumerate(batches):
            is_last = index == len(batches) - 1
            # The forward pass must be inside no_sync too: that is where DDP decides whether to reduce.
            with self._synchronised(is_last), self._autocast():
                loss = negative_log_likelihood(self.model, batch)
                if self._settings.loss_average == "tokens":
                    # DDP divides by the number of ranks; what is wanted is the sum over ranks / number of tokens.
                    scaled = loss * (self._ranks.world_size / num_targets)
                else:
                    scaled = loss / (batch.num_targets * len(batches))
                self.scaler.scale(scaled).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def clip(self) -> torch.Tensor | None:
        """Scale the gradient to a 2-norm of `max_grad_norm` where it is longer; the norm before, over all shards.

        None, and nothing done, where `max_grad_norm` is 0.
        """
        if self._settings.max_grad_norm == 0:
            return None
        self.scaler.unscale_(self.optimizer)
        return nn.utils.clip_grad_norm_(self.model.parameters(), self._settings.max_grad_norm)

    def warm_up(self, batch: TokenBatch) -> None:
        """One pass whose gradients are thrown away and whose randomness is given back.

        DDP lays out its buckets anew after the first backward pass. Doing that before the first real step makes a
        resumed run reduce in the same order as the uninterrupted one, and keeps lazy set-up out of the timing. One
        sequence will do, except for a compiled model, which would be compiled for that shape.
        """
        if not self._settings.torch_compile:
            batch = TokenBatch(batch.inputs[:1], batch.targets[:1])
        devices = [self._ranks.device] if self._ranks.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), self._autocast():
            negative_log_likelihood(self.model, batch).backward()  # type: ignore[no-untyped-call]
        self.optimizer.zero_grad(set_to_none=True)

    def _synchronised(self, is_last: bool) -> AbstractContextManager[None]:
        is_reduced = is_last or not self._settings.no_sync
        if isinstance(self.model, DistributedDataParallel) and not is_reduced:
            held: AbstractContextManager[None] = self.model.no_sync()
            return held
        if isinstance(self.model, FSDPModule):
            self.model.set_requires_gradient_sync(is_reduced)
        return contextlib.nullcontext()

    def _autocast(self) -> AbstractContextManager[None]:
        return autocast(self._settings.dtype, self._ranks.device)


def autocast(dtype: str, device: torch.device) -> AbstractContextManager[None]:
    """Autocast for bfloat16 and float16, nothing for the others."""
    if dtype in AUTOCAST:
        casting: AbstractContextManager[None] = torch.autocast(device.type, dtype=AUTOCAST[dtype])
        return casting
    return contextlib.nullcontext()
