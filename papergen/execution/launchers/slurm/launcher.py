"""Trials as SLURM jobs: submitted as arrays, watched by their own files and squeue, taken over by a later run-exp."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from papergen.core.errors import PapergenError
from papergen.execution.launcher import Ended, Event, Fitness, Job, Launcher
from papergen.execution.launchers.slurm import client, sbatch
from papergen.execution.launchers.slurm.client import SqueuePoll, TaskState
from papergen.execution.launchers.slurm.files import (
    BatchFiles,
    EventReader,
    TaskFiles,
    batches_folder,
    cancel,
    drop_unsubmitted,
    tidy,
    wait_until_gone,
)
from papergen.execution.launchers.slurm.sbatch import JobArrays, Postponed, Refused, Submitted, choose_device, most_gpus
from papergen.execution.multihost.nodes import Nodes
from papergen.execution.settings import LaunchSettings, RunSettings
from papergen.store.failures import Failure, FailureKind
from papergen.store.records import Trial, utc

LOOK_S = 0.25
"""Between two looks at the trials' files, and as long again for each hundred of trials: the files lie on a server."""
LAG_S = 10.0
"""How much later than squeue's news a file may be seen on another machine."""
EXPECTED = frozenset({"", "None", "JobArrayTaskLimit"})
"""Reasons for waiting that need no word."""


@dataclass(kw_only=True)
class Task:
    """A trial that was submitted."""

    job: Job
    batch: BatchFiles
    index: int
    events: EventReader
    gone_at: float | None = None
    """When squeue did not know it any more."""
    ended_for: tuple[FailureKind, str] | None = None
    """Why we ended it: kind and sentence."""

    @property
    def id(self) -> str:
        """What SLURM calls it."""
        return self.batch.task_id(self.index)

    @property
    def files(self) -> TaskFiles:
        """Its files."""
        return self.batch.task(self.index)


class SlurmLauncher(Launcher):
    """Trials on a cluster. What is submitted outlives a run-exp that is killed: the next one takes it over."""

    name: ClassVar[str] = "slurm"

    def __init__(
        self,
        project: Path,
        settings: RunSettings,
        *,
        lag_s: float = LAG_S,
    ) -> None:
        """At most `settings.jobs` trials run at a time; None: as many as the cluster likes."""
        self._project, self._lag_s = project, lag_s
        self._settings = settings
        self._arrays = JobArrays(project, settings)
        self._tasks: list[Task] = []
        self._told: deque[Event | Ended] = deque()
        drop_unsubmitted(batches_folder(project))
        self._earlier = BatchFiles.all_in(batches_folder(project))
        self._taken: set[str] = set()
        """Tasks of earlier runs that were taken over, once each."""
        self._over: list[Task] = []
        """Tasks whose ends were told and are taken in when `wait` is called next."""
        self._reasons: set[str] = set()
        self._poll = SqueuePoll(self._settings.poll_s)
        self._looked_at: dict[Path, int] = {}
        """Batch -> its folder's time of change at the last look."""

    @classmethod
    def fitness(cls) -> Fitness:
        """The best where sbatch works and this is no job already; a job should use its own allocation."""
        if problem := client.why_not():
            return Fitness(score=0, reason=problem)
        if job := os.environ.get("SLURM_JOB_ID"):
            return Fitness(score=1, reason=f"inside SLURM job {job}, which has an allocation of its own")
        return Fitness(score=3, reason="this machine submits to a SLURM cluster")

    @classmethod
    def device(cls, requested: str, settings: LaunchSettings) -> tuple[str, str]:
        """CUDA where GPUs are asked for, or where every node of the partition has some, whatever this machine has."""
        return choose_device(requested, settings)

    @classmethod
    def num_gpus(cls, device: str, settings: LaunchSettings) -> int:
        """As many as the best node of the partition has; this machine has no say."""
        return most_gpus(settings) if device == "cuda" else 0

    @classmethod
    def place(cls, settings: LaunchSettings) -> str:
        """The partition."""
        return f"SLURM partition {settings.partition}" if settings.partition else "SLURM's default partition"

    @classmethod
    def from_settings(cls, project: Path, settings: RunSettings, *, nodes: Nodes | None = None) -> Self:
        """The launcher for one run-exp."""
        return cls(project, settings)

    def holds(self, trial: Trial) -> bool:
        """Whether a job that an earlier run-exp submitted still runs the trial, or has finished it."""
        return self._find_earlier(trial) is not None

    def has_room(self, num_ranks: int) -> bool:
        """Whether one more may be submitted: always, since the arrays bound how many run."""
        return True

    def submit(self, job: Job) -> None:
        """Take note of the trial; `wait` submits all that were noted at once, as arrays."""
        if (found := self._find_earlier(job.trial)) is not None:
            batch, index = found
            self._taken.add(batch.task_id(index))
            self._add(job, batch, index)
            self._note(job, f"taken over: SLURM job {batch.task_id(index)} of an earlier run-exp")
            return
        try:
            sbatch.shape_of(job, self._settings)
        except PapergenError as error:
            self._tell_failed(job, Failure(kind=FailureKind.REFUSED, rank=None, cause=str(error)))
            return
        self._arrays.waiting.append(job)

    def wait(self, timeout_s: float | None = None) -> Sequence[Event | Ended]:
        """Sleep until there is something to tell, at most `timeout_s`; empty when that passed or nothing runs."""
        for task in self._over:
            task.files.settle()
        self._over.clear()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._submit_waiting()
            self._look()
            if self._told:
                told = tuple(self._told)
                self._told.clear()
                return told
            if not (self._tasks or self._arrays.waiting) or (deadline is not None and time.monotonic() >= deadline):
                return ()
            time.sleep(LOOK_S * (1 + len(self._tasks) // 100))

    def cancel(self, job: Job) -> None:
        """End the trial; its Ended, a failure, comes from `wait`."""
        for waiting in [item for item in self._arrays.waiting if item.trial.digest == job.trial.digest]:
            self._arrays.waiting.remove(waiting)
            self._tell_failed(waiting, Failure(kind=FailureKind.CANCELLED, rank=None, cause="cancelled"))
        for task in self._tasks:
            if task.job.trial.digest == job.trial.digest:
                task.ended_for = FailureKind.CANCELLED, "cancelled"
                cancel({task.id: task.files})

    def close(self) -> None:
        """Cancel the trials of this run that are not over, wait a little until they are gone, and tidy up.

        What an earlier run-exp submitted and this one did not want is left alone.
        """
        self._arrays.waiting.clear()
        ids = {task.id: task.files for task in self._tasks}
        self._tasks.clear()
        if ids:
            cancel(ids)
            wait_until_gone(ids)
        for task in self._over:
            if not task.job.folder.exists():  # the result or the failure has its place; else the next run takes it in
                task.files.settle()
        self._over.clear()
        tidy(self._project, ids)
        self._earlier = []

    # The work.

    def _find_earlier(self, trial: Trial) -> tuple[BatchFiles, int] | None:
        for batch in self._earlier:
            if trial.digest in batch.digests:
                index = list(batch.digests).index(trial.digest)
                task_id = batch.task_id(index)
                # Were an unanswered question taken for "over", the trial would run twice.
                is_open = batch.is_open(index, is_alive=task_id in self._poll.confirmed_states())
                if is_open and task_id not in self._taken:
                    return batch, index
        return None

    def _submit_waiting(self) -> None:
        counts: dict[str, int] = {}
        for task in self._tasks:
            counts[task.batch.job_id] = counts.get(task.batch.job_id, 0) + 1
        for told in self._arrays.submit(counts):
            match told:
                case Submitted():
                    for index, job in enumerate(told.jobs):
                        self._add(job, told.batch, index)
                    self._note(told.jobs[0], told.text)
                    self._poll.submitted()
                case Refused():
                    for job in told.jobs:
                        self._tell_failed(job, Failure(kind=FailureKind.REFUSED, rank=None, cause=told.cause))
                case Postponed():
                    self._tell_once(told.job, "later", told.text)

    def _add(self, job: Job, batch: BatchFiles, index: int) -> None:
        self._tasks.append(Task(job=job, batch=batch, index=index, events=EventReader(batch.task(index))))

    def _look(self) -> None:
        """Take in what the trials' files and squeue say."""
        num_answers = self._poll.num_answers
        known = self._poll.states() if self._tasks else {}
        changed = self._changed(is_news=self._poll.num_answers > num_answers)
        now = time.monotonic()
        for task in list(self._tasks):
            state = known.get(task.id)
            if state is None or not state.is_waiting or task.batch.folder in changed:
                self._told.extend(task.events.read(task.job))
                if (ended := task.files.end(task.job)) is not None:
                    self._finish(task, ended)
                    continue
            if state is not None:
                task.gone_at = None
                self._tell_state(task, state)
            elif self._poll.is_current:
                task.gone_at = task.gone_at or now
                if now - task.gone_at >= self._lag_s or task.ended_for is not None:
                    self._finish_gone(task)

    def _changed(self, *, is_news: bool) -> set[Path]:
        """The batches in whose folders a file has appeared since the last look; all when squeue has answered."""
        folders = {task.batch.folder for task in self._tasks}
        stamps = {folder: folder.stat().st_mtime_ns for folder in folders if folder.exists()}
        changed = folders if is_news else {path for path in folders if stamps.get(path) != self._looked_at.get(path)}
        self._looked_at = stamps
        return changed

    def _tell_state(self, task: Task, state: TaskState) -> None:
        if state.state != "PENDING":
            return
        if client.NEVER.search(state.reason):
            asked = sbatch.asked(sbatch.shape_of(task.job, self._settings), self._settings)
            cause = f"SLURM would never start job {task.id}: {state.reason} ({asked})"
            task.ended_for = FailureKind.REFUSED, cause
            client.cancel([task.id])
        elif state.reason not in EXPECTED:
            self._tell_once(task.job, state.reason, f"SLURM job {task.id} waits in the queue ({state.reason})")

    def _finish_gone(self, task: Task) -> None:
        kind, cause = task.ended_for or client.end_of(task.id)
        self._finish(task, None)
        self._tell_failed(task.job, Failure(kind=kind, rank=None, cause=cause, traceback=task.files.log_tail()))

    def _finish(self, task: Task, ended: Ended | None) -> None:
        if ended is not None:
            self._told.extend(task.events.read(task.job))
            self._told.append(ended)
        self._tasks.remove(task)
        self._over.append(task)

    def _note(self, job: Job, text: str) -> None:
        self._told.append(Event(job=job, kind="note", data={"text": text}))

    def _tell_once(self, job: Job, reason: str, text: str) -> None:
        if reason not in self._reasons:
            self._reasons.add(reason)
            self._note(job, text)

    def _tell_failed(self, job: Job, failure: Failure) -> None:
        now = utc(time.time())
        self._told.append(Ended(job=job, failure=failure, machine={}, started=now, ended=now, duration_s=0.0))
