"""Random numbers that belong to a sample, not to the batch it ran in.

The n-th number of a sample is a function of its key and n (splitmix64, a counter-based generator), computed with
integer arithmetic, so that every device, batch size and order gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from papergen.core.files import digest_json


def _signed(value: int) -> int:
    """A 64-bit pattern as the int64 that has it."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


# Constants of splitmix64 (Steele, Lea and Flood 2014).
_STRIDE = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def row_key(seed: int, prompt: Sequence[int], sample_index: int) -> int:
    """The int64 key of one sample's stream: a digest of the seed, the prompt's tokens and the sample's index."""
    return _signed(int(digest_json([seed, list(prompt), sample_index])[:16], 16))


def uniforms(keys: torch.Tensor, step: int | torch.Tensor, width: int) -> torch.Tensor:
    """Numbers `step` of the streams `keys` (rows,): float64 (rows, width), uniform in the open interval (0, 1).

    `step` may be an int64 tensor, () or (rows,), whose products wrap around as the signed ones do.
    """
    offset = (step + 1) * _STRIDE if isinstance(step, torch.Tensor) else _signed(_STRIDE * (step + 1))
    start = _mix(keys + offset)
    counters = torch.arange(1, width + 1, device=keys.device) * _STRIDE
    bits = _mix(start[:, None] + counters)
    return (_shifted(bits, 12).double() + 0.5) * 2.0**-52  # 52 bits and a half are exact in float64


def _mix(state: torch.Tensor) -> torch.Tensor:
    state = (state ^ _shifted(state, 30)) * _FIRST
    state = (state ^ _shifted(state, 27)) * _SECOND
    return state ^ _shifted(state, 31)


def _shifted(state: torch.Tensor, places: int) -> torch.Tensor:
    """Logical right shift: torch's `>>` copies the sign bit."""
    return (state >> places) & ((1 << (64 - places)) - 1)
