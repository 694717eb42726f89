"""Trials as SLURM jobs: submitted as arrays, watched by their own files and squeue, taken over by a later run-exp."""

from __future__ import annotations

import os
import shutil
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from papergen.errors import MachineError, PapergenError
from papergen.files import slug
from papergen.launch import slurm_words
from papergen.launch.base import Ended, Event, Fitness, Job, Launcher, Limits, Setup
from papergen.launch.running import utc
from papergen.launch.settings import LaunchSettings
from papergen.launch.slurm_words import Shape, SlurmBusyError, TaskState
from papergen.launch.tasks import BatchFiles, EventReader, TaskFiles, batches_folder
from papergen.records import Failure, Trial

MAX_ARRAY = 500
"""Trials in one array; SLURM's own limit is 1001 where nobody changed it."""
MAX_GPUS = 1_000_000
LOOK_S = 0.25
"""Between two looks at the trials' files."""
LAG_S = 10.0
"""How much later than squeue's news a file may be seen on another machine."""
BUSY_LIMIT_S = 600.0
"""For so long a controller that does not answer is asked again."""
CLOSE_S = 3.0
"""For cancelled tasks to be gone."""


@dataclass(kw_only=True)
class Task:
    """A trial that was submitted."""

    job: Job
    batch: BatchFiles
    index: int
    events: EventReader
    gone_at: float | None = None
    """When squeue did not know it any more."""
    cause: str = ""
    """Why we ended it."""

    @property
    def id(self) -> str:
        """What SLURM calls it."""
        return self.batch.task_id(self.index)

    @property
    def files(self) -> TaskFiles:
        """Its files."""
        return self.batch.task(self.index)


def left_running(project: Path) -> Sequence[str]:
    """The SLURM jobs that an earlier run-exp of the project left and that are not over."""
    left = BatchFiles.all_in(batches_folder(project))
    if not left or slurm_words.why_not():
        return []
    known = {task.partition("_")[0] for task in slurm_words.states()}
    return [batch.job_id for batch in left if batch.job_id in known]


class SlurmLauncher(Launcher):
    """Trials on a cluster. What is submitted outlives a run-exp that is killed: the next one takes it over."""

    name: ClassVar[str] = "slurm"

    def __init__(
        self,
        project: Path,
        *,
        settings: LaunchSettings | None = None,
        max_trials: int | None = None,
        limits: Limits | None = None,
        lag_s: float = LAG_S,
    ) -> None:
        """At most `max_trials` trials in the queue or running; None: as many as there are."""
        self._project, self._max_trials, self._lag_s = project, max_trials, lag_s
        self._settings = settings or LaunchSettings()
        self._limits = limits or Limits()
        self._waiting: list[Job] = []
        self._tasks: list[Task] = []
        self._told: deque[Event | Ended] = deque()
        self._left = BatchFiles.all_in(batches_folder(project))
        self._taken: set[str] = set()
        """Tasks of earlier runs that were taken over, once each."""
        self._mine: list[BatchFiles] = []
        self._reasons: set[str] = set()
        self._asked_at = -1e9
        self._busy_since: float | None = None
        self._submit_at = 0.0
        self._states: Mapping[str, TaskState] = {}

    @classmethod
    def fitness(cls) -> Fitness:
        """The best where sbatch works and this is no job already; a job should use its own allocation."""
        if problem := slurm_words.why_not():
            return Fitness(score=0, reason=problem)
        if job := os.environ.get("SLURM_JOB_ID"):
            return Fitness(score=1, reason=f"inside SLURM job {job}, which has an allocation of its own")
        return Fitness(score=3, reason="this machine submits to a SLURM cluster")

    @classmethod
    def device(cls, requested: str, settings: LaunchSettings) -> tuple[str, str]:
        """CUDA where GPUs are asked for, whatever this machine has."""
        if requested == "cuda" or (requested == "auto" and settings.gpus_per_rank):
            if settings.gpus_per_rank == 0:
                raise PapergenError("--device cuda, but launch.yaml says gpus_per_rank: 0. Remove one of the two.")
            return "cuda", "a GPU of the cluster for each rank"
        reason = "asked for" if requested == "cpu" else "no GPU is asked for (--device cuda, or gpus_per_rank: 1)"
        return "cpu", reason

    @classmethod
    def num_gpus(cls, device: str) -> int:
        """As many as asked for: what the cluster lacks, it refuses."""
        return MAX_GPUS if device == "cuda" else 0

    @classmethod
    def from_setup(cls, setup: Setup) -> Self:
        """The launcher for one run-exp."""
        return cls(setup.project, settings=setup.settings, max_trials=setup.max_trials, limits=setup.limits)

    def holds(self, trial: Trial) -> bool:
        """Whether a job that an earlier run-exp submitted still runs the trial, or has finished it."""
        return self._find_left(trial) is not None

    def has_room(self, num_ranks: int) -> bool:
        """Whether one more may be submitted."""
        return self._max_trials is None or len(self._tasks) + len(self._waiting) < self._max_trials

    def submit(self, job: Job) -> None:
        """Take note of the trial; `wait` submits all that were noted at once, as arrays."""
        if (found := self._find_left(job.trial)) is not None:
            batch, index = found
            self._taken.add(batch.task_id(index))
            self._add(job, batch, index)
            self._note(job, f"taken over: SLURM job {batch.task_id(index)} of an earlier run-exp")
            return
        try:
            slurm_words.shape_of(job, self._settings)
        except PapergenError as error:
            self._tell_failed(job, Failure(rank=None, cause=str(error)))
            return
        self._waiting.append(job)

    def wait(self, timeout_s: float | None = None) -> Sequence[Event | Ended]:
        """Sleep until there is something to tell, at most `timeout_s`; empty when that passed or nothing runs."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._submit_waiting()
            self._look()
            if self._told:
                told = tuple(self._told)
                self._told.clear()
                return told
            if not (self._tasks or self._waiting) or (deadline is not None and time.monotonic() >= deadline):
                return ()
            time.sleep(LOOK_S)

    def cancel(self, job: Job) -> None:
        """End the trial; its Ended, a failure, comes from `wait`."""
        for waiting in [item for item in self._waiting if item.trial.digest == job.trial.digest]:
            self._waiting.remove(waiting)
            self._tell_failed(waiting, Failure(rank=None, cause="cancelled"))
        for task in self._tasks:
            if task.job.trial.digest == job.trial.digest:
                task.cause = "cancelled"
                slurm_words.cancel([task.id])

    def close(self) -> None:
        """Cancel every task that is not over, wait a little until they are gone, and remove their files."""
        self._waiting.clear()
        left = [batch for batch in self._left if not any(task.batch is batch for task in self._tasks)]
        ids = [*[task.id for task in self._tasks], *[batch.job_id for batch in left]]
        self._tasks.clear()
        if ids:
            slurm_words.cancel(ids)
            self._wait_until_gone([*self._mine, *self._left])
        for batch in [*self._mine, *self._left]:
            shutil.rmtree(batch.folder, ignore_errors=True)
        self._mine.clear()
        self._left = []

    # The work.

    def _find_left(self, trial: Trial) -> tuple[BatchFiles, int] | None:
        for batch in self._left:
            if trial.digest in batch.digests:
                index = list(batch.digests).index(trial.digest)
                is_alive = batch.task(index).ended_file.exists() or batch.task_id(index) in self._known()
                if is_alive and batch.task_id(index) not in self._taken and batch.task(index).task_file.exists():
                    return batch, index
        return None

    def _known(self) -> Mapping[str, TaskState]:
        """What squeue said at most a poll ago."""
        now = time.monotonic()
        if now - self._asked_at >= self._settings.poll_s:
            try:
                self._states = slurm_words.states()
                self._busy_since = None
            except SlurmBusyError as error:
                self._busy_since = self._busy_since or now
                if now - self._busy_since > BUSY_LIMIT_S:
                    raise MachineError(f"{error} for {BUSY_LIMIT_S / 60:.0f} min; the jobs go on.") from error
            self._asked_at = now
        return self._states

    def _submit_waiting(self) -> None:
        if not self._waiting or time.monotonic() < self._submit_at:
            return
        groups: dict[Shape, list[Job]] = defaultdict(list)
        for job in self._waiting:
            groups[slurm_words.shape_of(job, self._settings)].append(job)
        for shape, jobs in groups.items():
            for first in range(0, len(jobs), MAX_ARRAY):
                try:
                    self._submit_array(shape, jobs[first : first + MAX_ARRAY])
                except SlurmBusyError as error:
                    if "busy" not in self._reasons:
                        self._reasons.add("busy")
                        self._note(jobs[first], f"{error}; trying again")
                    self._submit_at = time.monotonic() + self._settings.poll_s
                    return

    def _submit_array(self, shape: Shape, jobs: Sequence[Job]) -> None:
        name = f"papergen-{slug(self._project.name)}"
        root = batches_folder(self._project).resolve()
        root.mkdir(parents=True, exist_ok=True)
        folder = root / f"{time.time_ns():x}"
        folder.mkdir()
        for index, job in enumerate(jobs):
            TaskFiles(folder, index).write(replace(job, num_threads=self._settings.cpus_per_rank), self._limits)
        try:
            job_id = slurm_words.submit(shape, self._settings, folder=folder, name=name, num_tasks=len(jobs))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        batch = BatchFiles(folder=folder, job_id=job_id, digests=[job.trial.digest for job in jobs])
        batch.write()
        self._mine.append(batch)
        for index, job in enumerate(jobs):
            self._waiting.remove(job)
            self._add(job, batch, index)
        count = f"{len(jobs)} trials" if len(jobs) > 1 else "1 trial"
        nodes = f", {shape.num_nodes} nodes each" if shape.num_nodes > 1 else ""
        self._note(jobs[0], f"SLURM job {job_id}: {count}{nodes}")
        self._asked_at = time.monotonic()  # squeue may not know it yet

    def _add(self, job: Job, batch: BatchFiles, index: int) -> None:
        self._tasks.append(Task(job=job, batch=batch, index=index, events=EventReader(batch.task(index))))

    def _look(self) -> None:
        """Take in what the trials' files and squeue say."""
        known = self._known() if self._tasks else {}
        now = time.monotonic()
        for task in list(self._tasks):
            self._told.extend(task.events.read(task.job))
            if (ended := task.files.end(task.job)) is not None:
                self._finish(task, ended)
                continue
            state = known.get(task.id)
            if state is not None:
                task.gone_at = None
                self._tell_state(task, state)
            elif self._busy_since is None and self._asked_at > 0:
                task.gone_at = task.gone_at or now
                if now - task.gone_at >= self._lag_s or task.cause:
                    self._finish_gone(task)

    def _tell_state(self, task: Task, state: TaskState) -> None:
        if state.state != "PENDING":
            return
        if slurm_words.HELD.search(state.reason):
            task.cause = f"SLURM holds job {task.id} ({state.reason}): it would never start"
            slurm_words.cancel([task.id])
        elif state.reason not in {"None", "", *self._reasons}:
            self._reasons.add(state.reason)
            self._note(task.job, f"SLURM job {task.id} waits in the queue ({state.reason})")

    def _finish_gone(self, task: Task) -> None:
        cause = task.cause or slurm_words.end_of(task.id)
        self._finish(task, None)
        self._tell_failed(task.job, Failure(rank=None, cause=cause, traceback=task.files.log_tail()))

    def _finish(self, task: Task, ended: Ended | None) -> None:
        if ended is not None:
            self._told.extend(task.events.read(task.job))
            self._told.append(ended)
        self._tasks.remove(task)

    def _wait_until_gone(self, batches: Sequence[BatchFiles]) -> None:
        deadline = time.monotonic() + CLOSE_S
        numbers = {batch.job_id for batch in batches}
        while time.monotonic() < deadline:
            try:
                if not any(task.partition("_")[0] in numbers for task in slurm_words.states()):
                    return
            except SlurmBusyError:
                return
            time.sleep(LOOK_S)

    def _note(self, job: Job, text: str) -> None:
        self._told.append(Event(job=job, kind="note", data={"text": text}))

    def _tell_failed(self, job: Job, failure: Failure) -> None:
        now = utc(time.time())
        self._told.append(Ended(job=job, failure=failure, machine={}, started=now, ended=now, duration_s=0.0))
