"""Trials in sbatch's words: what one takes of the cluster, and how those that wait are submitted as job arrays."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from papergen.core.errors import MachineError, PapergenError
from papergen.core.files import slug
from papergen.execution.launcher import Job
from papergen.execution.launchers.local import worker_environment
from papergen.execution.launchers.slurm import client
from papergen.execution.launchers.slurm.client import TRANSIENT, SlurmBusyError, ask, gpus_of_nodes, last_line
from papergen.execution.launchers.slurm.files import BatchFiles, TaskFiles, batches_folder
from papergen.execution.settings import LaunchSettings, RunSettings

TOO_LARGE = re.compile(
    r"node configuration is not available|node count specification|more processors requested|gres"
    r"|generic resource|memory specification|CPU count|time limit.* (invalid|exceeds)|PartitionTimeLimit",
    re.IGNORECASE,
)
"""What sbatch says when the trial asks for more than the cluster has: a fault of trials of this shape alone."""
QUEUE_FULL = re.compile(
    r"submit(ted)? job limit|job submit limit|MaxSubmitJob|too many jobs|SubmitJobsLimit", re.IGNORECASE
)
"""What it says when the user has as many jobs in the queue as is allowed: later there is room."""


MAX_ARRAY = 500
"""Trials in one array, where the cluster allows as many."""


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


def shape_of(job: Job, settings: RunSettings) -> Shape:
    """What the trial takes; PapergenError when its ranks cannot be laid out as the settings say."""
    num_ranks = job.trial.num_ranks
    per_node = min(settings.ranks_per_node or num_ranks, num_ranks)
    if num_ranks % per_node:
        raise PapergenError(
            f"launch setting ranks_per_node = {per_node} does not divide the {num_ranks} ranks of {job.trial.label}.",
            hint="Every node must get as many ranks as the others.",
        )
    minutes = settings.time_minutes
    if minutes is None and settings.time_limit_s is not None:
        # The trial's own limit comes first, and says where it stood.
        minutes = math.ceil(settings.time_limit_s / 60) + 5
    num_gpus = per_node if settings.device == "cuda" else 0
    if num_gpus and job.takes_all_gpus:
        num_gpus = most_gpus(settings)
    return Shape(num_nodes=num_ranks // per_node, ranks_per_node=per_node, gpus_per_node=num_gpus, minutes=minutes)


def submit(
    shape: Shape,
    settings: RunSettings,
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
        if QUEUE_FULL.search(done.stderr):
            raise QueueFullError(f"sbatch: {said}")
        if TOO_LARGE.search(said):
            raise TooLargeError(f"sbatch refused: {said} ({asked(shape, settings)})")
        raise MachineError(
            f"sbatch refused: {said}",
            hint="Set what the cluster wants in launch.yaml (partition, account, time, gpu_type, sbatch), "
            "or by --launch KEY=VALUE.",
        )
    return done.stdout.strip().split(";")[0]


def asked(shape: Shape, settings: RunSettings) -> str:
    """What a trial asks for, in words."""
    parts = [f"{shape.num_nodes} node{'s' if shape.num_nodes > 1 else ''} with {shape.ranks_per_node} ranks"]
    parts += [f"{shape.gpus_per_node} {settings.gpu_type} GPUs".replace("  ", " ")] if shape.gpus_per_node else []
    parts += [f"{shape.ranks_per_node * settings.cpus_per_rank} cores"]
    parts += [f"{settings.memory_per_rank} for each rank"] if settings.memory_per_rank else []
    where = f" of partition {settings.partition}" if settings.partition else ""
    return f"asked for: {', '.join(parts)}{where}"


def _resources(shape: Shape, settings: RunSettings) -> list[str]:
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


def _script(layout: Sequence[str], settings: RunSettings, folder: Path) -> str:
    """What sbatch runs: one process on each node. Some clusters pass no environment on, so ours stands in here."""
    ours = {name: value for name, value in worker_environment().items() if os.environ.get(name) != value}
    inside = [sys.executable, "-P", "-m", "papergen.execution.launchers.slurm.job", str(folder)]
    # srun takes no --cpus-per-task over from sbatch since SLURM 22.05.
    start = ["srun", *layout, "--kill-on-bad-exit=1", "--export=ALL", *inside]
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(ours.items())]
    return "\n".join(["#!/bin/bash", *lines, *settings.setup, f"exec {shlex.join(start)}", ""])


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """An array that SLURM has taken."""

    batch: BatchFiles
    jobs: Sequence[Job]
    """In the order of the array's tasks."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Trials that SLURM can never run."""

    jobs: Sequence[Job]
    cause: str


@dataclass(frozen=True, kw_only=True)
class Postponed:
    """SLURM takes nothing now; it will be asked again."""

    job: Job
    text: str


class JobArrays:
    """The waiting trials of one run-exp, and the shares of its arrays."""

    def __init__(self, project: Path, settings: RunSettings) -> None:
        """At most `settings.jobs` tasks run at a time, over all arrays; None: any number."""
        self._project, self._settings, self._max_trials = project, settings, settings.jobs
        self.waiting: list[Job] = []
        self._throttles: dict[str, int] = {}
        """Job -> how many of its tasks may run at a time."""
        self._submit_at = 0.0

    def submit(self, num_unfinished: Mapping[str, int]) -> Iterator[Submitted | Refused | Postponed]:
        """Submit what waits, as far as there are places.

        `num_unfinished` says how many tasks of each job are not over, in the order of submission.
        """
        self._share_places(num_unfinished)
        if not self.waiting or time.monotonic() < self._submit_at:
            return
        counts = dict(num_unfinished)
        groups: dict[Shape, list[Job]] = defaultdict(list)
        for job in self.waiting:
            groups[shape_of(job, self._settings)].append(job)
        size = min(MAX_ARRAY, client.max_array_size())
        for shape, jobs in groups.items():
            for first in range(0, len(jobs), size):
                places = None if self._max_trials is None else num_places(list(counts.values()), self._max_trials)
                if places == 0:
                    return
                part = jobs[first : first + size]
                told = self._submit_some(shape, part, places)
                yield told
                if isinstance(told, Submitted):
                    counts[told.batch.job_id] = len(told.jobs)
                if isinstance(told, Postponed) or len(told.jobs) < len(part):
                    self._submit_at = time.monotonic() + self._settings.poll_s
                    return

    def _submit_some(self, shape: Shape, jobs: Sequence[Job], places: int | None) -> Submitted | Refused | Postponed:
        """Submit the trials as one array, or as many of them as the user may have in the queue."""
        try:
            told: Submitted | Refused = self._submit_array(shape, jobs, places)
        except TooLargeError as error:
            told = Refused(jobs=jobs, cause=error.message)
        except QueueFullError as error:
            if len(jobs) > 1:
                return self._submit_some(shape, jobs[: len(jobs) // 2], places)
            return Postponed(job=jobs[0], text=f"{error.message}; trying again as jobs end")
        except SlurmBusyError as error:
            return Postponed(job=jobs[0], text=f"{error.message}; trying again")
        for job in told.jobs:
            self.waiting.remove(job)
        return told

    def _submit_array(self, shape: Shape, jobs: Sequence[Job], places: int | None) -> Submitted:
        name = f"papergen-{slug(self._project.name)}"
        folder = batches_folder(self._project).resolve() / f"{time.time_ns():x}"
        folder.mkdir(parents=True)
        try:
            for index, job in enumerate(jobs):
                TaskFiles(folder, index).write(replace(job, num_threads=self._settings.cpus_per_rank), self._settings)
            job_id = submit(shape, self._settings, folder=folder, name=name, num_tasks=len(jobs), max_running=places)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        batch = BatchFiles(folder=folder, job_id=job_id, digests=[job.trial.digest for job in jobs])
        batch.write()
        if places is not None:
            self._throttles[job_id] = places
        count = f"{len(jobs)} trials" if len(jobs) > 1 else "1 trial"
        nodes = f", {shape.num_nodes} nodes each" if shape.num_nodes > 1 else ""
        at_a_time = f", {places} at a time" if places is not None and places < len(jobs) else ""
        return Submitted(batch=batch, jobs=jobs, text=f"SLURM job {job_id}: {count}{nodes}{at_a_time}")

    def _share_places(self, num_unfinished: Mapping[str, int]) -> None:
        """Let arrays have the places that others need no more."""
        if self._max_trials is None:
            return
        shares = allotted(list(num_unfinished.values()), self._max_trials)
        for job_id, share in zip(num_unfinished, shares, strict=True):
            if job_id in self._throttles and share > self._throttles[job_id]:
                client.set_throttle(job_id, share)
                self._throttles[job_id] = share


def allotted(num_unfinished: Sequence[int], num_places: int) -> list[int]:
    """How many tasks of each array may run at a time so that all together take `num_places`; earlier arrays first.

    As arrays shrink, a share only grows until its array is smaller than it, so no running task is ever too many.
    """
    shares = []
    for count in num_unfinished:
        shares.append(min(count, num_places))
        num_places -= shares[-1]
    return shares


def num_places(num_unfinished: Sequence[int], max_trials: int) -> int:
    """How many tasks more may run at a time."""
    return max_trials - sum(allotted(num_unfinished, max_trials))
