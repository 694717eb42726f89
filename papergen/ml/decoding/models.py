"""Language models to decode with: complete, in evaluation mode, taken from the warm worker where it holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM
from transformers.activations import NewGELUActivation

from papergen.ml.decoding.resident import take
from papergen.ml.models import load_config, load_weights, refuse_incomplete

Dtype = Literal["float32", "bfloat16", "float16", "auto"]
"""Number format of the weights; auto is what the files have."""


def load_model(path_or_id: str | Path, *, dtype: Dtype = "float32", device: str = "cpu") -> Any:
    """A language model in evaluation mode on `device`, decoder-only or encoder-decoder as its config says.

    PapergenError when there is no such model, it has no safetensors, it wants remote code, or a tensor is missing or of
    another shape than the config says. MachineError when the Hub is needed and cannot be reached.
    """
    if device == "cpu" and (inherited := take(path_or_id, dtype)) is not None:
        return inherited
    config = load_config(AutoConfig, path_or_id)
    family = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    number_format = dtype if dtype == "auto" else getattr(torch, dtype)
    model, info = load_weights(family, path_or_id, config=config, dtype=number_format)
    refuse_incomplete(path_or_id, info)
    _fuse_activations(model)
    return model.eval().to(device)


def _fuse_activations(model: nn.Module) -> None:
    """GELU by its tanh formula in one operation instead of eight (GPT-2 and its like): nothing but rounding differs."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is NewGELUActivation:
                setattr(module, name, nn.GELU(approximate="tanh"))
