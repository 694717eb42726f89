"""How long the steps took, how much memory, and how far the GPUs were used.

Warm-up, evaluation and waiting for the log are left out.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

NUM_WARMUP_STEPS = 5
"""Steps at the start (of a run or of a resumed one) that are not counted."""


PEAK_TFLOPS = {
    "B200": 2250.0,
    "H200": 989.4,
    "H100 PCIe": 756.0,
    "H100": 989.4,
    "A100": 312.0,
    "A10G": 70.0,
    "A10": 125.0,
    "L40S": 362.0,
    "L4": 121.0,
}
"""Part of a GPU's name -> dense bfloat16 tensor-core TFLOP/s by NVIDIA's data sheets, longer names first."""


class StepClock:
    """Durations of optimiser steps; on a GPU measured by events in its stream, so that no step waits for the clock."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._start: float = 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._durations_s: list[float] = []

    def start(self) -> None:
        """A step begins."""
        if self._device.type == "cuda":
            begin, end = _event(), _event()
            begin.record()
            self._events.append((begin, end))
        else:
            self._start = time.perf_counter()

    def stop(self, *, is_counted: bool = True) -> None:
        """The step ends; one that was traced is not counted."""
        if not is_counted:
            if self._device.type == "cuda":
                self._events.pop()
        elif self._device.type == "cuda":
            self._events[-1][1].record()
        else:
            self._durations_s.append(time.perf_counter() - self._start)

    def durations_s(self) -> Sequence[float]:
        """Seconds of every step so far; waits for the GPU."""
        if self._events:
            torch.cuda.synchronize(self._device)
            self._durations_s += [begin.elapsed_time(end) / 1e3 for begin, end in self._events]
            self._events.clear()
        return self._durations_s

    def timed_s(self) -> Sequence[float]:
        """Seconds of the steps after the warm-up; of all but the first where there are too few."""
        durations = self.durations_s()
        num_skipped = NUM_WARMUP_STEPS if len(durations) > 2 * NUM_WARMUP_STEPS else min(1, len(durations) - 1)
        return durations[num_skipped:]


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, interpolated."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def peak_memory_mib(device: torch.device) -> float:
    """Most memory this rank has held: allocated on its GPU, or resident in this process (torch itself included)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB


def flops_per_token(config: Any, num_parameters: int, block_size: int) -> float:
    """Floating-point operations to train on one token: 6 N + 12 L H Q T (Chowdhery et al. 2022, PaLM, appendix B).

    N leaves out the position embeddings, which are looked up; tied token embeddings count once, as the output layer.
    """
    num_positions = getattr(config, "max_position_embeddings", 0) if config.model_type == "gpt2" else 0
    multiplied = num_parameters - num_positions * config.hidden_size
    if not config.tie_word_embeddings:
        multiplied -= config.vocab_size * config.hidden_size
    # Forward 2 N, backward 4 N; attention 12 L H Q T counts scores and values, forward and backward.
    return float(6 * multiplied + 12 * config.num_hidden_layers * config.hidden_size * block_size)


def model_flops_utilisation(tokens_per_s: float, flops: float, *, gpu: str, num_gpus: int, dtype: str) -> float | None:
    """MFU in percent; None for a GPU or arithmetic whose peak is not in the table (a guess would be no measurement)."""
    if dtype not in {"bfloat16", "float16"}:
        return None
    peak = next((tflops for name, tflops in PEAK_TFLOPS.items() if name in gpu), None)
    return None if peak is None else 100 * tokens_per_s * flops / (num_gpus * peak * 1e12)
