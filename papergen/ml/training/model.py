"""The model before it is trained: built from scratch or loaded, then made parallel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedModel

from papergen.core.errors import MachineError, PapergenError
from papergen.ml.distributed import Ranks
from papergen.ml.models import load_weights, refuse_incomplete
from papergen.ml.training.settings import TrainingSettings, unavailable

COMPILER = "inductor"
"""Backend of torch.compile."""


def build_model(settings: TrainingSettings, tokenizer: Any) -> PreTrainedModel:
    """A GPT-2-shaped model of the settings' sizes with fresh weights, drawn from torch's global generator."""
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=settings.block_size,
        n_embd=settings.n_embd,
        n_layer=settings.n_layer,
        n_head=settings.n_head,
        resid_pdrop=settings.dropout,
        embd_pdrop=settings.dropout,
        attn_pdrop=settings.dropout,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return GPT2LMHeadModel(config)


def load_pretrained(source: str | Path, *, block_size: int) -> PreTrainedModel:
    """The causal LM of a local folder or Hub id in float32: safetensors only, no remote code, every weight found."""
    model, info = load_weights(AutoModelForCausalLM, source, dtype=torch.float32)
    assert isinstance(model, PreTrainedModel)
    refuse_incomplete(source, info)
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and block_size > longest:
        raise PapergenError(f"block_size = {block_size} is more than the {longest} positions of {source}.")
    return model


def parallel(model: nn.Module, settings: TrainingSettings, ranks: Ranks) -> nn.Module:
    """`model` on the rank's device, wrapped as `strategy` says; as it is when there is one rank."""
    reason = unavailable(settings, ranks.device.type, torch.cuda.device_count())
    if reason is not None:
        raise MachineError(f"These settings cannot run on this machine: {reason}")
    model.to(ranks.device)
    if settings.torch_compile:
        # FSDP2's hooks cannot be traced: with them inside, the whole model falls into pieces that are compiled anew
        # until dynamo gives up; block by block they stay outside. DDP's buckets are found by dynamo itself.
        for part in _blocks(model) if settings.strategy == "fsdp2" else [model]:
            part.compile(backend=COMPILER)  # In place: the names of the weights stay as they are.
    if settings.strategy == "dp":
        return nn.DataParallel(model)
    if ranks.world_size == 1:
        return model
    if settings.strategy == "fsdp2":
        return _sharded(model, settings, ranks)
    return replicated(model, settings, ranks)


def replicated(model: nn.Module, settings: TrainingSettings, ranks: Ranks) -> DistributedDataParallel:
    """`model`, on the rank's device, in DistributedDataParallel with the settings' knobs and hook."""
    wrapped = DistributedDataParallel(
        model,
        device_ids=[ranks.local_rank] if ranks.device.type == "cuda" else None,
        bucket_cap_mb=settings.bucket_cap_mb,
        gradient_as_bucket_view=settings.gradient_as_bucket_view,
        static_graph=settings.static_graph,
        find_unused_parameters=settings.find_unused_parameters,
    )
    _compress(wrapped, settings)
    return wrapped


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside DDP or DataParallel (an FSDP2 module is its own)."""
    if isinstance(model, DistributedDataParallel | nn.DataParallel):
        inner = model.module
        assert isinstance(inner, nn.Module)
        return inner
    return model


def powersgd_state(model: nn.Module) -> powerSGD_hook.PowerSGDState | None:
    """What PowerSGD carries from step to step on this rank; None where it is not the hook."""
    found: powerSGD_hook.PowerSGDState | None = getattr(model, "powersgd_state", None)
    return found


def full_state(model: nn.Module, ranks: Ranks) -> Mapping[str, torch.Tensor]:
    """All weights on the CPU of rank 0 (nothing on the others); a collective where the model is sharded."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    state: Mapping[str, Any] = get_model_state_dict(
        unwrapped(model), options=StateDictOptions(full_state_dict=True, cpu_offload=True)
    )
    return state if ranks.is_main else {}


def _sharded(model: nn.Module, settings: TrainingSettings, ranks: Ranks) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(ranks.device.type, (ranks.world_size,))
    for block in _blocks(model):  # one shard group per transformer block (Zhao et al. 2023)
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def _blocks(model: nn.Module) -> list[nn.Module]:
    """The transformer blocks: the longest ModuleList of the model holds them."""
    lists = [list(module) for module in model.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=[])


def _compress(wrapped: DistributedDataParallel, settings: TrainingSettings) -> None:
    if settings.comm_hook == "fp16":
        wrapped.register_comm_hook(None, default_hooks.fp16_compress_hook)
    elif settings.comm_hook == "bf16":
        wrapped.register_comm_hook(None, default_hooks.bf16_compress_hook)
    elif settings.comm_hook == "powersgd":
        # Vogels et al. 2019. Plain all-reduce for the first steps, whose gradients are far from low rank.
        state = powerSGD_hook.PowerSGDState(
            None, matrix_approximation_rank=settings.powersgd_rank, start_powerSGD_iter=10, random_seed=0
        )
        wrapped.register_comm_hook(state, powerSGD_hook.powerSGD_hook)
        held: Any = wrapped
        held.powersgd_state = state
