"""How fast text was generated, from the clock readings of each batch, and how much memory it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import psutil


@dataclass(frozen=True, kw_only=True)
class BatchTiming:
    """Clock readings of one batch, in seconds of one clock."""

    num_prompts: int
    num_tokens: int
    """Real new tokens of all continuations returned: no padding, nothing after EOS, no discarded hypothesis."""
    start_s: float
    token_s: tuple[float, ...]
    """When each token of the batch was known; the first one follows the prefill."""
    end_s: float
    cache_implementation: str = "dynamic"
    """dynamic or static; what follows is explained where steps are made (`engine.py`)."""
    step: str = "eager"
    """What ran the steps: eager, cuda_graph, compiled or compiled_cuda_graph."""
    step_reason: str = ""
    """Why not more than that."""
    attempt: int = 0
    """Of the trial: one that was killed had its batches before this one."""
    rank: int = 0
    """Where it ran; the ranks of an attempt run side by side."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Latency and throughput over all batches."""

    time_to_first_token_s: float
    """Median over batches, from the batch's start to its first token."""
    inter_token_latency_p50_s: float | None
    """Median time between two tokens of a batch; None when no batch had two."""
    inter_token_latency_p95_s: float | None
    tokens_per_s: float
    """Real tokens returned by all ranks together, per second of `duration_s`."""
    num_tokens: int
    duration_s: float
    """Sum over the batches; with several ranks that of the rank which took longest, the others waiting for it."""


def summarise(timings: Sequence[BatchTiming]) -> Speed:
    """The numbers a paper reports about `timings`, at least one."""
    assert timings, "there is nothing to summarise without a batch"
    first = [timing.token_s[0] - timing.start_s for timing in timings]
    gaps = np.concatenate([np.diff(timing.token_s) for timing in timings])
    duration = _duration_s(timings)
    num_tokens = sum(timing.num_tokens for timing in timings)
    return Speed(
        time_to_first_token_s=float(np.median(first)),
        inter_token_latency_p50_s=float(np.percentile(gaps, 50)) if gaps.size else None,
        inter_token_latency_p95_s=float(np.percentile(gaps, 95)) if gaps.size else None,
        tokens_per_s=num_tokens / duration,
        num_tokens=num_tokens,
        duration_s=duration,
    )


def _duration_s(timings: Sequence[BatchTiming]) -> float:
    """Attempts follow each other, and each took as long as its slowest rank."""
    slowest: dict[int, float] = {}
    for (attempt, _), group in groupby(sorted(timings, key=_place), key=_place):
        own = sum(timing.end_s - timing.start_s for timing in group)
        slowest[attempt] = max(own, slowest.get(attempt, 0.0))
    return sum(slowest.values())


def _place(timing: BatchTiming) -> tuple[int, int]:
    return timing.attempt, timing.rank


class PeakMemory:
    """Peak memory of a block: `with PeakMemory("cpu") as memory: ...`, then `memory.mib`.

    On a CPU the resident size of the process at its highest so far (`ru_maxrss` is kept by the kernel, so nothing is
    missed between two looks, but earlier blocks count too); on CUDA the most that torch allocated in the block.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.mib = 0.0
        self.resident_mib = 0.0
        """Resident size of the process at the end of the block."""

    def __enter__(self) -> PeakMemory:
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(self.device)
        return self

    def __exit__(self, *_: object) -> None:
        self.resident_mib = psutil.Process().memory_info().rss / 2**20
        if self.device.startswith("cuda"):
            import torch

            self.mib = torch.cuda.max_memory_allocated(self.device) / 2**20
        else:
            self.mib = peak_resident_mib()


def peak_resident_mib() -> float:
    """Highest resident size of this process so far, in MiB."""
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
