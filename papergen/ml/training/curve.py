"""The curves of a run: token means between two points, over all ranks, remembered for a run that resumes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import torch

from papergen.core.errors import ResultError
from papergen.ml.distributed import Ranks
from papergen.ml.training.throughput import StepClock

Log = Callable[[int, dict[str, float]], None]


class Curve:
    """The training loss: token means over the steps since the last point, over all ranks."""

    def __init__(self, ranks: Ranks, log: Log) -> None:
        self._ranks = ranks
        self._log = log
        self._nats = torch.zeros((), dtype=torch.float64, device=ranks.device)
        self._num_targets = 0
        self._num_steps = 0
        self.num_targets = 0
        """Target tokens trained on, all steps and ranks."""
        self.points: list[tuple[int, float, int]] = []
        """Per point: steps it covers, nats, target tokens."""
        self._logged: list[tuple[int, dict[str, float]]] = []

    def add(self, nats: torch.Tensor, num_targets: int) -> None:
        """One step: the rank's nats and the target tokens of all ranks."""
        self._nats += nats
        self._num_targets += num_targets
        self._num_steps += 1
        self.num_targets += num_targets

    def point(self, step: int, clock: StepClock, learning_rate: float) -> dict[str, float]:
        """Log the mean since the last point; ResultError on every rank alike when it is not finite."""
        total = float(self._ranks.sum(self._nats.clone()).item())
        loss = total / self._num_targets
        if not math.isfinite(loss):
            raise ResultError(
                f"Training diverged: the loss is {loss} by step {step}.",
                hint="Lower learning_rate, or set max_grad_norm.",
            )
        # After a resume or a trace the clock knows only some of these steps.
        durations_s = clock.durations_s()[-self._num_steps :]
        fields = {"train_loss": loss, "learning_rate": learning_rate}
        if durations_s:
            fields["tokens_per_s"] = self._num_targets / self._num_steps / statistics.mean(durations_s)
        self.log(step, dict(fields))
        self.points.append((self._num_steps, total, self._num_targets))
        self._nats.zero_()
        self._num_targets = self._num_steps = 0
        return fields

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Log metrics of a step, and remember them for a run that resumes."""
        self._logged.append((step, metrics))
        self._log(step, metrics)

    def state(self) -> dict[str, Any]:
        """All of this rank's curve for a checkpoint."""
        return {
            "nats": self._nats,
            "counts": [self._num_targets, self._num_steps, self.num_targets],
            "points": list(self.points),
            "logged": list(self._logged),
        }

    def replay(self, state: Mapping[str, Any]) -> None:
        """Take up a checkpoint's curve: log its points again, go on with its sums."""
        self._nats.copy_(state["nats"])
        self._num_targets, self._num_steps, self.num_targets = state["counts"]
        self.points = [(steps, nats, tokens) for steps, nats, tokens in state["points"]]
        for step, metrics in state["logged"]:
            self.log(step, dict(metrics))

    def final_loss(self, num_steps: int) -> float:
        """Token mean over the last points that cover a twentieth of the run."""
        nats, count, covered = 0.0, 0, 0
        for steps, total, tokens in reversed(self.points):
            nats, count, covered = nats + total, count + tokens, covered + steps
            if covered * 20 >= num_steps:
                break
        return nats / count
