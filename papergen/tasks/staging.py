"""Running a pipeline's stages and measuring each: time per input, extra memory, padding."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from papergen.tasks.stages import Asked, Results, Stages

NAMES = ("tokenize", "forward", "postprocess")
CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


@dataclass
class Measured:
    """What a pass over all inputs took, by stage."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(NAMES, 0.0))
    memory_mib: dict[str, float] = field(default_factory=dict)
    """Most memory of a batch beyond what was held before the stage."""
    padding: list[float] = field(default_factory=list)
    results: Results = field(default_factory=list)


@torch.inference_mode()
def run_stages(
    stages: Stages,
    inputs: Sequence[Any],
    *,
    batch_size: int,
    device: str,
    group_by_length: bool = True,
    with_memory: bool = False,
) -> Measured:
    """All inputs in batches, each stage timed; a GPU is waited for at the end of the forward stage.

    Inputs of like length go together, so that little is padded; the results keep the order of the inputs.
    """
    measured = Measured()
    order = list(range(len(inputs)))
    if group_by_length:
        order.sort(key=lambda index: _num_characters(inputs[index]))
    found: dict[int, Any] = {}
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = [inputs[index] for index in chosen]
        with _stage("tokenize", measured, device, with_memory):
            encoded = stages.tokenize(batch)
        with _stage("forward", measured, device, with_memory):
            output = stages.forward(encoded)
            if device.startswith("cuda"):
                torch.cuda.synchronize()
        with _stage("postprocess", measured, device, with_memory):
            found |= dict(zip(chosen, stages.postprocess(output, encoded, batch), strict=True))
        measured.padding.append(encoded.padding_share)
    measured.results = [found[index] for index in range(len(inputs))]
    return measured


def _num_characters(given: Any) -> int:
    """Length of an input before there are tokens to count."""
    return len(given.question) + len(given.context) if isinstance(given, Asked) else len(given)


@contextlib.contextmanager
def _stage(name: str, measured: Measured, device: str, with_memory: bool) -> Iterator[None]:
    before = _mark(device) if with_memory else None
    begin = time.perf_counter()
    yield
    measured.seconds[name] += time.perf_counter() - begin
    if before is not None:
        extra = _peak(device) - before
        measured.memory_mib[name] = max(measured.memory_mib.get(name, 0.0), extra)


def _mark(device: str) -> float | None:
    """Start a new peak: what is held now in MiB; None where the kernel does not let a process reset its own."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    try:
        CLEAR_REFS.write_text("5")  # VmHWM starts again from VmRSS (proc(5))
    except OSError:
        return None
    return _from_status("VmRSS")


def _peak(device: str) -> float:
    return torch.cuda.max_memory_allocated() / 2**20 if device.startswith("cuda") else _from_status("VmHWM")


def _from_status(name: str) -> float:
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def seconds_of(call: Callable[[], Any]) -> float:
    """Wall-clock seconds of a call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
