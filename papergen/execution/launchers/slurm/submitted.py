"""The trials that a run-exp gave to the cluster and whose end is not taken in: for status, cancel, other launchers."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from papergen.execution.launchers.slurm import client as slurm_answers
from papergen.execution.launchers.slurm.client import SlurmBusyError, TaskState
from papergen.execution.launchers.slurm.task_files import BatchFiles, TaskFiles, batches_folder
from papergen.store.records import Trial

GONE_S = 3.0
"""For cancelled tasks to be gone."""
LOOK_S = 0.25


@dataclass(frozen=True, kw_only=True)
class LeftTask:
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


def left_tasks(project: Path) -> Sequence[LeftTask]:
    """Every trial of the project that waits or runs on SLURM, or has ended there and was not taken in.

    Nothing is asked where no batch lies, or no SLURM is installed; SlurmBusyError when the controller does not answer.
    """
    batches = BatchFiles.all_in(batches_folder(project))
    if not batches or shutil.which("squeue") is None:
        return []
    known = slurm_answers.states()
    return [
        _left_task(batch, index, known.get(batch.task_id(index)))
        for batch in batches
        for index in range(len(batch.digests))
        if batch.is_open(index, is_alive=batch.task_id(index) in known)
    ]


def _left_task(batch: BatchFiles, index: int, state: TaskState | None) -> LeftTask:
    job, _ = batch.task(index).read()
    files = batch.task(index)
    stands: tuple[Literal["queued", "running", "ended"], str]
    if state is None or files.ended_file.exists():
        stands = "ended", "has ended: the next run-exp takes it in"
    elif state.is_waiting:
        stands = "queued", f"({state.reason})" if state.reason not in {"", "None"} else ""
    else:
        stands = "running", f"on {state.nodes}"
    return LeftTask(files=files, task_id=batch.task_id(index), trial=job.trial, state=stands[0], detail=stands[1])


def cancel(tasks: Mapping[str, TaskFiles]) -> None:
    """Cancel tasks, SLURM's name -> files; those that are over already are no error."""
    for files in tasks.values():
        with contextlib.suppress(OSError):
            files.cancelled_file.touch()
    slurm_answers.cancel(list(tasks))
    for files in tasks.values():  # one that SLURM cannot reach sees it and ends by itself
        with contextlib.suppress(OSError):
            files.lease_file.unlink(missing_ok=True)


def wait_until_gone(task_ids: Collection[str]) -> Collection[str]:
    """Wait a little until SLURM knows none of the tasks any more; those that it still knows."""
    deadline = time.monotonic() + GONE_S
    left = set(task_ids)
    while left and time.monotonic() < deadline:
        try:
            left &= set(slurm_answers.states())
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
        known: Mapping[str, TaskState] = slurm_answers.states()
    except SlurmBusyError:
        return
    for batch in batches:
        ids = [batch.task_id(index) for index in range(len(batch.digests))]
        alive = [task in known and task not in cancelled for task in ids]
        if not any(batch.is_open(index, is_alive=is_alive) for index, is_alive in enumerate(alive)):
            shutil.rmtree(batch.folder, ignore_errors=True)
