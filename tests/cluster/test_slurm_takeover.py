"""Jobs on a real SLURM that are interrupted, cancelled, or outlive the run-exp that submitted them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import twohosts
from lab import Lab, finish, notes, quick, run_job, wait_until_gone
from slurmlab import FAST, WAIT, outcome_of, papergen, said, start_again, wait_for

from papergen.execution.launchers.slurm.files import submitted_tasks
from papergen.execution.launchers.slurm.launcher import SlurmLauncher


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
    start_again(task)
    more, ended = finish(launcher, limit_s=90)
    assert ended[0].failure is None, ended[0].failure
    assert outcome_of(job.folder)["metrics"] == {"score": 7.0}
    assert any("started again by SLURM (restart 1)" in text for text in notes(more))


def test_a_trial_that_loses_a_node_is_started_again(slurm: Path, lab: Lab, mark: str) -> None:
    body = """
        mark = ctx.scratch / "lost"
        if not mark.exists() and ctx.rank == 1:
            mark.touch()
            stat = open(f"/proc/{os.getppid()}/stat").read()
            os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)  # papergen's process on this node
        if ctx.rank == 1 or mark.exists():
            return {"score": 1.0}
        time.sleep(1000)
    """
    settings = quick(poll_s=0.5, ranks_per_node=1)
    with SlurmLauncher(lab.project, settings, lag_s=1.0) as launcher:
        job = lab.job(body, num_ranks=2)
        launcher.submit(job)
        launcher.wait(timeout_s=0.0)
        task = launcher._tasks[0].id
        events = []
        while (
            "PENDING" not in said("squeue", "-h", "-r", "-o", "%T", "-j", task) or not (job.scratch / "lost").exists()
        ):
            events += launcher.wait(timeout_s=0.2)
        start_again(task)
        more, ended = finish(launcher, limit_s=90)
    assert [item.failure for item in ended] == [None]
    assert any(
        "(node 1) is gone: the connection to it was lost; SLURM starts the job again" in text
        for text in notes([*events, *more])
    )


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


def test_leaving_the_block_cancels_all(lab: Lab, slurm: Path, mark: str) -> None:
    with SlurmLauncher(lab.project, FAST) as launcher:
        job = lab.job(f"(ctx.folder / f'ready{{ctx.rank}}').touch()\nsubprocess.Popen(['sleep', '1000'])\n{WAIT}")
        launcher.submit(job)
        while not (job.folder / "ready0").exists():
            launcher.wait(timeout_s=0.2)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert not wait_until_gone(mark, 5.0)
    assert not list((lab.project / "results/.cluster").iterdir())


def test_a_later_run_takes_over_what_it_wants_and_leaves_the_rest_alone(lab: Lab, slurm: Path, mark: str) -> None:
    body = """
        (ctx.folder / "begun").touch()
        while not (ctx.project / "go").exists():
            time.sleep(0.1)
        return {"score": 5.0}
    """
    job, other = lab.job(body), lab.job(WAIT)
    killed = SlurmLauncher(lab.project, FAST, lag_s=1.0)  # never closed, as after kill -9
    for item in (job, other):
        killed.submit(item)
    while not (job.folder / "begun").exists():
        killed.wait(timeout_s=0.2)
    ids = [task.id for task in killed._tasks]
    assert [(task.task_id, task.trial) for task in submitted_tasks(lab.project)] == list(
        zip(ids, [job.trial, other.trial], strict=True)
    )
    with SlurmLauncher(lab.project, FAST, lag_s=1.0) as launcher:
        assert launcher.holds(job.trial)
        (lab.project / "go").touch()
        events, ended = run_job(launcher, job)
        assert not launcher.holds(lab.job("pass").trial)
    assert ended.failure is None
    assert notes(events)[0].startswith("taken over: SLURM job ")
    assert outcome_of(job.folder)["metrics"] == {"score": 5.0}
    assert [(task.task_id, task.state) for task in submitted_tasks(lab.project)] == [(ids[1], "running")]
    with SlurmLauncher(lab.project, FAST, lag_s=1.0) as launcher:
        launcher.submit(other)
        launcher.wait(timeout_s=1.0)
    assert not wait_until_gone(mark, 5.0), "what was taken over is the run's own, and ends with it"
    assert not list((lab.project / "results/.cluster").iterdir())


def test_kill_9_leaves_the_jobs_which_status_shows_and_the_next_run_exp_takes_in(
    slurm: Path, tmp_path: Path, mark: str
) -> None:
    project = twohosts.make_project(tmp_path / "killed 论文", "{one: {fault: go}, two: {fault: go, world_size: 1}}")
    options = ("--launcher", "slurm", "--launch", "poll_s=0.5")
    run = twohosts.run_exp(None, project, *options)
    wait_for(lambda: (project / "seen0").exists() and (project / "seen1").exists())
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    told = papergen(project, "status")
    assert re.search(r"^running +meeting/one seed 0 +\w+  SLURM job \d+_0 on n[12]$", told, re.MULTILINE), told
    assert re.search(r"^(running|queued) +meeting/two seed 0 +\w+  SLURM job \d+_0 ", told, re.MULTILINE), told
    (record,) = [json.loads(line) for line in papergen(project, "status", "--state", "running", "--json").splitlines()][
        :1
    ]
    assert record["state"] == "running"
    assert re.fullmatch(r"\d+_0", record["slurm_job"])
    refused = papergen(project, "run-exp", "--launcher", "local")
    assert "of an earlier run-exp has trials of this project" in refused
    assert "`papergen cancel` to end them" in refused
    first = twohosts.run_exp(None, project, "--only", "one", *options)
    (project / "go").touch()
    told, _ = first.communicate(timeout=100)
    assert "meeting/one seed 0: taken over: SLURM job" in told, told
    assert first.returncode == 0, told
    wait_for(lambda: not said("squeue", "-h"))
    assert "SLURM job" in (told := papergen(project, "status")), told
    assert "has ended: the next run-exp takes it in" in told
    told = papergen(project, "run-exp", *options)
    assert "meeting/two seed 0: taken over: SLURM job" in told, told
    assert "1 trial finished, 0 failed" in told
    assert len(list((project / "ran").iterdir())) == 2, "each trial ran once"
    assert not list((project / "results/.cluster").iterdir())


def test_code_that_was_edited_while_the_job_waited_is_not_run_under_the_old_name(
    slurm: Path, tmp_path: Path, mark: str
) -> None:
    project = twohosts.make_project(tmp_path / "edited")
    run = twohosts.run_exp(
        None, project, "--launcher", "slurm", "--launch", "poll_s=0.5", "--launch", "sbatch=[--begin=now+1hour]"
    )
    wait_for(lambda: "(BeginTime)" in papergen(project, "status"))
    code = project / "experiments" / "meet.py"
    code.write_text(code.read_text().replace("ctx.rank + 1.0", "ctx.rank + 2.0"))
    (batch,) = project.glob("results/.cluster/*/batch.json")
    said("scontrol", "update", f"JobId={json.loads(batch.read_text())['job_id']}", "StartTime=now")
    told, _ = run.communicate(timeout=100)
    assert run.returncode == 1
    assert "meeting/both seed 0: not run: experiments/meet.py changed since this run was planned" in told


def test_cancel_ends_what_a_killed_run_exp_left(slurm: Path, tmp_path: Path, mark: str) -> None:
    project = twohosts.make_project(tmp_path / "left", "{one: {fault: wait}, two: {fault: wait, world_size: 1}}")
    run = twohosts.run_exp(None, project, "--launcher", "slurm", "--launch", "poll_s=0.5")
    wait_for(lambda: (project / "seen0").exists() and (project / "seen1").exists())
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert "would be cancelled  meeting/one seed 0: was running, SLURM job" in papergen(project, "cancel", "--dry-run")
    told = papergen(project, "cancel", "--only", "two")
    assert re.fullmatch(r"cancelled  meeting/two seed 0: was (queued|running), SLURM job \d+_0.*\n", told), told
    assert re.search(r"^running +meeting/one", papergen(project, "status"), re.MULTILINE)
    rows = project / "experiments" / "meeting.yaml"
    rows.write_text(rows.read_text().replace("one", "changed").replace("fault: wait}", "fault: raise}"))
    told = papergen(project, "status")
    assert re.search(
        r"^running but not in the plan: meeting/one seed 0, SLURM job .*cancel --old\)$", told, re.MULTILINE
    )
    told = twohosts.run_exp(None, project, "--launcher", "slurm", "--only", "changed").communicate(timeout=60)[0]
    assert "left alone: SLURM job" in told
    assert "cancelled  meeting/one seed 0" in papergen(project, "cancel", "--old")
    assert not wait_until_gone(mark, 8.0)
    assert papergen(project, "cancel") == "Nothing to cancel: no such trial waits or runs on SLURM.\n"
    assert not list((project / "results/.cluster").iterdir())
