"""Data parallelism changes nothing: gradients, weights, means and counts, by real processes on gloo."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import ranks
import torch

EXACT = {"dropout": 0.0, "dtype": "float64"}
HOOKS = [({}, 0.0), ({"gradient_as_bucket_view": True, "static_graph": True}, 0.0), ({"comm_hook": "fp16"}, 5e-3)]
"""What DDP may change in the weights after a few steps, where there is nobody to average with."""


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Largest absolute difference between two states, which must have the same names."""
    assert one.keys() == other.keys()
    pairs = [
        (torch.tensor(one[name], dtype=torch.float64), torch.tensor(other[name], dtype=torch.float64)) for name in one
    ]
    return max(float((left - right).abs().max()) for left, right in pairs)


@pytest.mark.parametrize(
    "overrides",
    [
        {"dropout": 0.0},
        {"dropout": 0.0, "gradient_accumulation_steps": 2},
        {"dropout": 0.0, "bucket_cap_mb": 0.001, "gradient_as_bucket_view": True, "static_graph": True},
    ],
    ids=["plain", "accumulation", "knobs"],
)
def test_two_ranks_are_bitwise_one_process_that_averages_the_shard_gradients(
    text_project: Path, overrides: dict[str, Any]
) -> None:
    together = ranks.start(ranks.steps_rank, 2, text_project, overrides, 4, None)
    alone = ranks.start(ranks.steps_rank, 1, text_project, overrides, 4, 2)[0]
    assert together[0] == together[1], "the ranks must not drift apart"
    assert together[0]["gradients"] == alone["gradients"]
    assert together[0]["weights"] == alone["weights"]


def test_any_world_size_has_the_same_gradients_in_float64(text_project: Path) -> None:
    results = {size: ranks.start(ranks.steps_rank, size, text_project, EXACT, 3, None)[0] for size in (1, 2, 4)}
    for size in (2, 4):
        assert difference(results[1]["gradients"], results[size]["gradients"]) < 1e-12
        assert difference(results[1]["weights"], results[size]["weights"]) < 1e-10
    assert max(abs(value) for value in results[1]["gradients"]["transformer.ln_f.bias"]) > 1e-4


def test_accumulating_without_sync_equals_reducing_every_pass(text_project: Path) -> None:
    accumulating = {**EXACT, "gradient_accumulation_steps": 4}
    lazy = ranks.start(ranks.steps_rank, 2, text_project, accumulating, 1, None)[0]
    eager = ranks.start(ranks.steps_rank, 2, text_project, {**accumulating, "no_sync": False}, 1, None)[0]
    at_once = ranks.start(ranks.steps_rank, 2, text_project, EXACT, 1, None)[0]
    assert difference(lazy["gradients"], eager["gradients"]) < 1e-14
    assert difference(lazy["gradients"], at_once["gradients"]) < 1e-14


def test_the_token_mean_is_exact_for_uneven_shards_and_the_mean_of_means_is_not(text_project: Path) -> None:
    alone = ranks.start(ranks.uneven_rank, 1, text_project, "tokens")[0]
    tokens = ranks.start(ranks.uneven_rank, 2, text_project, "tokens")[0]
    means = ranks.start(ranks.uneven_rank, 2, text_project, "ranks")[0]
    assert tokens["is_wrapped"]
    assert difference(alone["gradients"], tokens["gradients"]) < 1e-12
    assert difference(alone["gradients"], means["gradients"]) > 1e-3


def test_validation_counts_every_held_out_token_once_at_any_world_size(text_project: Path, tmp_path: Path) -> None:
    overrides = {**EXACT, "max_steps": 2, "warmup_steps": 0}
    runs = [ranks.start(ranks.train_rank, size, text_project, tmp_path / str(size), overrides)[0] for size in (1, 2, 4)]
    losses = [run["metrics"]["validation_loss"] for run in runs]
    assert max(losses) - min(losses) < 1e-10
    # The held-out text does not fill whole blocks nor share evenly: a padded evaluation would be off.
    assert runs[0]["facts"]["num_validation_tokens"] % 32
    metrics, facts = runs[1]["metrics"], runs[1]["facts"]
    assert metrics["perplexity"] == pytest.approx(math.exp(metrics["validation_loss"]))
    bits = metrics["validation_loss"] * facts["num_validation_tokens"] / math.log(2)
    assert metrics["bits_per_character"] == pytest.approx(bits / facts["num_validation_characters"])


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
@pytest.mark.parametrize("max_grad_norm", [0.5, 1e6], ids=["clipped", "short enough"])
def test_the_norm_that_is_clipped_is_that_of_the_whole_batch(
    text_project: Path, strategy: str, max_grad_norm: float
) -> None:
    shared = {**EXACT, "max_grad_norm": max_grad_norm}
    alone = ranks.start(ranks.clip_rank, 1, text_project, shared)[0]
    accumulating = {**shared, "gradient_accumulation_steps": 2, "strategy": strategy}
    together = ranks.start(ranks.clip_rank, 2, text_project, accumulating)
    before_norm = norm_of(alone["before"])
    assert before_norm > 1, "so that a norm of 0.5 is short"
    for rank in together:
        assert rank["norm"] == pytest.approx(before_norm, rel=1e-12)
        assert norm_of(rank["after"]) == pytest.approx(min(before_norm, max_grad_norm), rel=1e-5)
        assert difference(alone["after"], rank["after"]) < 1e-12
    if max_grad_norm > before_norm:
        assert together[0]["after"] == together[0]["before"]


def norm_of(gradients: dict[str, Any]) -> float:
    """The 2-norm of all gradients together."""
    return math.sqrt(sum(float(torch.tensor(each, dtype=torch.float64).square().sum()) for each in gradients.values()))


@pytest.mark.parametrize("overrides", [{}, {"strategy": "fsdp2"}], ids=["ddp", "fsdp2"])
def test_a_run_repeats_itself_bitwise_and_reports_whole_curves(
    text_project: Path, tmp_path: Path, overrides: dict[str, Any]
) -> None:
    first, second = (
        ranks.start(ranks.train_rank, 2, text_project, tmp_path / name, overrides) for name in ("first", "second")
    )
    assert weights(tmp_path / "first") == weights(tmp_path / "second")
    for name in ("train_loss", "validation_loss", "num_steps", "num_train_tokens", "num_parameters"):
        assert first[0]["metrics"][name] == second[0]["metrics"][name] == first[1]["metrics"][name], name
    curve = [step for step, metrics in first[0]["points"] if "train_loss" in metrics]
    assert curve == [2, 4, 6]
    assert first[0]["metrics"]["num_train_tokens"] == 6 * 8 * 32
    assert all(math.isfinite(value) for value in first[0]["metrics"].values())


def test_fsdp2_learns_what_ddp_learns(text_project: Path, tmp_path: Path) -> None:
    losses = []
    for strategy in ("ddp", "fsdp2"):
        overrides = {**EXACT, "strategy": strategy}
        run = ranks.start(ranks.train_rank, 2, text_project, tmp_path / strategy, overrides)[0]
        losses.append(run["metrics"]["validation_loss"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-9)


@pytest.mark.parametrize(("overrides", "tolerance"), HOOKS, ids=str)
def test_ddp_over_a_group_of_one_rank_changes_nothing(
    text_project: Path, overrides: dict[str, Any], tolerance: float
) -> None:
    (found,) = ranks.start(ranks.group_of_one_rank, 1, text_project, "cpu", overrides)
    assert difference(found["alone"], found["ddp"]) <= tolerance


@pytest.mark.parametrize(("strategy", "num_graphs"), [("ddp", 2), ("fsdp2", 3)])
def test_a_compiled_model_learns_the_same_in_few_graphs(
    text_project: Path, tmp_path: Path, strategy: str, num_graphs: int
) -> None:
    overrides = {**EXACT, "n_layer": 5, "strategy": strategy}
    plain = ranks.start(ranks.train_rank, 2, text_project, tmp_path / "plain", overrides)[0]
    compiled = ranks.start(ranks.compiled_rank, 2, text_project, tmp_path / "compiled", overrides)[0]
    assert compiled["metrics"]["validation_loss"] == pytest.approx(plain["metrics"]["validation_loss"], abs=1e-9)
    assert (compiled["num_graphs"], compiled["breaks"]) == (num_graphs, {})


@pytest.mark.parametrize(
    ("overrides", "tolerance"),
    [
        ({"comm_hook": "fp16"}, 0.01),
        ({"comm_hook": "powersgd"}, 0.05),
        ({"dtype": "bfloat16"}, 0.05),
        ({"dtype": "float16"}, 0.05),
        ({"find_unused_parameters": True}, 0.0),
        ({"packing": "documents"}, 0.3),
    ],
    ids=["fp16", "powersgd", "bfloat16", "float16", "unused", "documents"],
)
def test_every_knob_trains(
    text_project: Path, tmp_path: Path, overrides: dict[str, Any], tolerance: float, plain_loss: float
) -> None:
    run = ranks.start(ranks.train_rank, 2, text_project, tmp_path, overrides)[0]
    assert run["metrics"]["validation_loss"] == pytest.approx(plain_loss, abs=tolerance)


@pytest.fixture(scope="module")
def plain_loss(text_project: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    run = ranks.start(ranks.train_rank, 2, text_project, tmp_path_factory.mktemp("plain"), {})[0]
    return float(run["metrics"]["validation_loss"])


def test_what_the_machine_cannot_do_is_told_before_training(text_project: Path, tmp_path: Path) -> None:
    with pytest.raises(ranks.RankFailedError, match=r"MachineError.*needs NCCL"):
        ranks.start(ranks.train_rank, 2, text_project, tmp_path, {"comm_hook": "bf16"})


def test_a_diverging_run_says_so_on_every_rank(text_project: Path, tmp_path: Path) -> None:
    overrides = {"learning_rate": 1e30, "max_grad_norm": 0.0, "warmup_steps": 0}
    with pytest.raises(ranks.RankFailedError, match=r"ResultError: Training diverged: the loss is (nan|inf) by step 2"):
        ranks.start(ranks.train_rank, 2, text_project, tmp_path, overrides)


def test_seeds_differ_and_so_do_the_ranks_masks() -> None:
    made = {ranks.derived_seed(seed, f"rank {rank}") for seed, rank in itertools.product(range(4), range(4))}
    assert len(made) == 16


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()
