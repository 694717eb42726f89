"""`--launcher slurm` against a real SLURM of two nodes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import matrix
import pytest
import twohosts
from lab import QUICK, Lab, finish, notes, run_job, wait_until_gone

from papergen.errors import MachineError
from papergen.launch.choose import choose_launcher
from papergen.launch.settings import LaunchSettings
from papergen.launch.slurm import SlurmLauncher, left_running
from papergen.runs import Run

WAIT = "time.sleep(1000)"
FAST = LaunchSettings(poll_s=0.5)


@pytest.fixture
def launcher(slurm: Path, lab: Lab, mark: str) -> Iterator[SlurmLauncher]:
    with SlurmLauncher(lab.project, settings=FAST, limits=QUICK, lag_s=1.0) as launcher:
        yield launcher


def outcome_of(folder: Path) -> dict[str, object]:
    return json.loads(Run(folder).outcome_file.read_text(encoding="utf-8"))


def said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def test_trials_of_one_shape_are_one_array(lab: Lab, launcher: SlurmLauncher) -> None:
    body = 'ctx.log(0, loss=1.0)\nctx.fact("job", os.environ["SLURM_ARRAY_JOB_ID"])\nreturn {"score": ctx.trial.seed}'
    jobs = [lab.job(body) for _ in range(4)]
    for job in jobs:
        launcher.submit(job)
    events, ended = finish(launcher)
    assert [item.failure for item in ended] == [None] * 4
    assert len({outcome_of(job.folder)["facts"]["job"] for job in jobs}) == 1
    assert "log" in {event.kind for event in events}
    assert notes(events)[0].endswith(": 4 trials")


def test_a_trial_over_two_nodes_computes_together(lab: Lab, slurm: Path, mark: str) -> None:
    body = """
        import torch, torch.distributed as dist
        dist.init_process_group("gloo")
        total = torch.tensor([ctx.rank + 1.0])
        dist.all_reduce(total)
        names = [None] * ctx.world_size
        dist.all_gather_object(names, [os.environ["SLURMD_NODENAME"], ctx.rank, ctx.local_rank])
        ctx.fact("places", names)
        return {"score": float(total)}
    """
    settings = LaunchSettings(poll_s=0.5, ranks_per_node=2, cpus_per_rank=2, time="10m", memory_per_rank="100M")
    with SlurmLauncher(lab.project, settings=settings, limits=QUICK, lag_s=1.0) as launcher:
        job = lab.job(body, num_ranks=4)
        _, ended = run_job(launcher, job)
    assert ended.failure is None, ended.failure
    outcome = outcome_of(job.folder)
    assert outcome["metrics"] == {"score": 10.0}
    assert outcome["facts"] == {"places": [["n1", 0, 0], ["n1", 1, 1], ["n2", 2, 0], ["n2", 3, 1]]}
    assert ended.machine["num_threads"] == 2
    assert len(ended.machine["hosts"]) == 2


def test_a_requeued_trial_goes_on_from_its_scratch(lab: Lab, launcher: SlurmLauncher, mark: str) -> None:
    job = lab.job(
        """
        mark = ctx.scratch / "step"
        if not mark.exists():
            mark.write_text("7")
            (ctx.folder / "half-written").touch()
            time.sleep(1000)
        assert not (ctx.folder / "half-written").exists()
        return {"score": float(mark.read_text())}
        """
    )
    launcher.submit(job)
    events = []
    while not (job.scratch / "step").exists():
        events += launcher.wait(timeout_s=0.2)
    task = launcher._tasks[0].id
    subprocess.run(["scontrol", "requeue", task], check=True)
    while "PENDING" not in said("squeue", "-h", "-r", "-o", "%T", "-j", task):
        launcher.wait(timeout_s=0.2)
    # SLURM waits for two minutes, so that the end of the first run is not taken for that of the second.
    assert not wait_until_gone(mark, 10.0)
    time.sleep(1.0)
    said("scontrol", "update", f"JobId={task}", "StartTime=now")
    more, ended = finish(launcher, limit_s=90)
    assert ended[0].failure is None, ended[0].failure
    assert outcome_of(job.folder)["metrics"] == {"score": 7.0}
    assert any("started again by SLURM (restart 1)" in text for text in notes(more))


def test_a_trial_whose_job_is_cancelled_says_so_and_the_others_go_on(lab: Lab, launcher: SlurmLauncher) -> None:
    first = lab.job(f"(ctx.folder / 'begun').touch()\n{WAIT}")
    other = lab.job('return {"score": 1.0}')
    for job in (first, other):
        launcher.submit(job)
    ended = []
    while not (first.folder / "begun").exists():
        ended += launcher.wait(timeout_s=0.2)
    task = next(task for task in launcher._tasks if task.job.trial == first.trial)
    subprocess.run(["scancel", task.id], check=True)
    _, more = finish(launcher)
    causes = {item.job.trial.row: item.failure for item in [*ended, *more] if hasattr(item, "failure")}
    assert causes["row2"] is None
    assert causes["row1"] is not None
    assert causes["row1"].cause == f"SLURM job {task.id} was cancelled"


def test_every_fault_ends_its_trial_in_time_by_name_and_no_other(slurm: Path, lab: Lab, mark: str) -> None:
    settings = LaunchSettings(poll_s=0.5, ranks_per_node=2)
    with SlurmLauncher(lab.project, settings=settings, max_trials=4) as launcher:
        matrix.check(launcher, lab)


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_jobs(slurm: Path, tmp_path: Path, mark: str, sent: int, status: int) -> None:
    project = twohosts.make_project(tmp_path / "stopped", "{wait: {fault: wait}}")
    run = twohosts.run_exp(None, project, "--launcher", "slurm", "--launch", "poll_s=0.5")
    while not (project / "seen1").exists():
        assert run.poll() is None
        time.sleep(0.1)
    began = time.monotonic()
    os.kill(run.pid, sent)
    told, _ = run.communicate(timeout=10)
    assert run.returncode == status, told
    assert time.monotonic() - began < 5
    assert not wait_until_gone(mark, 5.0)


def test_what_sbatch_refuses_is_an_error_that_says_what_to_set(lab: Lab, slurm: Path, mark: str) -> None:
    settings = LaunchSettings(poll_s=0.5, partition="nowhere")
    with SlurmLauncher(lab.project, settings=settings) as launcher:
        launcher.submit(lab.job("pass"))
        with pytest.raises(MachineError, match=r"sbatch refused: .*nvalid partition"):
            launcher.wait()
    assert not list((lab.project / "results/.cluster").iterdir())


def test_more_than_the_cluster_has_is_refused(lab: Lab, slurm: Path, mark: str) -> None:
    settings = LaunchSettings(poll_s=0.5, memory_per_rank="900G")
    with SlurmLauncher(lab.project, settings=settings) as launcher:
        launcher.submit(lab.job("pass"))
        with pytest.raises(MachineError, match=r"sbatch refused: .*not available"):
            launcher.wait()


def test_ranks_that_nodes_cannot_share_fail_by_name(lab: Lab, slurm: Path, mark: str) -> None:
    with SlurmLauncher(lab.project, settings=LaunchSettings(ranks_per_node=2)) as launcher:
        launcher.submit(lab.job("pass", num_ranks=3))
        _, ended = finish(launcher)
    assert ended[0].failure is not None
    assert ended[0].failure.cause.startswith("launch setting ranks_per_node = 2 does not divide the 3 ranks")


def test_the_cluster_s_own_time_limit_says_what_to_raise(lab: Lab, slurm: Path, mark: str) -> None:
    # A minute is SLURM's smallest limit; the note about where it stands is tested with a shorter one of our own.
    with SlurmLauncher(lab.project, settings=FAST, limits=QUICK, lag_s=1.0) as launcher:
        _, ended = run_job(launcher, lab.job(WAIT, time_limit_s=1.0))
    assert ended.failure is not None
    assert ended.failure.cause == "ran longer than its time limit of 1 s"
    assert "kind1.py" in ended.failure.traceback


def test_leaving_the_block_cancels_all(lab: Lab, slurm: Path, mark: str) -> None:
    with SlurmLauncher(lab.project, settings=FAST, limits=QUICK) as launcher:
        job = lab.job(f"(ctx.folder / f'ready{{ctx.rank}}').touch()\nsubprocess.Popen(['sleep', '1000'])\n{WAIT}")
        launcher.submit(job)
        while not (job.folder / "ready0").exists():
            launcher.wait(timeout_s=0.2)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert not wait_until_gone(mark, 5.0)
    assert not list((lab.project / "results/.cluster").iterdir())


def test_a_later_run_takes_over_what_an_earlier_one_left(lab: Lab, slurm: Path, mark: str) -> None:
    body = """
        (ctx.folder / "begun").touch()
        while not (ctx.project / "go").exists():
            time.sleep(0.1)
        return {"score": 5.0}
    """
    job, lost = lab.job(body), lab.job(WAIT)
    killed = SlurmLauncher(lab.project, settings=FAST, limits=QUICK, lag_s=1.0)  # never closed, as after kill -9
    for item in (job, lost):
        killed.submit(item)
    while not (job.folder / "begun").exists():
        killed.wait(timeout_s=0.2)
    assert left_running(lab.project) == [killed._tasks[0].batch.job_id], "which no other launcher may disturb"
    with SlurmLauncher(lab.project, settings=FAST, limits=QUICK, lag_s=1.0) as launcher:
        assert launcher.holds(job.trial)
        (lab.project / "go").touch()
        events, ended = run_job(launcher, job)
        assert not launcher.holds(lab.job("pass").trial)
    assert ended.failure is None
    assert notes(events)[0].startswith("taken over: SLURM job ")
    assert outcome_of(job.folder)["metrics"] == {"score": 5.0}
    assert not wait_until_gone(mark, 5.0), "the trial that nobody wants any more is cancelled"


def test_auto_takes_slurm_but_not_inside_a_job(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher, reason = choose_launcher()
    assert (launcher.name, reason) == ("slurm", "this machine submits to a SLURM cluster")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    launcher, reason = choose_launcher()
    assert launcher.name == "local"
    assert reason == "inside SLURM job 12, whose allocation is used: no job is submitted from within a job"


def test_the_command_from_plan_to_result(slurm: Path, tmp_path: Path, mark: str) -> None:
    project = twohosts.make_project(tmp_path / "论文 with space")
    (project / "launch.yaml").write_text("launcher: slurm\nranks_per_node: 1\ncpus_per_rank: 2\npoll_s: 0.5\n")
    done = twohosts.run_exp(None, project)
    told, _ = done.communicate(timeout=100)
    assert done.returncode == 0, told
    assert "launcher slurm: asked for" in told
    assert "runs on " in told
    (record,) = project.glob("results/meeting/*/result.json")
    result = json.loads(record.read_text(encoding="utf-8"))
    assert result["outcome"]["metrics"] == {"total": 3.0}
    assert result["provenance"]["launcher"] == "slurm"
    assert result["provenance"]["num_threads"] == 2
