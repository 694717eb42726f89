"""What this machine can do at most: operations per second by a large product, bytes per second by streaming kernels.

These are the two ceilings of the roofline model (Williams, Waterman and Patterson 2009), measured, not looked up: a
share of them is a share of what the same library reaches here at best. Bandwidth is that of the kernels of STREAM
(McCalpin 1995) and the dot product that BabelStream adds (Deakin et al. 2018), over working sets that fit the caches
one after the other, up to one that fits none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch.utils.benchmark import Timer

SIDES = (256, 512, 1024, 2048, 4096)
"""Sides of the square products; the fastest counts, timed again in every round."""
MAX_PRODUCT_S = 2.0
"""A product expected to take longer is left out: a dtype without fast kernels would take minutes."""
WORKING_SETS = tuple(2**power for power in range(16, 29, 2))
"""Bytes of all arrays of a kernel together: 64 KiB, below which its start takes longer than its bytes, to 256 MiB, far
larger than any cache of a CPU or GPU of today."""
RUN_TIME_S = 0.005
"""Least time of a kernel in a round; the fastest block counts."""

KERNELS = {
    "fill": ("a.fill_(3.0)", "a"),
    "copy": ("a.copy_(b)", "ab"),
    "add": ("torch.add(b, c, out=a)", "abc"),
    "triad": ("torch.add(b, c, alpha=3.0, out=a)", "abc"),
    "dot": ("torch.dot(b, c)", "bc"),
}
"""Kernel -> expression, and the arrays of equal size that it reads and writes."""


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """The fastest round of each."""

    gflops: float
    """Billions of additions and multiplications per second."""
    bandwidths: tuple[tuple[int, float], ...]
    """(bytes, billions of them per second) by the fastest kernel, from small working sets to large ones, never rising:
    what a large working set reaches, a smaller one could."""

    @property
    def gbytes_per_s(self) -> float:
        """From and to main memory: at the largest working set."""
        return self.bandwidths[-1][1]

    @property
    def cached_gbytes_per_s(self) -> float:
        """From and to the fastest cache."""
        return self.bandwidths[0][1]


def measure_ceilings(
    *, dtype: str, device: str, num_threads: int, num_rounds: int, progress: Callable[[int, int], None]
) -> Ceilings:
    """The ceilings of this machine for a dtype under `num_threads` CPU threads. Bandwidth knows no dtype: float32."""
    kind: torch.dtype = getattr(torch, dtype)
    total = num_rounds + 1
    gflops = 0.0
    for timer, num_flops in _products(kind, device, num_threads):
        best = min(timer.blocked_autorange(min_run_time=0.05).times)
        if num_flops / best / 1e9 > gflops:
            gflops, fastest = num_flops / best / 1e9, (timer, num_flops)
        if 8 * best > MAX_PRODUCT_S:  # the next side is twice as long
            break
    progress(1, total)
    rates = dict.fromkeys(WORKING_SETS, 0.0)
    for index in range(num_rounds):
        timer, num_flops = fastest
        gflops = max(gflops, num_flops / min(timer.blocked_autorange(min_run_time=0.05).times) / 1e9)
        for num_bytes in WORKING_SETS:
            rates[num_bytes] = max(rates[num_bytes], _fastest(num_bytes, device, num_threads))
        progress(index + 2, total)
    falling = list(accumulate(list(rates.values())[::-1], max))[::-1]
    return Ceilings(gflops=gflops, bandwidths=tuple(zip(WORKING_SETS, falling, strict=True)))


def _products(kind: torch.dtype, device: str, num_threads: int) -> Iterator[tuple[Timer, float]]:
    for side in SIDES:
        names = {
            "torch": torch,
            "a": torch.randn(side, side, device=device).to(kind),
            "b": torch.randn(side, side, device=device).to(kind),
            "c": torch.empty(side, side, device=device, dtype=kind),
        }
        yield Timer("torch.matmul(a, b, out=c)", globals=names, num_threads=num_threads), 2.0 * side**3


def _fastest(num_bytes: int, device: str, num_threads: int) -> float:
    """Billions of bytes read and written per second by the fastest kernel, all its arrays together `num_bytes`."""
    best = 0.0
    for statement, arrays in KERNELS.values():
        length = num_bytes // (4 * len(arrays))
        names = {"torch": torch} | {name: torch.ones(length, device=device) for name in arrays}
        timer = Timer(statement, globals=names, num_threads=num_threads)
        seconds = min(timer.blocked_autorange(min_run_time=RUN_TIME_S).times)
        best = max(best, 4 * length * len(arrays) / seconds / 1e9)
    return best
