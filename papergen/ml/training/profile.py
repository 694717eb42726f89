"""Where the time of a step goes: communication against computation, from torch.profiler's trace of a few steps."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from papergen.core.errors import PapergenError

Interval = tuple[float, float]
"""Begin and end, in microseconds."""


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Milliseconds per traced step of one rank. The trace itself slows the steps, so read the shares."""

    step_ms: float
    communication_ms: float
    """Some collective was under way, waiting for slower peers included."""
    exposed_communication_ms: float
    """Of that, nothing was computed meanwhile: what overlap has not hidden."""
    compute_ms: float
    """Some operator ran (CPU) or some other kernel did (GPU)."""


class StepProfiler:
    """Traces the steps `first` <= step < `first + num_steps`; those are left out of the step times."""

    def __init__(self, *, first: int, num_steps: int, last: int, device: torch.device) -> None:
        if num_steps and first + num_steps >= last:
            raise PapergenError(
                f"profile_steps = {num_steps}: the run has {last} steps, of which {first} come before the trace.",
                hint=f"Use max_steps: {first + num_steps + 1} or more, or fewer profile_steps.",
            )
        self._span = range(first, first + num_steps)
        self._device = device
        self._trace: Any = None
        self._began_s = 0.0
        self._wall_s = 0.0

    def begins(self, step: int) -> bool:
        """Call before each step: starts the trace when it is time. Whether this step is traced."""
        if step in self._span and self._trace is None:
            activities = [ProfilerActivity.CPU]
            if self._device.type == "cuda":
                activities.append(ProfilerActivity.CUDA)
                torch.cuda.synchronize(self._device)
            self._trace = profile(activities=activities)
            self._trace.start()
            self._began_s = time.perf_counter()
        return step in self._span

    def ends(self, step: int) -> None:
        """Call after each step: stops the trace behind its last step."""
        if self._span and step == self._span[-1] and self._trace is not None:
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            self._wall_s = time.perf_counter() - self._began_s
            self._trace.stop()

    def breakdown(self) -> Breakdown | None:
        """What the trace shows; None when nothing was traced."""
        if self._trace is None:
            return None
        on_gpu = self._device.type == "cuda"
        communication, compute = [], []
        for event in self._trace.events():
            span = (event.time_range.start, event.time_range.end)
            if is_collective(event.name, is_kernel=_is_kernel(event)):
                communication.append(span)
            elif _is_kernel(event) if on_gpu else event.name.startswith("aten::"):
                compute.append(span)
        return broken_down(communication, compute, wall_us=self._wall_s * 1e6, num_steps=len(self._span))


def broken_down(
    communication: Iterable[Interval], compute: Iterable[Interval], *, wall_us: float, num_steps: int
) -> Breakdown:
    """Interval arithmetic: nested and parallel operators count once."""
    busy, working = union(communication), union(compute)
    per_ms = 1e3 * num_steps
    total = length(busy)
    # |A \\ B| = |A u B| - |B|
    exposed = min(total, length(union([*busy, *working])) - length(working))  # but for rounding never more
    return Breakdown(
        step_ms=wall_us / per_ms,
        communication_ms=total / per_ms,
        exposed_communication_ms=exposed / per_ms,
        compute_ms=length(working) / per_ms,
    )


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Disjoint intervals in order that cover the same points."""
    merged: list[Interval] = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def length(intervals: Sequence[Interval]) -> float:
    """Total length of disjoint intervals."""
    return sum(end - begin for begin, end in intervals)


def is_collective(name: str, *, is_kernel: bool) -> bool:
    """Whether a traced event is communication itself: gloo's threads on CPU, NCCL's kernels on a GPU."""
    return name.startswith("gloo:") or (is_kernel and "nccl" in name.lower())


def _is_kernel(event: Any) -> bool:
    # Annotations ("Optimizer.step") are mirrored onto the GPU's timeline, but nothing runs there on their account.
    return str(event.device_type).endswith("CUDA") and not event.is_user_annotation
