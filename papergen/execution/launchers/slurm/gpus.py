"""Which GPUs trials may have on a SLURM cluster, in its own word (sinfo): the machine that asks may have others."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from papergen.core.errors import MachineError, PapergenError
from papergen.execution.launchers.settings import LaunchSettings
from papergen.execution.launchers.slurm.client import SlurmBusyError, ask, last_line


@functools.cache
def gpus_of_nodes(partition: str, gpu_type: str) -> Sequence[int]:
    """How many GPUs (of `gpu_type`) each node of the partition has; of the default one where none is named.

    Empty when there is no such partition; SlurmBusyError when nobody answers.
    """
    done = ask(["sinfo", "--noheader", "--Node", "--format=%P|%G"])
    if done.returncode != 0:
        raise SlurmBusyError(f"sinfo: {last_line(done.stderr)}")
    wanted = set(partition.split(",")) if partition else None
    found = []
    for line in done.stdout.splitlines():
        name, _, resources = line.strip().partition("|")
        if name.rstrip("*") in wanted if wanted is not None else name.endswith("*"):
            found.append(_num_gpus(resources, gpu_type))
    return tuple(found)


def most_gpus(settings: LaunchSettings) -> int:
    """How many GPUs the best node of the partition has."""
    return max(gpus_of_nodes(settings.partition, settings.gpu_type), default=0)


def choose_device(requested: str, settings: LaunchSettings) -> tuple[str, str]:
    """The device of the ranks and why; MachineError when the partition has no such GPU.

    "auto" is CUDA where the settings ask for GPUs, and where every node of the partition has some.
    """
    if requested == "cpu" or (requested == "auto" and settings.gpus_per_rank == 0):
        return "cpu", "asked for" if requested == "cpu" else "launch.yaml says gpus_per_rank: 0"
    if settings.gpus_per_rank == 0:
        raise PapergenError("--device cuda, but launch.yaml says gpus_per_rank: 0. Remove one of the two.")
    counts = gpus_of_nodes(settings.partition, settings.gpu_type)
    kind = f"{settings.gpu_type} GPU" if settings.gpu_type else "GPU"
    where = f"partition {settings.partition}" if settings.partition else "the default partition"
    if requested == "cuda" or settings.gpus_per_rank:
        if not any(counts):
            asked = "--device cuda" if requested == "cuda" else "gpus_per_rank: 1"
            raise MachineError(
                f"{asked}: no node of {where} has a {kind} (sinfo).",
                hint="Name another partition (`sinfo -o '%P %G'` lists them): --launch partition=NAME",
            )
        return "cuda", f"a GPU of {where} for each rank"
    if counts and all(counts):
        return "cuda", f"every node of {where} has a {kind} (--device cpu does without)"
    return "cpu", f"no GPU is asked for, and not every node of {where} has one (--device cuda asks)"


def _num_gpus(resources: str, gpu_type: str) -> int:
    """From `gpu:a100:4(S:0-1),gpu:v100:2,shard:8` to 6, or 4 for a100; `(null)` is none."""
    total = 0
    for word in re.sub(r"\([^)]*\)", "", resources).split(","):
        kind, _, rest = word.partition(":")
        name, _, count = rest.rpartition(":")
        if kind == "gpu" and count.isdigit() and gpu_type in {"", name}:
            total += int(count)
    return total
