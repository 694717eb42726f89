"""What this machine can do at most: operations per second by a large product, bytes per second by large copies.

These are the two ceilings of the roofline model (Williams, Waterman and Patterson 2009), measured, not looked up: a
share of them is a share of what the same library reaches here at best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch.utils.benchmark import Timer

SIDES = (512, 1024, 2048, 4096)
"""Sides of the square products; the fastest counts."""
MAX_PRODUCT_S = 2.0
"""A product expected to take longer is left out: a dtype without fast kernels would take minutes."""
COPY_MIB = 256
"""A copy far larger than any cache of a CPU or GPU of today."""
CACHED_KIB = 128
"""Source and target of the small copy together fit a core's second-level cache."""


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """The fastest round of each."""

    gflops: float
    """Billions of additions and multiplications per second."""
    gbytes_per_s: float
    """Billions of bytes read and written per second, from and to main memory."""
    cached_gbytes_per_s: float
    """The same from and to cache."""


def measure_ceilings(
    *, dtype: str, device: str, num_threads: int, num_rounds: int, progress: Callable[[int, int], None]
) -> Ceilings:
    """The ceilings of this machine for a dtype under `num_threads` CPU threads."""
    kind: torch.dtype = getattr(torch, dtype)
    total = num_rounds + 1
    gflops = 0.0
    for timer, num_flops in _products(kind, device, num_threads):
        best = min(timer.blocked_autorange(min_run_time=0.05).times)
        gflops = max(gflops, num_flops / best / 1e9)
        if 8 * best > MAX_PRODUCT_S:  # the next side is twice as long
            break
    progress(1, total)
    rates = {COPY_MIB * 2**20: 0.0, CACHED_KIB * 2**10: 0.0}
    for index in range(num_rounds):
        for num_bytes, rate in rates.items():
            rates[num_bytes] = max(rate, _copy_rate(num_bytes, device, num_threads))
        progress(index + 2, total)
    return Ceilings(gflops=gflops, gbytes_per_s=rates[COPY_MIB * 2**20], cached_gbytes_per_s=rates[CACHED_KIB * 2**10])


def _products(kind: torch.dtype, device: str, num_threads: int) -> Iterator[tuple[Timer, float]]:
    for side in SIDES:
        names = {
            "torch": torch,
            "a": torch.randn(side, side, device=device).to(kind),
            "b": torch.randn(side, side, device=device).to(kind),
            "c": torch.empty(side, side, device=device, dtype=kind),
        }
        yield Timer("torch.matmul(a, b, out=c)", globals=names, num_threads=num_threads), 2.0 * side**3


def _copy_rate(num_bytes: int, device: str, num_threads: int) -> float:
    """Billions of bytes per second, read and written ones together."""
    source = torch.ones(num_bytes // 8, device=device)  # float32: half of the bytes
    names = {"source": source, "target": torch.empty_like(source)}
    timer = Timer("target.copy_(source)", globals=names, num_threads=num_threads)
    return num_bytes / min(timer.blocked_autorange(min_run_time=0.05).times) / 1e9
