"""Linear layers for inference on a CPU by oneDNN, with weights laid out once for it.

torch multiplies float32 matrices on x86 by MKL, which on AMD's processors leaves AVX-512 unused: a (512, 384) by
(384, 384) product reached 121 GFLOP/s on one core of an EPYC of family 26, and oneDNN with packed weights 274. The
operation is the one that torch's own compiler puts in when it freezes weights. Results differ by rounding only.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class PackedLinear(nn.Module):
    """What an `nn.Linear` computes, from a copy of its weight in oneDNN's own layout; for inference only."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(..., in_features) -> (..., out_features)."""
        given = states.contiguous()
        found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(given, self._weight, self._bias, "none", [], "")
        return found


def packed(model: Any) -> Any:
    """A model that shares all weights with `model` but whose linear layers are packed; `model` where it cannot be.

    It cannot on a GPU, in another type than float32, or where torch was built without oneDNN. Later changes of the
    weights do not reach the packed layers.
    """
    if not _can_pack(model):
        return model
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)
    _replace(twin)
    return twin


def _can_pack(model: Any) -> bool:
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not has_onednn or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    weights = [module.weight for module in model.modules() if type(module) is nn.Linear]
    return bool(weights) and all(weight.device.type == "cpu" and weight.dtype == torch.float32 for weight in weights)


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, PackedLinear(child))
        else:
            _replace(child)
