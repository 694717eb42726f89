"""Impossible settings are refused when they are made, with what to type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from papergen.ml.training.settings import TrainingSettings, local_model, unavailable


def test_the_defaults_are_possible() -> None:
    settings = TrainingSettings()
    assert settings.sequences_per_pass * settings.world_size == settings.batch_size


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"batch_size": 18, "world_size": 4}, "4 * 1 does not divide batch_size = 18. Try 16 or 20."),
        ({"batch_size": 3, "gradient_accumulation_steps": 4}, "2 * 4 does not divide batch_size = 3. Try 8."),
        ({"n_embd": 128, "n_head": 3}, "n_head = 3 does not divide n_embd = 128. Try 2 or 4."),
        ({"model": "gpt2", "n_layer": 7}, "n_layer: no effect with model = 'gpt2'"),
        ({"max_steps": 100, "num_train_epochs": 2}, "both say when to stop"),
        ({"max_steps": 10}, "warmup_steps = 50 is more than max_steps = 10"),
        ({"strategy": "dp"}, "world_size = 2 must be 1"),
        ({"strategy": "fsdp2", "world_size": 1}, "nothing to shard"),
        ({"strategy": "fsdp2", "static_graph": True}, "static_graph: no effect with strategy = fsdp2"),
        ({"static_graph": True, "find_unused_parameters": True}, "no effect with static_graph"),
        ({"strategy": "dp", "world_size": 1, "torch_compile": True}, "replicas would all call"),
        ({"powersgd_rank": 4}, "no effect with comm_hook = none"),
        ({"dtype": "float64", "comm_hook": "fp16"}, "would undo dtype = float64"),
        ({"profile_steps": 3, "save_every": 10}, "would lack it"),
        ({"no_sync": False}, "changes nothing with gradient_accumulation_steps = 1"),
        ({"encoding": "utf-9"}, "not known to Python"),
        ({"n_layers": 3}, "Extra inputs are not permitted"),
        ({"learning_rate": "1e-3"}, "valid number"),
    ],
)
def test_impossible_settings_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TrainingSettings(**parameters)
    assert message in str(refused.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ValidationError) as refused:
        TrainingSettings(batch_size=3, n_head=3, strategy="dp")
    assert all(word in str(refused.value) for word in ("batch_size", "n_head", "strategy = dp"))


def test_every_field_is_described_in_one_sentence() -> None:
    for name, field in TrainingSettings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"strategy": "dp", "world_size": 1}, "two or more GPUs"),
        ({"comm_hook": "bf16"}, "needs NCCL"),
        ({"torch_compile": True}, "on GPUs only"),
    ],
)
def test_what_a_cpu_cannot_do_has_a_reason(parameters: dict[str, Any], reason: str) -> None:
    assert reason in str(unavailable(TrainingSettings(**parameters), "cpu", 0))
    assert unavailable(TrainingSettings(**parameters), "cuda", 2) is None


def test_a_path_and_a_hub_id_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert local_model(TrainingSettings(model="models/mine"), tmp_path) == tmp_path / "models/mine"
    assert local_model(TrainingSettings(model="./absent"), tmp_path) == tmp_path / "absent"
    assert local_model(TrainingSettings(model="openai-community/gpt2"), tmp_path) is None


def test_settings_and_corpus_do_not_import_torch() -> None:
    code = (
        "import sys, pathlib; from papergen.ml.training.settings import TrainingSettings, data_digests;"
        "data_digests(TrainingSettings(), pathlib.Path());"
        "assert not {'torch', 'transformers', 'tokenizers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
