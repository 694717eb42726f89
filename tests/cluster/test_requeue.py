"""Training that SLURM interrupts ends with the same bits as training that nobody interrupted, and counts once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import slurmlab
import twohosts
from lab import wait_until_gone

TRAINING = """
kind: training
corpus: text.txt
world_size: 2
n_layer: 1
n_embd: 32
n_head: 2
dropout: 0.1
vocab_size: 300
block_size: 32
batch_size: 8
max_steps: 900
warmup_steps: 2
log_every: 20
eval_every: 200
save_every: 50
"""
SLURM = ("--launcher", "slurm", "--launch", "poll_s=0.5")


def said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def wait_for(condition: Callable[[], object], limit_s: float = 180.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "what was waited for does not come"
        time.sleep(0.05)


def make_project(folder: Path) -> Path:
    (folder / "experiments").mkdir(parents=True)
    (folder / "paper.yaml").write_text("title: Interrupted\nauthors: [{name: A}]\n")
    (folder / "experiments" / "training.yaml").write_text(TRAINING)
    lines = [
        f"In the year {year} the {year % 7}th of {year % 12} harbours saw {year % 31} ships.\n" for year in range(900)
    ]
    (folder / "text.txt").write_text("\n".join(lines))
    return folder


def result_of(project: Path) -> dict[str, Any]:
    (path,) = project.glob("results/training/*/result.json")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def weights(project: Path) -> bytes:
    (path,) = project.glob("results/training/*/model/model.safetensors")
    return path.read_bytes()


@pytest.fixture(scope="module")
def whole(slurm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose training nobody interrupted."""
    project = make_project(tmp_path_factory.mktemp("whole") / "paper")
    told, _ = (run := twohosts.run_exp(None, project, *SLURM)).communicate(timeout=300)
    assert run.returncode == 0, told
    assert "resumed_from_step" not in result_of(project)["outcome"]["facts"]
    return project


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
    """As the kernel does when memory runs out; ranks are forks of the warm worker."""
    workers = {pid for pid in processes_of(task) if b"--zygote" in read(pid, "cmdline")}
    ranks = [pid for pid in workers if int(read(pid, "stat").rpartition(b")")[2].split()[1]) in workers]
    os.kill(max(ranks), signal.SIGKILL)


def processes_of(task: str) -> set[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    job = f"SLURM_ARRAY_JOB_ID={task.partition('_')[0]}".encode()
    return {pid for pid in pids if job in read(pid, "environ")}


def read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


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
    (batch,) = project.glob("results/.cluster/*/batch.json")
    task = f"{json.loads(batch.read_text())['job_id']}_0"
    interrupt(task)
    if not options:
        wait_for(lambda: said("squeue", "-h", "-r", "-j", task, "-o", "%T") == "PENDING")
        # SLURM waits for two minutes, so that the end of the first run is not taken for that of the second.
        wait_for(lambda: not processes_of(task))
        time.sleep(1.0)
        said("scontrol", "update", f"JobId={task}", "StartTime=now")
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
    wait_for(
        lambda: any('"done": ' in events.read_text() for events in project.glob("results/.cluster/*/task0.events"))
    )
    (batch,) = project.glob("results/.cluster/*/batch.json")
    task = f"{json.loads(batch.read_text())['job_id']}_0"
    said("scancel", "--signal=TERM", task)
    wait_for(lambda: said("squeue", "-h", "-r", "-j", task, "-o", "%T") == "PENDING")
    wait_for(lambda: not processes_of(task))
    time.sleep(1.0)
    said("scontrol", "update", f"JobId={task}", "StartTime=now")
    told, _ = run.communicate(timeout=300)
    assert run.returncode == 0, told
    found = re.search(r"SLURM wants the node back: asked to end; step (\d+) of 900 is saved", told)
    assert found is not None, told
    step = int(found[1])
    assert step % 20 == 0, "a multiple of log_every"
    assert result_of(project)["outcome"]["facts"]["resumed_from_step"] == step
    assert weights(project) == weights(whole)
    assert not wait_until_gone(mark, 10.0)
