"""The same run on a GPU: it learns what the CPU learns, and reports its utilisation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bench
import pytest
import ranks
import torch
from safetensors.torch import load_file
from test_exactness import HOOKS, difference

from papergen.ml.training.loop import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def on_gpu(project: Path, folder: Path, **overrides: object) -> dict[str, float]:
    trained = train(
        ranks.settings_of(1, {"max_steps": 30, **overrides}),
        seed=3,
        rank=0,
        world_size=1,
        local_rank=0,
        device="cuda",
        folder=folder,
        log=lambda step, metrics: None,
        progress=lambda done, total, fields: None,
        project=project,
    )
    return dict(trained.metrics)


def test_a_gpu_learns_what_a_cpu_learns(text_project: Path, tmp_path: Path) -> None:
    overrides = {"max_steps": 30, "dropout": 0.0}
    cpu = ranks.start(ranks.train_rank, 1, text_project, tmp_path / "cpu", overrides)[0]["metrics"]
    gpu = on_gpu(text_project, tmp_path / "gpu", dropout=0.0)
    assert gpu["validation_loss"] == pytest.approx(cpu["validation_loss"], abs=0.02)
    assert gpu["peak_memory_mib"] > 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_mixed_precision_trains_and_is_traced(text_project: Path, tmp_path: Path, dtype: str) -> None:
    metrics = on_gpu(text_project, tmp_path, dtype=dtype, profile_steps=3)
    assert metrics["validation_loss"] < 5
    assert metrics["communication_share"] == 0 < metrics["compute_share"]


def test_a_compiled_model_trains_and_is_saved(text_project: Path, tmp_path: Path) -> None:
    plain = on_gpu(text_project, tmp_path / "plain", dropout=0.0)
    compiled = on_gpu(text_project, tmp_path / "compiled", dropout=0.0, torch_compile=True)
    assert compiled["validation_loss"] == pytest.approx(plain["validation_loss"], abs=0.02)
    assert (tmp_path / "compiled" / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize(("overrides", "tolerance"), [*HOOKS, ({"comm_hook": "bf16"}, 2e-2)], ids=str)
def test_ddp_on_nccl_with_one_rank_changes_nothing(
    text_project: Path, overrides: dict[str, Any], tolerance: float
) -> None:
    (found,) = ranks.start(ranks.group_of_one_rank, 1, text_project, "cuda", overrides)
    assert difference(found["alone"], found["ddp"]) <= tolerance


def test_powersgd_runs_on_nccl(text_project: Path) -> None:
    (found,) = ranks.start(ranks.group_of_one_rank, 1, text_project, "cuda", {"comm_hook": "powersgd"})
    assert difference(found["alone"], found["ddp"]) < 0.1


@pytest.mark.parametrize(
    "strategy",
    [
        "ddp",
        pytest.param("dp", marks=pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")),
    ],
)
def test_a_killed_run_resumes_to_the_same_weights(text_project: Path, tmp_path: Path, strategy: str) -> None:
    overrides = {"max_steps": 14, "save_every": 4, "strategy": strategy}
    for name, die_after, resume in (("whole", None, False), ("killed", 9, False), ("killed", None, True)):
        arguments = (text_project, tmp_path / name, overrides, resume, die_after, None, "cuda")
        ranks.start(ranks.train_rank, 1, *arguments, may_die=die_after is not None)
    whole, resumed = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "killed"))
    # Not to the bit: the backward pass of attention adds in any order on a GPU.
    torch.testing.assert_close(whole, resumed, atol=1e-4, rtol=0)


def test_the_benchmark_measures_speed_utilisation_and_bandwidth() -> None:
    measured = bench.training_gpu().measure(num_layers=2, width=128, batch_size=4, block_size=128)
    assert measured["tokens_per_s"] > 0
    assert 0 < measured["adamw_share_of_copy_bandwidth"] < 1.5
