"""Trials that wait to be submitted become job arrays, of which so many tasks run at a time as the user wants."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from papergen.core.files import slug
from papergen.execution.launcher import Job, Limits
from papergen.execution.launchers.settings import LaunchSettings
from papergen.execution.launchers.slurm import client as slurm_answers
from papergen.execution.launchers.slurm import sbatch as slurm_words
from papergen.execution.launchers.slurm.client import SlurmBusyError
from papergen.execution.launchers.slurm.sbatch import QueueFullError, Shape, TooLargeError
from papergen.execution.launchers.slurm.task_files import BatchFiles, TaskFiles, batches_folder

MAX_ARRAY = 500
"""Trials in one array, where the cluster allows as many."""


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
class Later:
    """SLURM takes nothing now; it will be asked again."""

    job: Job
    text: str


class Arrays:
    """The waiting trials of one run-exp, and the shares of its arrays."""

    def __init__(self, project: Path, settings: LaunchSettings, limits: Limits, max_trials: int | None) -> None:
        """At most `max_trials` tasks run at a time, over all arrays; None: any number."""
        self._project, self._settings, self._limits, self._max_trials = project, settings, limits, max_trials
        self.waiting: list[Job] = []
        self._throttles: dict[str, int] = {}
        """Job -> how many of its tasks may run at a time."""
        self._submit_at = 0.0

    def submit(self, num_unfinished: Mapping[str, int]) -> Iterator[Submitted | Refused | Later]:
        """Submit what waits, as far as there are places.

        `num_unfinished` says how many tasks of each job are not over, in the order of submission.
        """
        self._share_places(num_unfinished)
        if not self.waiting or time.monotonic() < self._submit_at:
            return
        counts = dict(num_unfinished)
        groups: dict[Shape, list[Job]] = defaultdict(list)
        for job in self.waiting:
            groups[slurm_words.shape_of(job, self._settings)].append(job)
        size = min(MAX_ARRAY, slurm_answers.max_array_size())
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
                if isinstance(told, Later) or len(told.jobs) < len(part):
                    self._submit_at = time.monotonic() + self._settings.poll_s
                    return

    def _submit_some(self, shape: Shape, jobs: Sequence[Job], places: int | None) -> Submitted | Refused | Later:
        """Submit the trials as one array, or as many of them as the user may have in the queue."""
        try:
            told: Submitted | Refused = self._submit_array(shape, jobs, places)
        except TooLargeError as error:
            told = Refused(jobs=jobs, cause=error.message)
        except QueueFullError as error:
            if len(jobs) > 1:
                return self._submit_some(shape, jobs[: len(jobs) // 2], places)
            return Later(job=jobs[0], text=f"{error.message}; trying again as jobs end")
        except SlurmBusyError as error:
            return Later(job=jobs[0], text=f"{error.message}; trying again")
        for job in told.jobs:
            self.waiting.remove(job)
        return told

    def _submit_array(self, shape: Shape, jobs: Sequence[Job], places: int | None) -> Submitted:
        name = f"papergen-{slug(self._project.name)}"
        folder = batches_folder(self._project).resolve() / f"{time.time_ns():x}"
        folder.mkdir(parents=True)
        try:
            for index, job in enumerate(jobs):
                TaskFiles(folder, index).write(replace(job, num_threads=self._settings.cpus_per_rank), self._limits)
            job_id = slurm_words.submit(
                shape, self._settings, folder=folder, name=name, num_tasks=len(jobs), max_running=places
            )
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
                slurm_answers.set_throttle(job_id, share)
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
