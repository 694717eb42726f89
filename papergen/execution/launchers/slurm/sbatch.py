"""A trial in sbatch's words: what it takes of the cluster, and how an array of trials is submitted."""

from __future__ import annotations

import math
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from papergen.core.errors import MachineError, PapergenError
from papergen.execution.launcher import Job
from papergen.execution.launchers.local import worker_environment
from papergen.execution.launchers.settings import LaunchSettings
from papergen.execution.launchers.slurm.client import TRANSIENT, SlurmBusyError, ask, last_line
from papergen.execution.launchers.slurm.gpus import most_gpus

TOO_LARGE = re.compile(
    r"node configuration is not available|node count specification|more processors requested|gres"
    r"|generic resource|memory specification|CPU count|time limit.* (invalid|exceeds)|PartitionTimeLimit",
    re.IGNORECASE,
)
"""What sbatch says when the trial asks for more than the cluster has: a fault of trials of this shape alone."""
FULL = re.compile(r"submit(ted)? job limit|job submit limit|MaxSubmitJob|too many jobs|SubmitJobsLimit", re.IGNORECASE)
"""What it says when the user has as many jobs in the queue as is allowed: later there is room."""


class TooLargeError(MachineError):
    """No node can ever give what the trial asks for."""


class QueueFullError(SlurmBusyError):
    """The user may have no more jobs in the queue now."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a trial takes of the cluster; trials of one shape form one job array."""

    num_nodes: int
    ranks_per_node: int
    gpus_per_node: int
    minutes: int | None


def shape_of(job: Job, settings: LaunchSettings) -> Shape:
    """What the trial takes; PapergenError when its ranks cannot be laid out as the settings say."""
    num_ranks = job.trial.num_ranks
    per_node = min(settings.ranks_per_node or num_ranks, num_ranks)
    if num_ranks % per_node:
        raise PapergenError(
            f"launch setting ranks_per_node = {per_node} does not divide the {num_ranks} ranks of {job.trial.label}.",
            hint="Every node must get as many ranks as the others.",
        )
    minutes = settings.time_minutes
    if minutes is None and job.time_limit_s is not None:
        minutes = math.ceil(job.time_limit_s / 60) + 5  # the trial's own limit comes first, and says where it stood
    num_gpus = per_node if job.device == "cuda" else 0
    if num_gpus and job.takes_all_gpus:
        num_gpus = most_gpus(settings)
    return Shape(num_nodes=num_ranks // per_node, ranks_per_node=per_node, gpus_per_node=num_gpus, minutes=minutes)


def submit(
    shape: Shape,
    settings: LaunchSettings,
    *,
    folder: Path,
    name: str,
    num_tasks: int,
    max_running: int | None = None,
) -> str:
    """Submit an array of `num_tasks` trials, described in `folder`, `max_running` at a time; the job's number.

    SlurmBusyError when the controller does not answer now (QueueFullError: or takes no more jobs now), MachineError
    with what SLURM said when it refuses (TooLargeError: because of what these trials ask for).
    """
    cores = shape.ranks_per_node * settings.cpus_per_rank
    layout = [f"--ntasks={shape.num_nodes}", "--ntasks-per-node=1", f"--cpus-per-task={cores}"]
    throttle = f"%{max_running}" if max_running is not None and max_running < num_tasks else ""
    command = [
        "sbatch",
        "--parsable",
        f"--job-name={name}",
        f"--array=0-{num_tasks - 1}{throttle}",
        f"--nodes={shape.num_nodes}",
        *layout,
        f"--output={str(folder).replace('%', '%%')}/task%a.log",
        "--open-mode=append",
        "--requeue" if settings.requeue else "--no-requeue",
        *_resources(shape, settings),
        *settings.sbatch,
    ]
    done = ask(command, stdin=_script(layout, settings, folder), environment=worker_environment())
    if done.returncode != 0:
        said = last_line(done.stderr) or last_line(done.stdout)
        if TRANSIENT.search(said):
            raise SlurmBusyError(f"sbatch: {said}")
        if FULL.search(done.stderr):
            raise QueueFullError(f"sbatch: {said}")
        if TOO_LARGE.search(said):
            raise TooLargeError(f"sbatch refused: {said} ({asked(shape, settings)})")
        raise MachineError(
            f"sbatch refused: {said}",
            hint="Set what the cluster wants in launch.yaml (partition, account, time, gpu_type, sbatch), "
            "or by --launch KEY=VALUE.",
        )
    return done.stdout.strip().split(";")[0]


def asked(shape: Shape, settings: LaunchSettings) -> str:
    """What a trial asks for, in words."""
    parts = [f"{shape.num_nodes} node{'s' if shape.num_nodes > 1 else ''} with {shape.ranks_per_node} ranks"]
    parts += [f"{shape.gpus_per_node} {settings.gpu_type} GPUs".replace("  ", " ")] if shape.gpus_per_node else []
    parts += [f"{shape.ranks_per_node * settings.cpus_per_rank} cores"]
    parts += [f"{settings.memory_per_rank} for each rank"] if settings.memory_per_rank else []
    where = f" of partition {settings.partition}" if settings.partition else ""
    return f"asked for: {', '.join(parts)}{where}"


def _resources(shape: Shape, settings: LaunchSettings) -> list[str]:
    words = [
        f"--{name}={value}"
        for name, value in (
            ("partition", settings.partition),
            ("account", settings.account),
            ("qos", settings.qos),
            ("time", shape.minutes),
        )
        if value
    ]
    if settings.memory_per_rank:
        amount, unit = int(settings.memory_per_rank[:-1]), settings.memory_per_rank[-1]
        words.append(f"--mem={amount * shape.ranks_per_node}{unit}")
    if shape.gpus_per_node:
        words.append(f"--gres=gpu:{settings.gpu_type + ':' if settings.gpu_type else ''}{shape.gpus_per_node}")
    return words


def _script(layout: Sequence[str], settings: LaunchSettings, folder: Path) -> str:
    """What sbatch runs: one process on each node. Some clusters pass no environment on, so ours stands in here."""
    ours = {name: value for name, value in worker_environment().items() if os.environ.get(name) != value}
    inside = [sys.executable, "-P", "-m", "papergen.execution.launchers.slurm.job", str(folder)]
    # srun takes no --cpus-per-task over from sbatch since SLURM 22.05.
    start = ["srun", *layout, "--kill-on-bad-exit=1", "--export=ALL", *inside]
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(ours.items())]
    return "\n".join(["#!/bin/bash", *lines, *settings.setup, f"exec {shlex.join(start)}", ""])
