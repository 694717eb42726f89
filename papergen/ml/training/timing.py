"""How long the steps took and how much memory: warm-up, evaluation and waiting for the log left out."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Sequence

import torch

NUM_WARMUP_STEPS = 5
"""Steps at the start (of a run or of a resumed one) that are not counted."""


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
