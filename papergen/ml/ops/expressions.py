"""The catalogue's expressions made callable: the names they may use, and their operands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from papergen.ml.ops.catalogue import Operation

OPERANDS = "abc"

Array = np.ndarray[Any, Any]


def causal_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """softmax(Q K^T / sqrt(d) + mask) V of (batch, heads, time, d) tensors, step by step (Vaswani et al. 2017)."""
    scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(query.shape[-1])  # (batch, heads, time, time)
    time = query.shape[-2]
    mask = torch.tril(torch.ones(time, time, device=query.device)) == 0
    return torch.matmul(torch.softmax(scores.masked_fill(mask, float("-inf")), dim=-1), value)


def causal_attention_numpy(query: Array, key: Array, value: Array) -> Array:
    """The same by numpy, in the precision of the operands."""
    weights, _ = attention_weights(query, key)
    found: Array = np.matmul(weights, value)
    return found


def attention_weights(query: Array, key: Array) -> tuple[Array, Array]:
    """The causal softmax and the scaled scores before the mask, both (batch, heads, time, time)."""
    scores = np.matmul(query, np.swapaxes(key, -2, -1)) / np.sqrt(query.shape[-1]).astype(query.dtype)
    time = query.shape[-2]
    masked = np.where(np.tril(np.ones((time, time))) == 0, -np.inf, scores)
    powers = np.exp(masked - masked.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True), scores


@dataclass(frozen=True, kw_only=True)
class Bound:
    """An operation with operands: thunks that compute it, each anew at every call."""

    torch: Callable[[], Any]
    torch_names: Mapping[str, Any]
    """What the torch expression sees, for a timer that evaluates the expression itself."""
    numpy_names: Mapping[str, Any] | None
    """What the numpy expression sees in the same precision; None where numpy lacks the dtype, or on a GPU."""
    reference: Callable[[], Array]
    """By numpy on the same operands in float64."""
    magnitude: Callable[[], Array]
    """By numpy on the operands' absolute values: what the errors of a sum of products are measured against."""
    operands: tuple[Array, ...]
    """The operands in float64, rounded to the dtype beforehand."""


def _drawn(rng: np.random.Generator, shape: tuple[int, ...], kind: torch.dtype) -> torch.Tensor:
    if kind.is_floating_point:
        return torch.from_numpy(rng.standard_normal(shape)).to(kind)
    return torch.from_numpy(rng.integers(-9, 10, shape)).to(kind)


def bind(operation: Operation, *, size: int, dtype: str, device: str, seed: int) -> Bound:
    """The operation on operands drawn from `seed`: the same numbers on every device."""
    rng = np.random.default_rng(seed)
    kind: torch.dtype = getattr(torch, dtype)
    drawn = [_drawn(rng, shape, kind) for shape in operation.shapes(size)]
    exact = tuple(tensor.double().numpy() for tensor in drawn)
    shared: dict[str, Any] = {"n": size, "m": size // 4}
    if operation.name in {"array", "from_numpy"}:
        shared["lists"] = _drawn(rng, (size, size), kind).to(torch.float64 if kind.is_floating_point else kind).tolist()
        shared["array"] = np.asarray(shared["lists"])
    torch_names = {
        **shared,
        **dict(zip(OPERANDS, (tensor.to(device) for tensor in drawn), strict=False)),
        "torch": torch,
        "dtype": kind,
        "device": device,
        "causal_attention": causal_attention,
    }

    def numpy_names(operands: tuple[Array, ...], precision: str) -> dict[str, Any]:
        return {
            **shared,
            **dict(zip(OPERANDS, operands, strict=False)),
            "np": np,
            "dtype": np.dtype(precision),
            "rng": np.random.default_rng(seed),
            "causal_attention": causal_attention_numpy,
        }

    has_numpy = device == "cpu" and dtype != "bfloat16"
    same = tuple(array.astype(dtype) for array in exact) if has_numpy else ()
    code = compile(operation.torch, f"<{operation.name}>", "eval")
    by_numpy = compile(operation.numpy, f"<{operation.name} by numpy>", "eval")
    return Bound(
        torch=lambda: eval(code, dict(torch_names)),
        torch_names=torch_names,
        numpy_names=numpy_names(same, dtype) if has_numpy else None,
        reference=lambda: np.asarray(eval(by_numpy, numpy_names(exact, "float64"))),
        magnitude=lambda: np.asarray(eval(by_numpy, numpy_names(tuple(map(np.abs, exact)), "float64"))),
        operands=exact,
    )


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
