"""Fine-tuning a head by the training room's means: DDP, one common order, a loss over the targets of all ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from papergen.core.errors import PapergenError
from papergen.ml.distributed import Ranks
from papergen.ml.tasks.batching import ExampleOrder
from papergen.ml.tasks.encoding import IGNORED, Encoder, Feature, num_targets
from papergen.ml.tasks.heads import has_projection, logits_at
from papergen.ml.tasks.settings import TaskSettings
from papergen.ml.training.curve import Curve, Log
from papergen.ml.training.model import parallel
from papergen.ml.training.optimizer import autocast, build_optimizer, learning_rate
from papergen.ml.training.settings import TrainingSettings
from papergen.ml.training.throughput import StepClock

LOG_EVERY = 5
"""Steps between two points of the loss curve."""

Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What fine-tuning measured."""

    num_steps: int
    train_loss: float
    """Mean over the targets of the last steps."""
    step_time_s: Sequence[float]
    """Of the steps after the warm-up, on this rank."""


def finetune(
    settings: TaskSettings,
    model: nn.Module,
    encoder: Encoder,
    features: Sequence[Feature],
    *,
    ranks: Ranks,
    seed: int,
    log: Log,
    progress: Progress,
) -> Learned:
    """Train `model` in place on this rank; all ranks call it alike and hold equal weights before and after.

    The loss of a step is the mean over the targets of all ranks, however unevenly they are spread.
    """
    if len(features) < settings.batch_size:
        raise PapergenError(
            f"{len(features)} training examples are fewer than batch_size = {settings.batch_size}.",
            hint=f"Use batch_size: {max(1, len(features) // 2)} or less, or more examples.",
        )
    order = ExampleOrder(
        [feature.length for feature in features],
        batch_size=settings.batch_size,
        rank=ranks.rank,
        world_size=ranks.world_size,
        seed=seed % 2**31,
        group_by_length=settings.group_by_length,
    )
    num_steps = settings.num_train_epochs * order.steps_per_epoch
    num_steps = min(num_steps, settings.max_steps or num_steps)
    shared = training_settings(settings, num_steps)
    first = [features[index] for index in order.at(0)[:2]]  # which weights get a gradient takes no whole batch
    freeze_unused(settings.task, model, on_device(encoder.batch(first, seed=str(seed)), ranks))
    trained = parallel(model, shared, ranks)
    optimizer = build_optimizer(trained, shared)
    curve, clock = Curve(ranks, log), StepClock(ranks.device)
    trained.train()
    for step in range(num_steps):
        clock.start()
        chosen = [features[index] for index in order.at(step)]
        batch = on_device(encoder.batch(chosen, seed=f"{seed} {step // order.steps_per_epoch}"), ranks)
        own = num_targets(settings.task, batch)
        total = int(ranks.sum(torch.tensor([own], device=ranks.device)).item())
        if total == 0:
            raise PapergenError(
                "a whole batch of texts of a single token has nothing to predict: leave such texts out."
            )
        rate = learning_rate(shared, step, num_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with autocast(settings.dtype, ranks.device):
            # The model's loss is a mean over its own targets.
            loss = output_of(settings.task, trained, batch, model=model).loss * own
        # DDP divides by the number of ranks; what is wanted is the sum over ranks / number of targets.
        (loss * (ranks.world_size / total)).backward()
        if settings.max_grad_norm:
            nn.utils.clip_grad_norm_(trained.parameters(), settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        clock.stop()
        curve.add(loss.detach(), total)
        done = step + 1
        fields = curve.point(done, clock, rate) if done % LOG_EVERY == 0 or done == num_steps else {}
        fields.pop("tokens_per_s", None)
        progress(done, num_steps, fields)
    return Learned(num_steps=num_steps, train_loss=curve.final_loss(num_steps), step_time_s=list(clock.timed_s()))


def output_of(task: str, call: Any, batch: Mapping[str, Any], *, model: Any) -> Any:
    """What `call`, the model or what holds it for DDP, gives for the batch, loss included.

    A head for masked words projects the masked places only: logits are (1, targets, vocabulary), row by row.
    """
    if task != "masked_lm" or not has_projection(model):
        return call(**batch)
    places = batch["labels"] != IGNORED
    with logits_at(model, places):
        return call(**{**batch, "labels": batch["labels"][places][None]})


def freeze_unused(task: str, model: nn.Module, batch: Mapping[str, Any]) -> None:
    """Take weights that the head does not use (BERT's pooler under a token head) out of training.

    They would get no gradient anyway, and DDP would wait for it. The pass's own randomness is given back.
    """
    devices = [batch["input_ids"].device] if batch["input_ids"].is_cuda else []
    with torch.random.fork_rng(devices=devices):
        output_of(task, model, batch, model=model).loss.backward()
    for parameter in model.parameters():
        if parameter.grad is None:
            parameter.requires_grad_(False)
        parameter.grad = None


def training_settings(settings: TaskSettings, num_steps: int) -> TrainingSettings:
    """The same run in the training room's words: linear warm-up and decay, AdamW with transformers' betas."""
    return TrainingSettings(
        world_size=settings.world_size,
        batch_size=settings.batch_size,
        max_steps=num_steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adam_beta2=0.999,
        warmup_steps=int(settings.warmup_ratio * num_steps),
        lr_scheduler_type="linear",
        max_grad_norm=settings.max_grad_norm,
        dtype=settings.dtype,
    )


def on_device(batch: Mapping[str, torch.Tensor], ranks: Ranks) -> dict[str, Any]:
    """The batch where the model is."""
    return {name: value.to(ranks.device) for name, value in batch.items()}
