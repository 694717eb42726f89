"""Times, shares and utilisation: by hand-computed cases, and by a traced run of two ranks."""

from __future__ import annotations

from pathlib import Path

import bench
import pytest
import ranks
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from papergen.core.errors import PapergenError
from papergen.ml.training.profile import StepProfiler, broken_down, union
from papergen.ml.training.throughput import (
    NUM_WARMUP_STEPS,
    StepClock,
    flops_per_token,
    model_flops_utilisation,
    percentile,
)


def test_nested_and_parallel_operators_count_once() -> None:
    assert union([(5, 6), (0, 2), (1, 3), (6, 8)]) == [(0, 3), (5, 8)]
    shares = broken_down([(0, 4000), (2000, 6000)], [(5000, 9000), (5500, 6500)], wall_us=10_000, num_steps=2)
    assert (shares.step_ms, shares.communication_ms, shares.exposed_communication_ms) == (5, 3, 2.5)
    assert shares.compute_ms == 2


def test_a_traced_run_reports_shares_and_leaves_the_trace_out_of_the_times(text_project: Path, tmp_path: Path) -> None:
    overrides = {"max_steps": 16, "profile_steps": 3}
    metrics = ranks.start(ranks.train_rank, 2, text_project, tmp_path, overrides)[0]["metrics"]
    assert 0 < metrics["communication_share"] <= 100
    assert 0 <= metrics["exposed_communication_share"] <= metrics["communication_share"]
    assert 0 < metrics["compute_share"] <= 100


def test_a_single_process_communicates_nothing(text_project: Path, tmp_path: Path) -> None:
    overrides = {"max_steps": 12, "profile_steps": 3}
    metrics = ranks.start(ranks.train_rank, 1, text_project, tmp_path, overrides)[0]["metrics"]
    assert metrics["communication_share"] == 0 < metrics["compute_share"]


def test_a_trace_that_does_not_fit_the_run_is_refused() -> None:
    with pytest.raises(PapergenError, match="Use max_steps: 9 or more"):
        StepProfiler(first=5, num_steps=3, last=8, device=torch.device("cpu"))


def test_the_clock_skips_the_warm_up_and_what_is_not_counted() -> None:
    clock = StepClock(torch.device("cpu"))
    for step in range(20):
        clock.start()
        clock.stop(is_counted=step != 10)
    assert len(clock.durations_s()) == 19
    assert len(clock.timed_s()) == 19 - NUM_WARMUP_STEPS


def test_a_single_step_is_timed() -> None:
    clock = StepClock(torch.device("cpu"))
    clock.start()
    clock.stop()
    assert len(clock.timed_s()) == 1
    assert percentile([3.0], 0.95) == 3.0
    assert percentile(list(range(101)), 0.95) == 95


def test_flops_follow_the_formula_of_palm() -> None:
    config = GPT2Config(n_layer=2, n_embd=8, n_head=2, vocab_size=50, n_positions=16)
    size = sum(parameter.numel() for parameter in GPT2LMHeadModel(config).parameters())
    assert flops_per_token(config, size, 16) == 6 * (size - 16 * 8) + 12 * 2 * 8 * 16


def test_utilisation_needs_a_known_peak() -> None:
    h100 = "NVIDIA H100 80GB HBM3"
    assert model_flops_utilisation(1e6, 4.947e8, gpu=h100, num_gpus=1, dtype="bfloat16") == pytest.approx(50)
    assert model_flops_utilisation(1e6, 4.947e8, gpu=h100, num_gpus=2, dtype="bfloat16") == pytest.approx(25)
    assert model_flops_utilisation(1e6, 1e9, gpu=h100, num_gpus=1, dtype="float32") is None
    assert model_flops_utilisation(1e6, 1e9, gpu="Mystery 9000", num_gpus=1, dtype="bfloat16") is None


def test_the_benchmark_for_gpus_goes_its_road_to_the_end_on_a_cpu() -> None:
    measured = bench.training_gpu().measure(
        num_layers=1, width=64, batch_size=2, block_size=32, max_steps=12, device="cpu"
    )
    assert {"tokens_per_s", "step_time_ms", "peak_memory_mib", "num_parameters"} <= measured.keys()
    assert measured["tokens_per_s"] > 0
    assert measured["copy_gb_per_s"] > 0
    assert measured["adamw_share_of_copy_bandwidth"] > 0
