"""What a training run reports: each number once, with its name, unit, direction, words in both languages and formula.

Importable without torch: kinds declare these metrics, the loop computes them. How one is added is told in
docs/contributing/training-metric.md.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from papergen.core.phrase import Phrase
from papergen.experiment.api import Metric
from papergen.ml.words import PERPLEXITY, SPEED, STEP, TOKENS_PER_S, TRAIN_LOSS

if TYPE_CHECKING:
    from papergen.ml.distributed import Ranks
    from papergen.ml.training.evaluation import Evaluation
    from papergen.ml.training.profile import Breakdown
    from papergen.ml.training.settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """What a metric may be computed from, on every rank alike but for the times, which are the rank's own."""

    settings: TrainingSettings
    ranks: Ranks
    model_config: Any
    """Of transformers."""
    num_parameters: int
    num_steps: int
    num_train_tokens: int
    """Target tokens trained on, over all ranks."""
    train_loss: float
    """Over the last steps, in nats per token."""
    step_times_s: Sequence[float]
    """Seconds of every step that counts: without warm-up and traced steps."""
    evaluation: Evaluation | None
    """On the held-out text after the last step; None where only steps were timed."""
    breakdown: Breakdown | None
    """Of the traced steps; None where none was."""
    wall_time_s: float


Formula = Callable[[FinishedRun], float | None]
"""The number, or None where this run has none. Called on all ranks in the same order, so a collective is allowed."""

FORMULAS: dict[str, Formula] = {}
"""Name of the metric -> how it is computed."""
METRICS: list[Metric] = []
"""Those that have a label: what the kinds declare."""
OF_EVALUATION: set[str] = set()
"""Names of those that need held-out text: a kind that only times steps does not declare them."""


def metric(
    label: str,
    *,
    unit: str = "",
    direction: Literal["higher", "lower", "none"] = "none",
    is_of_evaluation: bool = False,
) -> Callable[[Formula], Formula]:
    """Decorator of a formula: it is reported under the function's name and declared with these words."""

    def registered(formula: Formula) -> Formula:
        if is_of_evaluation:
            OF_EVALUATION.add(formula.__name__)
        METRICS.append(Metric(name=formula.__name__, label=label, unit=unit, direction=direction))
        return recorded(formula)

    return registered


def recorded(formula: Formula) -> Formula:
    """Decorator of a formula whose number is recorded without a label: for prose and for other numbers."""
    assert formula.__name__ not in FORMULAS, f"two training metrics are called {formula.__name__}"
    FORMULAS[formula.__name__] = formula
    return formula


def metrics_of(run: FinishedRun) -> dict[str, float]:
    """All numbers that the run has; called by all ranks."""
    found = {name: formula(run) for name, formula in FORMULAS.items()}
    return {name: number for name, number in found.items() if number is not None}


@metric(Phrase("Val. loss", "验证损失"), direction="lower", is_of_evaluation=True)
def validation_loss(run: FinishedRun) -> float | None:
    """Nats per held-out token."""
    return run.evaluation.loss if run.evaluation else None


@metric(PERPLEXITY, direction="lower", is_of_evaluation=True)
def perplexity(run: FinishedRun) -> float | None:
    """Exp of the validation loss."""
    return run.evaluation.perplexity if run.evaluation else None


@metric(Phrase("Bits/char.", "比特/字符"), direction="lower", is_of_evaluation=True)
def bits_per_character(run: FinishedRun) -> float | None:
    """Bits for the held-out text per character."""
    return run.evaluation.bits_per_character if run.evaluation else None


@metric(TRAIN_LOSS, direction="lower")
def train_loss(run: FinishedRun) -> float:
    """Nats per token over the last steps."""
    return run.train_loss


@metric(SPEED, direction="higher", unit=TOKENS_PER_S)
def tokens_per_s(run: FinishedRun) -> float:
    """Target tokens of a step over its median time."""
    return run.num_train_tokens / run.num_steps / statistics.median(run.step_times_s)


@metric(STEP, direction="lower", unit="ms")
def step_time_ms(run: FinishedRun) -> float:
    """The median over the steps."""
    return statistics.median(run.step_times_s) * 1e3


@metric(Phrase("Step p95", "每步 p95"), direction="lower", unit="ms")
def step_time_p95_ms(run: FinishedRun) -> float:
    """The time that 95 % of the steps take at most."""
    from papergen.ml.training.throughput import percentile

    return percentile(run.step_times_s, 0.95) * 1e3


@metric(Phrase("Peak memory per rank", "每进程内存峰值"), direction="lower", unit="MiB")
def peak_memory_mib(run: FinishedRun) -> float:
    """Of the rank that needs most."""
    from papergen.ml.training.throughput import peak_memory_mib as of_this_rank

    return run.ranks.maximum(of_this_rank(run.ranks.device))


@metric("MFU", direction="higher", unit="%")
def mfu(run: FinishedRun) -> float | None:
    """Share of the GPUs' peak that the model's arithmetic makes use of; None for a peak that is not known."""
    if run.ranks.device.type != "cuda":
        return None
    import torch

    from papergen.ml.training.throughput import flops_per_token, model_flops_utilisation

    return model_flops_utilisation(
        tokens_per_s(run) or 0.0,
        flops_per_token(run.model_config, run.num_parameters, run.settings.block_size),
        gpu=torch.cuda.get_device_name(run.ranks.device),
        num_gpus=torch.cuda.device_count() if run.settings.strategy == "dp" else run.ranks.world_size,
        dtype=run.settings.dtype,
    )


@metric(Phrase("Communication", "通信"), unit="%")
def communication_share(run: FinishedRun) -> float | None:
    """Share of a traced step in which some collective was under way."""
    return 100 * run.breakdown.communication_ms / run.breakdown.step_ms if run.breakdown else None


@metric(Phrase("Exposed communication", "未重叠的通信"), unit="%")
def exposed_communication_share(run: FinishedRun) -> float | None:
    """Share of a traced step in which a collective was under way and nothing was computed."""
    return 100 * run.breakdown.exposed_communication_ms / run.breakdown.step_ms if run.breakdown else None


@recorded
def compute_share(run: FinishedRun) -> float | None:
    """Share of a traced step in which something was computed."""
    return 100 * run.breakdown.compute_ms / run.breakdown.step_ms if run.breakdown else None


@recorded
def profiled_step_ms(run: FinishedRun) -> float | None:
    """A traced step; the trace slows it, so read the shares."""
    return run.breakdown.step_ms if run.breakdown else None


@recorded
def communication_ms(run: FinishedRun) -> float | None:
    """Of a traced step: some collective was under way."""
    return run.breakdown.communication_ms if run.breakdown else None


@recorded
def num_parameters(run: FinishedRun) -> float:
    """Weights of the model, shared ones once."""
    return run.num_parameters


@recorded
def num_steps(run: FinishedRun) -> float:
    """Optimiser steps."""
    return run.num_steps


@recorded
def num_train_tokens(run: FinishedRun) -> float:
    """Target tokens trained on, over all ranks."""
    return run.num_train_tokens


@recorded
def wall_time_s(run: FinishedRun) -> float:
    """From the start of the run to here, over its attempts."""
    return run.wall_time_s
