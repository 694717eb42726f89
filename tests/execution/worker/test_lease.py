"""Two attempts at one trial at once: SLURM starts a job again whose old node it has lost sight of, but which lives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab import QUICK, Lab

from papergen.execution.launchers.slurm.files import TaskFiles
from papergen.execution.worker.lease import LEASE_VARIABLE, LOST, Lease
from papergen.store.runs import Run

BODY = """
me = os.environ["SLURM_RESTART_COUNT"]
while not (ctx.project / f"go{me}").exists():
    with open(ctx.scratch / "written", "a") as stream:
        stream.write(me)
    time.sleep(0.05)
return {"score": float(me)}
"""


@pytest.fixture
def files(lab: Lab) -> TaskFiles:
    """A trial's files as `--launcher slurm` leaves them for its job."""
    job = lab.job(BODY, preload=[])
    folder = lab.project / "results" / ".cluster" / "batch"
    folder.mkdir(parents=True)
    files = TaskFiles(folder, 0)
    files.write(job, QUICK)
    return files


def start(files: TaskFiles, restart: int) -> subprocess.Popen[str]:
    """What SLURM starts on a node."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "papergen.execution.launchers.slurm.job", str(files.folder)],
        env={
            **os.environ,
            "SLURM_ARRAY_TASK_ID": "0",
            "SLURM_ARRAY_JOB_ID": "12",
            "SLURM_JOB_ID": "12",
            "SLURM_RESTART_COUNT": str(restart),
        },
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_writer(written: Path, name: str, limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not (written.exists() and written.read_text().endswith(name)):
        assert time.monotonic() < deadline, f"attempt {name} writes nothing"
        time.sleep(0.05)


def test_the_earlier_attempt_gives_up_before_the_later_one_begins(files: TaskFiles, lab: Lab, mark: str) -> None:
    job, _ = files.read()
    first = start(files, 0)
    wait_for_writer(job.scratch / "written", "0")
    second = start(files, 1)
    wait_for_writer(job.scratch / "written", "1")
    (lab.project / "go0").touch()
    (lab.project / "go1").touch()
    told = first.communicate(timeout=20)[1]
    assert second.communicate(timeout=20)[1] == ""
    assert (first.returncode, second.returncode) == (1, 0)
    assert LOST in told
    assert "01" in (written := (job.scratch / "written").read_text())
    assert "10" not in written, "the earlier one writes no more once the later one does"
    assert json.loads(Run(job.folder).outcome_file.read_text())["metrics"] == {"score": 1.0}
    assert json.loads(files.ended_file.read_text())["failure"] is None


def test_an_attempt_that_slept_meanwhile_publishes_nothing(files: TaskFiles, lab: Lab, mark: str) -> None:
    """Its whole node was suspended; it wakes when the later one has ended, right before its own end."""
    job, _ = files.read()
    first = start(files, 0)
    wait_for_writer(job.scratch / "written", "0")
    stopped = [first.pid, *children_of(first.pid)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    (lab.project / "go0").touch()
    (lab.project / "go1").touch()
    second = start(files, 1)
    assert second.communicate(timeout=60)[1] == ""
    assert second.returncode == 0
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert LOST in first.communicate(timeout=20)[1]
    assert json.loads(Run(job.folder).outcome_file.read_text())["metrics"] == {"score": 1.0}


def children_of(pid: int) -> list[int]:
    found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [grandchild for child in found for grandchild in children_of(child)]


def test_an_attempt_whose_trial_is_over_ends(files: TaskFiles, lab: Lab, mark: str) -> None:
    job, _ = files.read()
    first = start(files, 0)
    wait_for_writer(job.scratch / "written", "0")
    files.settle()
    assert LOST in first.communicate(timeout=20)[1]
    assert not files.ended_file.exists()


def test_a_lease_is_the_last_one_s_who_took_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Lease("1", tmp_path / "a lease"), Lease("2", tmp_path / "a lease")
    assert not first.is_held()
    first.take()
    assert first.is_held()
    second.take()
    assert (first.is_held(), second.is_held()) == (False, True)
    monkeypatch.setenv(LEASE_VARIABLE, "")
    assert Lease.from_environment() == Lease()
    assert Lease().is_held(), "where nobody else can begin"
    second.to_environment()
    assert Lease.from_environment() == second
