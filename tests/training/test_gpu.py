"""The same run on a GPU: it learns what the CPU learns, and reports its utilisation."""

from __future__ import annotations

from pathlib import Path

import pytest
import ranks
import torch

from papergen.training.loop import train

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
