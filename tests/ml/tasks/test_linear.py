"""Packed linear layers compute what the plain ones do, and a torch that lacks them does without."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pipelinelab import TEXTS, model_of, tokenizer

from papergen.ml.tasks.agreement import TOLERANCE, call_pipeline, largest_difference, pipeline_of
from papergen.ml.tasks.linear import PackedLinear, is_usable, packed
from papergen.ml.tasks.pipelines import stages_of
from papergen.ml.tasks.stage_timing import run_stages
from papergen.ml.tasks.stages import Options


def test_a_packed_model_computes_the_same_shares_all_other_weights_and_leaves_the_model_alone() -> None:
    model = model_of("text-classification")
    twin = packed(model)
    if twin is model:
        pytest.skip("torch has no oneDNN here")
    ids = torch.randint(5, 30, (3, 7))
    with torch.inference_mode():
        mine, its = model(ids).logits, twin(ids).logits
    assert torch.allclose(mine, its, atol=1e-5)
    assert not any(isinstance(part, PackedLinear) for part in model.modules())
    assert not any(type(part) is torch.nn.Linear for part in twin.modules())
    assert twin.get_input_embeddings().weight is model.get_input_embeddings().weight
    assert packed(model.double()).get_input_embeddings().weight.dtype == torch.float64
    assert not any(isinstance(part, PackedLinear) for part in packed(model).modules())


def absent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch.ops, "mkldnn", SimpleNamespace())


def with_another_signature(patch: pytest.MonkeyPatch) -> None:
    def pointwise(states: Any, weight: Any) -> Any:
        del states, weight

    patch.setattr(torch.ops, "mkldnn", SimpleNamespace(_linear_pointwise=pointwise, _reorder_linear_weight=lambda w: w))


def refused(patch: pytest.MonkeyPatch) -> None:
    def reorder(_: Any) -> Any:
        raise NotImplementedError("Could not run 'mkldnn::_reorder_linear_weight' with arguments from this backend")

    patch.setattr(torch.ops, "mkldnn", SimpleNamespace(_reorder_linear_weight=reorder))


def with_other_results(patch: pytest.MonkeyPatch) -> None:
    def pointwise(states: Any, weight: Any, *_: Any) -> Any:
        return torch.zeros(*states.shape[:-1], weight.shape[0])

    patch.setattr(torch.ops, "mkldnn", SimpleNamespace(_linear_pointwise=pointwise, _reorder_linear_weight=lambda w: w))


@pytest.mark.parametrize("change", [absent, with_another_signature, refused, with_other_results])
def test_a_torch_with_another_private_operator_runs_the_model_as_it_is(
    change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, words = model_of("text-classification"), tokenizer()
    theirs = call_pipeline(
        pipeline_of("text-classification", model, words), "text-classification", TEXTS, Options(max_length=32)
    )
    state = torch.random.get_rng_state()
    change(monkeypatch)
    assert not is_usable()
    assert packed(model) is model
    stages = stages_of("text-classification", model, words, Options(max_length=32))
    assert largest_difference(run_stages(stages, TEXTS, batch_size=2, device="cpu").results, theirs) < TOLERANCE
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here")
def test_this_torchs_private_operator_is_the_one_we_know() -> None:
    assert is_usable()
