"""`--launcher slurm` against a real SLURM of two nodes: what is submitted, how it runs, what is refused."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import matrix
import pytest
import slurmlab
import twohosts
from lab import Lab, finish, notes, quick, run_job
from slurmlab import FAST, WAIT, outcome_of, papergen, said

from papergen.core.errors import MachineError
from papergen.execution.launchers.choose import choose_launcher
from papergen.execution.launchers.slurm.launcher import SlurmLauncher
from papergen.execution.settings import LaunchSettings, RunSettings


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
    settings = quick(poll_s=0.5, ranks_per_node=2, cpus_per_rank=2, time="10m", memory_per_rank="100M")
    with SlurmLauncher(lab.project, settings, lag_s=1.0) as launcher:
        job = lab.job(body, num_ranks=4)
        _, ended = run_job(launcher, job)
    assert ended.failure is None, ended.failure
    outcome = outcome_of(job.folder)
    assert outcome["metrics"] == {"score": 10.0}
    assert outcome["facts"] == {"places": [["n1", 0, 0], ["n1", 1, 1], ["n2", 2, 0], ["n2", 3, 1]]}
    assert ended.machine["num_threads"] == 2
    assert len(ended.machine["hosts"]) == 2


def test_every_fault_ends_its_trial_in_time_by_name_and_no_other(slurm: Path, lab: Lab, mark: str) -> None:
    settings = RunSettings(poll_s=0.5, ranks_per_node=2, jobs=4)  # the timeouts that users have
    with SlurmLauncher(lab.project, settings) as launcher:
        matrix.check(launcher, lab)


def test_what_sbatch_refuses_is_an_error_that_says_what_to_set(lab: Lab, slurm: Path, mark: str) -> None:
    settings = quick(poll_s=0.5, partition="nowhere")
    with SlurmLauncher(lab.project, settings) as launcher:
        launcher.submit(lab.job("pass"))
        with pytest.raises(MachineError, match=r"sbatch refused: .*nvalid partition"):
            launcher.wait()
    assert not list((lab.project / "results/.cluster").iterdir())


def test_a_trial_that_asks_for_more_than_the_cluster_has_fails_and_the_others_go_on(
    lab: Lab, slurm: Path, mark: str
) -> None:
    settings = quick(poll_s=0.5, memory_per_rank="1G")
    with SlurmLauncher(lab.project, settings, lag_s=1.0) as launcher:
        jobs = [lab.job("return {'score': 1.0}", num_ranks=num_ranks) for num_ranks in (1, 100)]
        for job in jobs:
            launcher.submit(job)
        _, ended = finish(launcher)
    failures = {item.job.trial.num_ranks: item.failure for item in ended}
    assert failures[1] is None
    assert failures[100] is not None
    assert re.search(r"(sbatch refused: |would never start job \d+_0: PartitionConfig)", failures[100].cause)
    assert failures[100].cause.endswith("(asked for: 1 node with 100 ranks, 100 cores, 1G for each rank)")


def test_so_many_run_at_a_time_over_all_arrays(lab: Lab, slurm: Path, mark: str) -> None:
    body = """
        import fcntl
        with open(ctx.project / "now", "a+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.write("+")
        time.sleep(1.0)
        with open(ctx.project / "now", "a+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.write("-")
        return {"score": 1.0}
    """
    with SlurmLauncher(lab.project, quick(poll_s=0.5, jobs=2), lag_s=1.0) as launcher:
        for num_ranks in (1, 1, 1, 2):  # two shapes, so two arrays
            launcher.submit(lab.job(body, num_ranks=num_ranks))
        events, ended = finish(launcher, limit_s=120)
    assert [item.failure for item in ended] == [None] * 4
    assert notes(events)[0].endswith(": 3 trials, 2 at a time")
    running, most = 0, 0
    for sign in (lab.project / "now").read_text():
        running += 1 if sign == "+" else -1
        most = max(most, running)
    assert most <= 3, "two trials, the last of two ranks, whose rank may begin while another trial ends"


def test_arrays_are_no_larger_than_the_cluster_allows(lab: Lab, slurm: Path, mark: str) -> None:
    with SlurmLauncher(lab.project, FAST, lag_s=1.0) as launcher:
        for _ in range(slurmlab.MAX_ARRAY_SIZE):  # one more than may be
            launcher.submit(lab.job("pass"))
        launcher.wait(timeout_s=0.0)
        counts = Counter(task.batch.job_id for task in launcher._tasks)
    assert list(counts.values()) == [slurmlab.MAX_ARRAY_SIZE - 1, 1]


def test_what_launch_yaml_says_reaches_slurm(lab: Lab, slurm: Path, mark: str) -> None:
    settings = quick(
        poll_s=0.5,
        device="cuda",
        partition="gpus",
        account="abc123",
        qos="normal",
        time="1h30m",
        cpus_per_rank=2,
        memory_per_rank="200M",
        requeue=False,
        setup=['echo "given: $CUDA_VISIBLE_DEVICES" > "$PAPERGEN_TEST_FOLDER/$SLURM_ARRAY_TASK_ID"'],
        sbatch=["--comment=from launch.yaml", f"--export=ALL,PAPERGEN_TEST_FOLDER={lab.project}"],
    )
    with SlurmLauncher(lab.project, settings, lag_s=1.0) as launcher:
        jobs = [lab.job("pass", num_ranks=num_ranks) for num_ranks in (1, 1, 2)]
        for job in jobs:
            launcher.submit(job)
        launcher.wait(timeout_s=0.0)
        by_job = {task.batch.job_id: task for task in launcher._tasks}
        facts = [dict(re.findall(r"(\w+)=(\S*)", said("scontrol", "-o", "show", "job", job))) for job in by_job]
        folders = [task.batch.folder for task in by_job.values()]
        finish(launcher)  # they fail: no real GPU is here
    assert [fact["JobName"] for fact in facts] == ["papergen-lab"] * 2
    assert all(fact["StdOut"].startswith(f"{folder}/task") for fact, folder in zip(facts, folders, strict=True))
    wanted = {"Partition": "gpus", "Account": "abc123", "TimeLimit": "01:30:00", "Requeue": "0", "Comment": "from"}
    assert all(fact | wanted == fact for fact in facts), facts
    assert [(fact["MinMemoryNode"], fact["TresPerNode"]) for fact in facts] == [
        ("200M", "gres:gpu:1"),
        ("400M", "gres:gpu:2"),
    ]
    given = [(lab.project / name).read_text().split()[1].split(",") for name in ("0", "1")]
    assert sorted(map(len, given)) in ([1, 1], [1, 2]), "as many GPUs as ranks"


def test_a_trial_on_a_gpu_partition_is_asked_of_the_cluster_not_of_this_machine(slurm: Path) -> None:
    settings = quick(partition="gpus")
    assert SlurmLauncher.device("auto", settings)[0] == "cuda"
    assert SlurmLauncher.num_gpus("cuda", settings) == 2
    assert SlurmLauncher.device("auto", LaunchSettings())[0] == "cpu"
    with pytest.raises(MachineError, match=r"--device cuda: no node of partition main has a GPU"):
        SlurmLauncher.device("cuda", LaunchSettings(partition="main"))


def test_ranks_that_nodes_cannot_share_fail_by_name(lab: Lab, slurm: Path, mark: str) -> None:
    with SlurmLauncher(lab.project, quick(ranks_per_node=2)) as launcher:
        launcher.submit(lab.job("pass", num_ranks=3))
        _, ended = finish(launcher)
    assert ended[0].failure is not None
    assert ended[0].failure.cause.startswith("launch setting ranks_per_node = 2 does not divide the 3 ranks")


def test_the_cluster_s_own_time_limit_says_what_to_raise(lab: Lab, slurm: Path, mark: str) -> None:
    # A minute is SLURM's smallest limit; the note about where it stands is tested with a shorter one of our own.
    with SlurmLauncher(lab.project, quick(poll_s=0.5, time_limit_s=1.0), lag_s=1.0) as launcher:
        _, ended = run_job(launcher, lab.job(WAIT))
    assert ended.failure is not None
    assert ended.failure.cause == "ran longer than its time limit of 1 s"
    assert "kind1.py" in ended.failure.traceback


def test_a_row_is_n_a_by_the_gpus_of_the_partition_not_of_the_login_node(slurm: Path, tmp_path: Path) -> None:
    project = tmp_path / "dp"
    (project / "experiments").mkdir(parents=True)
    (project / "paper.yaml").write_text("title: GPUs\nauthors: [{name: A}]\n")
    (project / "text.txt").write_text("\n\n".join(f"Paragraph {number} of a text." for number in range(200)))
    rows = "rows: {dp: {strategy: dp, world_size: 1}}"
    (project / "experiments" / "training.yaml").write_text(f"kind: training\ncorpus: text.txt\n{rows}\n")
    plan = ("run-exp", "--dry-run", "--launcher", "slurm")
    told = papergen(project, *plan)
    assert told.startswith("n/a   training/dp"), told
    assert "DataParallel splits a batch over two or more GPUs; this run has none." in told
    told = papergen(project, *plan, "--launch", "partition=gpus")
    assert told.startswith("run   training/dp"), told


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
