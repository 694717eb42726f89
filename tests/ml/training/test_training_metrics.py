"""What a training run reports: every number by its formula, and those without a basis left out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from papergen.ml.training import metrics
from papergen.ml.training.evaluation import Evaluation
from papergen.ml.training.metrics import FORMULAS, METRICS, FinishedRun, metrics_of
from papergen.ml.training.profile import Breakdown
from papergen.ml.training.settings import TrainingSettings


def finished(**changes: Any) -> FinishedRun:
    """Four steps of 100 tokens on a CPU; the median step takes half a second."""
    cpu = SimpleNamespace(device=torch.device("cpu"), world_size=1, maximum=lambda number: number + 1)
    fields: dict[str, Any] = {
        "settings": TrainingSettings(world_size=1),
        "ranks": cpu,
        "model_config": None,
        "num_parameters": 1000,
        "num_steps": 4,
        "num_train_tokens": 400,
        "train_loss": 3.5,
        "step_times_s": [0.5, 0.4, 0.6],
        "evaluation": Evaluation(nats=20.0, num_tokens=10, num_characters=40),
        "breakdown": None,
        "wall_time_s": 9.0,
    }
    return FinishedRun(**{**fields, **changes})


def test_every_number_follows_from_the_run() -> None:
    found = metrics_of(finished())
    assert found["tokens_per_s"] == pytest.approx(200)
    assert found["step_time_ms"] == pytest.approx(500)
    assert found["step_time_p95_ms"] == pytest.approx(590)
    assert (found["validation_loss"], found["train_loss"], found["wall_time_s"]) == (2.0, 3.5, 9.0)
    assert (found["num_parameters"], found["num_steps"], found["num_train_tokens"]) == (1000, 4, 400)
    assert found["peak_memory_mib"] > 1  # that of the rank which needs most, asked of all


def test_what_a_run_has_no_basis_for_is_left_out() -> None:
    timed = metrics_of(finished(evaluation=None))
    assert {one.name for one in METRICS} - metrics.OF_EVALUATION - timed.keys() == {
        "mfu",
        "communication_share",
        "exposed_communication_share",
    }
    assert not {"validation_loss", "perplexity", "bits_per_character"} & timed.keys()
    assert not {"mfu", "communication_share", "compute_share"} & timed.keys()
    breakdown = Breakdown(step_ms=10, communication_ms=4, exposed_communication_ms=1, compute_ms=5)
    traced = metrics_of(finished(breakdown=breakdown))
    shares = [traced[f"{name}_share"] for name in ("communication", "exposed_communication", "compute")]
    assert shares == [40, 10, 50]
    assert traced["profiled_step_ms"] == 10


def test_a_new_metric_is_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FORMULAS", dict(FORMULAS))
    monkeypatch.setattr(metrics, "METRICS", list(METRICS))

    @metrics.metric("Tokens per weight", direction="higher")
    def tokens_per_weight(run: FinishedRun) -> float:
        return run.num_train_tokens / run.num_parameters

    assert metrics_of(finished())["tokens_per_weight"] == 0.4
    assert metrics.METRICS[-1].name == "tokens_per_weight"
    with pytest.raises(AssertionError, match="two training metrics are called tokens_per_weight"):
        metrics.recorded(tokens_per_weight)
