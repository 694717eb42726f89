"""Running a pipeline's stages and measuring each: time per input, extra memory, padding."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from papergen.ml.tasks.batching import BATCH_TOKENS, batches
from papergen.ml.tasks.stages import Results, Stages

NAMES = ("tokenize", "forward", "postprocess")
CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


@dataclass
class Measured:
    """What a pass over all inputs took, by stage."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(NAMES, 0.0))
    memory_mib: dict[str, float] = field(default_factory=dict)
    """Most memory of a batch beyond what was held before the stage."""
    num_batches: int = 0
    num_tokens: int = 0
    """Of all forward passes' inputs, padding included."""
    num_padding: int = 0
    results: Results = field(default_factory=list)

    @property
    def padding(self) -> float:
        """Share of the tokens that are padding, in per cent."""
        return 100.0 * self.num_padding / self.num_tokens


@torch.inference_mode()
def run_stages(
    stages: Stages,
    inputs: Sequence[Any],
    *,
    device: str,
    batch_size: int | None = None,
    batch_tokens: int | None = None,
    group_by_length: bool = True,
    with_memory: bool = False,
) -> Measured:
    """All inputs, each stage timed; a GPU is waited for at the end of the forward stage.

    Batches hold at most `batch_size` rows, or without it `batch_tokens` tokens (by the device: BATCH_TOKENS). Rows of
    like length go together, so that little is padded; the results keep the order of the inputs.
    """
    measured = Measured()
    if batch_size is None and batch_tokens is None:
        batch_tokens = BATCH_TOKENS[torch.device(device).type] * stages.batch_factor

    def stage(name: str) -> contextlib.AbstractContextManager[None]:
        return _stage(name, measured, device, with_memory)

    with stage("tokenize"):
        encoded = stages.tokenize(inputs)
    lengths = encoded.lengths
    said: list[Any] = [None] * len(lengths)
    for rows in batches(lengths, batch_size=batch_size, batch_tokens=batch_tokens, group_by_length=group_by_length):
        with stage("tokenize"):
            batch = stages.batch(encoded, rows)
        with stage("forward"):
            output = stages.forward(batch)
            if device.startswith("cuda"):
                torch.cuda.synchronize()
        with stage("postprocess"):
            for row, one in zip(rows, stages.read(output, encoded, rows), strict=True):
                said[row] = one
        measured.num_batches += 1
        measured.num_tokens += batch["input_ids"].numel()
        measured.num_padding += batch["input_ids"].numel() - sum(lengths[row] for row in rows)
    with stage("postprocess"):
        of_input: list[list[Any]] = [[] for _ in inputs]
        for owner, one in zip(encoded.owners, said, strict=True):
            of_input[owner].append(one)
        measured.results = [stages.result(one, given) for one, given in zip(of_input, inputs, strict=True)]
    return measured


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
