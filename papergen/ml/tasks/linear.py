"""Linear layers for inference on a CPU by oneDNN, with weights laid out once for it.

torch multiplies float32 matrices on x86 by MKL, which on AMD's processors leaves AVX-512 unused: a (512, 384) by
(384, 384) product reached 121 GFLOP/s on one core of an EPYC of family 26, and oneDNN with packed weights 274. The
operation is the one that torch's own compiler puts in when it freezes weights. Results differ by rounding only.

It has no public name: torch.utils.mkldnn converts layouts at every call (half of the gain, docs/LOG.md), torch.compile
takes longer to start than a trial takes. So it is tried on a small layer before it is trusted: where it is missing,
wants other arguments or gives something else, models stay as they are, which costs speed and nothing else.
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
        self.weight = linear.weight  # not used here, but some models ask for its dtype (T5)
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(..., in_features) -> (..., out_features)."""
        given = states.contiguous()
        found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(given, self._packed, self._bias, "none", [], "")
        return found


def packed(model: Any) -> Any:
    """A model that shares all weights with `model` but whose linear layers are packed; `model` where it cannot be.

    It cannot on a GPU, in another type than float32, or where this torch has no such operator (`is_usable`). Later
    changes of the weights do not reach the packed layers.
    """
    if not _can_pack(model):
        return model
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)
    _replace(twin)
    return twin


def is_usable() -> bool:
    """Whether this torch's private operator takes what we give it and computes a linear layer."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    layer = nn.Linear(2, 3, device="meta").to_empty(device="cpu")  # draws no random numbers
    with torch.no_grad():
        layer.weight.copy_(torch.arange(6.0).view(3, 2))
        layer.bias.copy_(torch.arange(3.0))
        given = torch.tensor([[[1.0, -2.0]]])
        try:
            return torch.equal(PackedLinear(layer)(given), layer(given))  # small whole numbers: nothing is rounded
        except (AttributeError, RuntimeError, TypeError, ValueError, NotImplementedError):
            return False


def _can_pack(model: Any) -> bool:
    weights = [module.weight for module in model.modules() if type(module) is nn.Linear]
    is_plain = all(weight.device.type == "cpu" and weight.dtype == torch.float32 for weight in weights)
    return bool(weights) and is_plain and is_usable()


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, PackedLinear(child))
        else:
            _replace(child)
