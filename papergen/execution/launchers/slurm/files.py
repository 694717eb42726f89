"""The files by which a run-exp and a trial on a cluster know of each other, in a folder that both can see.

results/.cluster/<name>/   batch.json        which trials, under which job of the cluster
task0.json        a trial and how it is watched; gone when its end was taken in
task0.events      what it tells while it runs, JSON lines
task0.ended.json  how it ended, written last
task0.attempt     which attempt may write (worker/lease.py); gone with task0.json
task0.cancelled   that it is cancelled, not preempted: it need not save anything
task0.log         what the cluster's own programs printed
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from papergen.core.errors import PapergenError
from papergen.core.files import last_lines, read_json, write_json
from papergen.execution.launcher import Ended, Event, Job
from papergen.execution.launchers.slurm import client
from papergen.execution.launchers.slurm.client import SlurmBusyError, TaskState
from papergen.execution.settings import RunSettings
from papergen.store.failures import Failure
from papergen.store.records import Trial
from papergen.store.runs import Store

GONE_S = 3.0
"""For cancelled tasks to be gone."""
LOOK_S = 0.25


@dataclass(frozen=True)
class TaskFiles:
    """The paths of one trial's task."""

    folder: Path
    index: int

    @property
    def task_file(self) -> Path:
        """The trial and how it is watched."""
        return self.folder / f"task{self.index}.json"

    @property
    def events_file(self) -> Path:
        """What it tells while it runs."""
        return self.folder / f"task{self.index}.events"

    @property
    def ended_file(self) -> Path:
        """How it ended."""
        return self.folder / f"task{self.index}.ended.json"

    @property
    def log_file(self) -> Path:
        """What the cluster's own programs printed."""
        return self.folder / f"task{self.index}.log"

    @property
    def cancelled_file(self) -> Path:
        """There when papergen cancels it: then it ends at once, and saves nothing."""
        return self.folder / f"task{self.index}.cancelled"

    @property
    def lease_file(self) -> Path:
        """Which attempt may write."""
        return self.folder / f"task{self.index}.attempt"

    def write(self, job: Job, settings: RunSettings) -> None:
        """Describe the trial."""
        write_json(self.task_file, {"job": job.to_json(), "settings": settings.to_json()})

    def read(self) -> tuple[Job, RunSettings]:
        """The trial as `write` described it."""
        data = read_json(self.task_file)
        return Job.from_json(data["job"], str(self.task_file)), RunSettings.from_json(data["settings"])

    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Add an event."""
        with self.events_file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"kind": kind, "data": data}) + "\n")

    def write_end(self, ended: Ended) -> None:
        """Say how it ended; the last word."""
        data = {name: getattr(ended, name) for name in ("machine", "started", "ended", "duration_s")}
        write_json(self.ended_file, {**data, "failure": None if ended.failure is None else asdict(ended.failure)})

    def end(self, job: Job) -> Ended | None:
        """How it ended; None while it has not said so."""
        if not self.ended_file.exists():
            return None
        data = read_json(self.ended_file)
        failure = None if data["failure"] is None else Failure.from_json(data["failure"])
        return Ended(job=job, **{**data, "failure": failure})

    def settle(self) -> None:
        """Forget the trial: how it ended was taken in."""
        self.task_file.unlink(missing_ok=True)
        self.lease_file.unlink(missing_ok=True)

    def log_tail(self) -> str:
        """The end of the log."""
        return "\n".join(last_lines(self.log_file))


class EventReader:
    """Reads a task's events as they are added."""

    def __init__(self, files: TaskFiles) -> None:
        self._files = files
        self._offset = 0

    def read(self, job: Job) -> Sequence[Event]:
        """Those that were added since the last call; a line that is not whole yet is left for the next."""
        try:
            with self._files.events_file.open("rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [Event(job=job, **json.loads(line)) for line in whole.splitlines()]


@dataclass(frozen=True, kw_only=True)
class BatchFiles:
    """A batch of trials that were submitted together."""

    folder: Path
    job_id: str
    digests: Sequence[str]

    @classmethod
    def all_in(cls, root: Path) -> list[Self]:
        """Every batch that was submitted and whose files are there, oldest first."""
        found = []
        for record in sorted(root.glob("*/batch.json")):
            data = read_json(record)
            found.append(cls(folder=record.parent, job_id=data["job_id"], digests=data["digests"]))
        return found

    def write(self) -> None:
        """Remember the job, so that a later run-exp can take it over."""
        write_json(self.folder / "batch.json", {"job_id": self.job_id, "digests": list(self.digests)})

    def is_open(self, index: int, *, is_alive: bool) -> bool:
        """Whether something is still to come of a trial: it waits or runs, or how it ended was not taken in yet."""
        files = self.task(index)
        return files.task_file.exists() and (is_alive or files.ended_file.exists())

    def task(self, index: int) -> TaskFiles:
        """The files of its trial of that index."""
        return TaskFiles(self.folder, index)

    def task_id(self, index: int) -> str:
        """What the cluster calls that trial's task."""
        return f"{self.job_id}_{index}"


def drop_unsubmitted(root: Path) -> None:
    """Remove the folders that have no job: a run-exp was killed before it knew the number, and nothing runs for them.

    Call it while the store is held.
    """
    for folder in root.iterdir() if root.is_dir() else ():
        if not (folder / "batch.json").exists():
            shutil.rmtree(folder, ignore_errors=True)


def batches_folder(project: Path) -> Path:
    """Where the batches of a project lie."""
    return project / "results" / ".cluster"


@dataclass(frozen=True, kw_only=True)
class SubmittedTask:
    """A trial on the cluster."""

    files: TaskFiles
    task_id: str
    """What SLURM calls it: 12_3."""
    trial: Trial
    state: Literal["queued", "running", "ended"]
    detail: str
    """Where it runs, why it waits, or what its end waits for."""

    @property
    def shown(self) -> str:
        """In one line: `SLURM job 12_3 on n1`."""
        return f"SLURM job {self.task_id} {self.detail}".rstrip()


def submitted_tasks(project: Path) -> Sequence[SubmittedTask]:
    """Every trial of the project that waits or runs on SLURM, or has ended there and was not taken in.

    Nothing is asked where no batch lies, or no SLURM is installed; SlurmBusyError when the controller does not answer.
    """
    batches = BatchFiles.all_in(batches_folder(project))
    if not batches or shutil.which("squeue") is None:
        return []
    known = client.states()
    return [
        _submitted_task(batch, index, known.get(batch.task_id(index)))
        for batch in batches
        for index in range(len(batch.digests))
        if batch.is_open(index, is_alive=batch.task_id(index) in known)
    ]


def _submitted_task(batch: BatchFiles, index: int, state: TaskState | None) -> SubmittedTask:
    job, _ = batch.task(index).read()
    files = batch.task(index)
    stands: tuple[Literal["queued", "running", "ended"], str]
    if state is None or files.ended_file.exists():
        stands = "ended", "has ended: the next run-exp takes it in"
    elif state.is_waiting:
        stands = "queued", f"({state.reason})" if state.reason not in {"", "None"} else ""
    else:
        stands = "running", f"on {state.nodes}"
    return SubmittedTask(files=files, task_id=batch.task_id(index), trial=job.trial, state=stands[0], detail=stands[1])


def tasks_to_cancel(
    project: Path, *, planned: Collection[str], chosen: Collection[str], with_old: bool
) -> Sequence[SubmittedTask]:
    """The tasks that wait or run for the chosen trials (digests); `with_old`: and for those that are not planned."""
    return [
        task
        for task in submitted_tasks(project)
        if task.state != "ended" and (task.trial.digest in chosen or (with_old and task.trial.digest not in planned))
    ]


def cancel_tasks(store: Store, tasks: Sequence[SubmittedTask]) -> Collection[str]:
    """Cancel tasks and wait a little; those that SLURM is still ending."""
    ids = {task.task_id: task.files for task in tasks}
    cancel(ids)
    left = wait_until_gone(ids)
    with contextlib.suppress(PapergenError), store.held():  # else the run-exp at work tidies up
        tidy(store.project, ids)
    return left


def cancel(tasks: Mapping[str, TaskFiles]) -> None:
    """Cancel tasks, SLURM's name -> files; those that are over already are no error."""
    for files in tasks.values():
        with contextlib.suppress(OSError):
            files.cancelled_file.touch()
    client.cancel(list(tasks))
    for files in tasks.values():  # one that SLURM cannot reach sees it and ends by itself
        with contextlib.suppress(OSError):
            files.lease_file.unlink(missing_ok=True)


def wait_until_gone(task_ids: Collection[str]) -> Collection[str]:
    """Wait a little until SLURM knows none of the tasks any more; those that it still knows."""
    deadline = time.monotonic() + GONE_S
    left = set(task_ids)
    while left and time.monotonic() < deadline:
        try:
            left &= set(client.states())
        except SlurmBusyError:
            break
        if left:
            time.sleep(LOOK_S)
    return left


def tidy(project: Path, cancelled: Collection[str] = ()) -> None:
    """Remove the files of batches of which nothing is to come; `cancelled` tasks count as over.

    Call it while the store is held.
    """
    batches = BatchFiles.all_in(batches_folder(project))
    if not batches or shutil.which("squeue") is None:
        return
    try:
        known: Mapping[str, TaskState] = client.states()
    except SlurmBusyError:
        return
    for batch in batches:
        ids = [batch.task_id(index) for index in range(len(batch.digests))]
        alive = [task in known and task not in cancelled for task in ids]
        if not any(batch.is_open(index, is_alive=is_alive) for index, is_alive in enumerate(alive)):
            shutil.rmtree(batch.folder, ignore_errors=True)
