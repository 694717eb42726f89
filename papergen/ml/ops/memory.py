"""Whether an operation returns a view of its operand or a copy, asked of the storage itself."""

from __future__ import annotations

import torch

from papergen.ml.ops.catalogue import Operation
from papergen.ml.ops.expressions import Bound


def shares_memory(operation: Operation, bound: Bound) -> bool | None:
    """Whether the result lies in the memory of an operand; None for what has no operand and reads no array."""
    found = bound.torch()
    operands = [value for value in bound.torch_names.values() if isinstance(value, torch.Tensor)]
    if operation.name == "from_numpy":
        return bool(found.data_ptr() == bound.torch_names["array"].__array_interface__["data"][0])
    if not operands:
        return None
    storage = found.untyped_storage().data_ptr()
    return any(operand.untyped_storage().data_ptr() == storage for operand in operands)
