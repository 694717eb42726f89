"""The GPU part of benchmarks/training.py: tokens/s and MFU of training, and the optimiser's share of the bandwidth.

AdamW is bound by memory: per parameter it reads weight, gradient and two moments and writes weight and moments, that
is 28 bytes in float32. Its share is that traffic over its time, divided by the bandwidth of a copy on the same GPU.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from papergen.ml.training.loop import train
from papergen.ml.training.settings import TrainingSettings

ADAMW_BYTES = 28
COPY_BYTES = 2**30


def measure(
    *,
    num_layers: int = 12,
    width: int = 768,
    batch_size: int = 32,
    block_size: int = 1024,
    max_steps: int = 60,
    device: str = "cuda",
) -> dict[str, Any]:
    """One GPU, bfloat16 autocast, compiled; the numbers of GPT-2's smallest size by default.

    With `device="cpu"` the same road is gone without compiling, to see that it leads to its end.
    """
    settings = TrainingSettings(
        world_size=1,
        n_layer=num_layers,
        n_embd=width,
        n_head=max(1, width // 64),
        block_size=block_size,
        batch_size=batch_size,
        max_steps=max_steps,
        warmup_steps=0,
        dtype="bfloat16",
        torch_compile=device == "cuda",
        save_every=0,
        log_every=1000,
    )
    with tempfile.TemporaryDirectory() as folder:
        trained = train(
            settings,
            seed=0,
            rank=0,
            world_size=1,
            local_rank=0,
            device=device,
            folder=Path(folder),
            log=lambda *_: None,
            progress=lambda *_: None,
            is_only_timed=True,
        )
    names = ("tokens_per_s", "step_time_ms", "mfu", "peak_memory_mib", "num_parameters")
    found = {name: trained.metrics[name] for name in names if name in trained.metrics}
    copy = copy_bandwidth(device)
    return {
        "gpu": torch.cuda.get_device_name() if device == "cuda" else "none",
        "settings": settings.model_dump(mode="json"),
        **found,
        "copy_gb_per_s": copy / 1e9,
        "adamw_share_of_copy_bandwidth": adamw_bandwidth(int(found["num_parameters"]), device) / copy,
    }


def copy_bandwidth(device: str = "cuda") -> float:
    """Bytes per second that a copy within the device's memory reads and writes."""
    num_bytes = COPY_BYTES if device == "cuda" else COPY_BYTES // 64
    source = torch.empty(num_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * num_bytes / seconds(lambda: target.copy_(source), device)


def adamw_bandwidth(num_parameters: int, device: str = "cuda") -> float:
    """Bytes per second that one fused AdamW step moves."""
    parameter = torch.nn.Parameter(torch.zeros(num_parameters, device=device))
    parameter.grad = torch.ones_like(parameter)
    optimizer = torch.optim.AdamW([parameter], fused=True)
    return ADAMW_BYTES * num_parameters / seconds(optimizer.step, device)


def seconds(call: Callable[[], Any], device: str, *, repeats: int = 20) -> float:
    """Median seconds of a call; on a GPU by events in its stream."""
    times: list[float] = []
    for index in range(repeats + 3):
        if device == "cpu":
            began = time.perf_counter()
            call()
            times += [time.perf_counter() - began] if index >= 3 else []
            continue
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        torch.cuda.synchronize()
        if index >= 3:
            times.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(times)
