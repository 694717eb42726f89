"""Training that SLURM interrupts ends with the same bits as training that nobody interrupted, and counts once."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slurmlab
import twohosts
from interrupted import SLURM, has_progress, make_project, result_of, task_of, weights
from lab import wait_until_gone
from slurmlab import processes_of, read, said, start_again, wait_for


@pytest.fixture
def nodes_up(slurm: Path) -> Iterator[None]:
    yield
    for name in slurmlab.NODES:
        slurmlab.start(name, slurm)
        said("scontrol", "update", f"NodeName={name}", "State=RESUME")
    wait_for(lambda: said("sinfo", "-h", "-t", "idle", "-o", "%D") == "3", limit_s=30)


def requeue(task: str) -> None:
    subprocess.run(["scontrol", "requeue", task], check=True)


def crash_its_node(task: str) -> None:
    slurmlab.crash(said("squeue", "-h", "-r", "-j", task, "-o", "%N"))


def kill_a_rank(task: str) -> None:
    """As the kernel does when memory runs out; ranks are forks of the fork server."""
    workers = {pid for pid in processes_of(task) if b"--forkserver" in read(pid, "cmdline")}
    ranks = [pid for pid in workers if int(read(pid, "stat").rpartition(b")")[2].split()[1]) in workers]
    os.kill(max(ranks), signal.SIGKILL)


@pytest.mark.parametrize(
    ("interrupt", "options"),
    [(requeue, ()), (crash_its_node, ()), (kill_a_rank, ("--retries", "1"))],
    ids=["requeued", "its node crashes", "a rank is killed and the trial tried again"],
)
@pytest.mark.usefixtures("nodes_up")
def test_interrupted_training_ends_with_the_same_bits(
    whole: Path, tmp_path: Path, mark: str, interrupt: Callable[[str], None], options: tuple[str, ...]
) -> None:
    project = make_project(tmp_path / "paper")
    run = twohosts.run_exp(None, project, *SLURM, *options)
    wait_for(lambda: list(project.glob("results/.scratch/training/*/checkpoints/LATEST")))
    task = task_of(project)
    interrupt(task)
    if not options:
        start_again(task)
    told, _ = run.communicate(timeout=300)
    assert run.returncode == 0, told
    assert ("started again by SLURM (restart 1)" in told) == (not options), told
    assert "1 trial finished, 0 failed" in told
    result, one = result_of(project)["outcome"], result_of(whole)["outcome"]
    assert result["facts"]["resumed_from_step"] >= 50
    assert weights(project) == weights(whole)
    for name in ("train_loss", "validation_loss"):
        assert result["metrics"][name] == one["metrics"][name]
        assert result["series"][name] == one["series"][name], "each point of the curve stands there once"
    assert not list(project.glob("results/.scratch/**/*.pt")), "a finished trial leaves no checkpoint"
    assert not list(project.glob("results/.cluster/*")), "nor files of its job"
    assert not wait_until_gone(mark, 10.0)


def test_a_job_that_slurm_wants_to_end_saves_its_state_first(whole: Path, tmp_path: Path, mark: str) -> None:
    """SIGTERM comes before preemption, and where `--signal=TERM@120` asks for it before the time limit."""
    project = make_project(tmp_path / "paper")
    path = project / "experiments" / "training.yaml"
    path.write_text(path.read_text().replace("save_every: 50", "save_every: 100000"))
    run = twohosts.run_exp(None, project, *SLURM)
    wait_for(lambda: has_progress(project))
    task = task_of(project)
    said("scancel", "--signal=TERM", task)
    start_again(task)
    told, _ = run.communicate(timeout=300)
    assert run.returncode == 0, told
    found = re.search(r"SLURM wants the node back: asked to end; step (\d+) of 900 is saved", told)
    assert found is not None, told
    step = int(found[1])
    assert step % 20 == 0, "a multiple of log_every"
    assert result_of(project)["outcome"]["facts"]["resumed_from_step"] == step
    assert weights(project) == weights(whole)
    assert not wait_until_gone(mark, 10.0)


def test_training_preempted_by_a_partition_of_higher_priority_saves_and_goes_on_to_the_same_bits(
    whole: Path, tmp_path: Path, mark: str
) -> None:
    project = make_project(tmp_path / "paper")
    path = project / "experiments" / "training.yaml"
    path.write_text(path.read_text().replace("save_every: 50", "save_every: 100000"))
    run = twohosts.run_exp(None, project, *SLURM)
    wait_for(lambda: has_progress(project))
    task = task_of(project)
    wants = ("--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 2")
    urgent = said("sbatch", "--parsable", *wants)
    wait_for(lambda: said("squeue", "-h", "-j", urgent, "-o", "%T") in {"RUNNING", "COMPLETING"}, limit_s=60)
    start_again(task)
    told, _ = run.communicate(timeout=300)
    assert run.returncode == 0, told
    found = re.search(r"SLURM wants the node back: asked to end; step (\d+) of 900 is saved", told)
    assert found is not None, told
    assert "started again by SLURM (restart 1)" in told
    assert result_of(project)["outcome"]["facts"]["resumed_from_step"] == int(found[1])
    assert weights(project) == weights(whole)
    assert not wait_until_gone(mark, 10.0)


@pytest.mark.usefixtures("nodes_up")
def test_training_whose_node_slurm_has_lost_sight_of_is_finished_once(whole: Path, tmp_path: Path, mark: str) -> None:
    """The first attempt lives on, and would write its checkpoints and its result where the second does."""
    project = make_project(tmp_path / "paper")
    run = twohosts.run_exp(None, project, *SLURM)
    wait_for(lambda: list(project.glob("results/.scratch/training/*/checkpoints/LATEST")))
    task = task_of(project)
    first = processes_of(task)
    muted = slurmlab.split(said("squeue", "-h", "-r", "-j", task, "-o", "%N"))
    try:
        said("scontrol", "update", f"JobId={task}", "StartTime=now")
        told, _ = run.communicate(timeout=300)
        assert run.returncode == 0, told
        assert "started again by SLURM (restart 1)" in told
        assert weights(project) == weights(whole)
        workers = [pid for pid in first if b"papergen" in read(pid, "cmdline")]
        assert not workers, "the first attempt has given up by itself"
    finally:
        for pid in {*muted, *first}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
