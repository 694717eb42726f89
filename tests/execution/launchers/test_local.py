"""The default launcher: what a trial leaves behind, how many run at a time, what they may touch."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from lab import DDP, QUICK, Lab, finish, notes, quick, run_job, wait_until_gone

from papergen.execution.launcher import Ended
from papergen.execution.launchers.local import LocalLauncher
from papergen.execution.provenance import provenance_of
from papergen.execution.supervision import supervisor
from papergen.store.failures import FailureKind
from papergen.store.runs import Run, Store


def outcome_of(ended: Ended) -> dict[str, object]:
    assert ended.failure is None, ended.failure
    return json.loads(Run(ended.job.folder).outcome_file.read_text(encoding="utf-8"))


def test_a_trial_leaves_its_outcome_samples_and_log(lab: Lab, launcher: LocalLauncher) -> None:
    job = lab.job(
        """
        print("a line for the log")
        print("another", file=sys.stderr)
        for step in range(3):
            ctx.log(step, loss=1.0 / (step + 1))
            ctx.progress(step + 1, 3, tokens_per_s=7.0)
        ctx.units("score", [1, 2.5, float("nan")])
        ctx.sample(text="中文 sample", index=0)
        ctx.fact("size", params.size)
        (ctx.folder / "artifact.bin").write_bytes(b"1234")
        return {"score": 2.5}
        """,
        params={"size": 3},
    )
    events, ended = run_job(launcher, job)
    outcome = outcome_of(ended)
    assert outcome == {
        "metrics": {"score": 2.5},
        "units": {"score": [1.0, 2.5, None]},
        "series": {"loss": [[0.0, 1.0], [1.0, 0.5], [2.0, 1 / 3]]},
        "facts": {"size": 3},
    }
    progress = [event.data for event in events if event.kind == "progress"]
    assert progress[0]["fields"] == {"tokens_per_s": 7.0}
    assert progress[-1]["done"] == 3, "the last progress always arrives"
    run = Run(job.folder)
    assert json.loads(run.samples_file.read_text(encoding="utf-8")) == {"text": "中文 sample", "index": 0}
    assert run.rank_log(0).read_text() == "a line for the log\nanother\n"
    assert [path.name for path in run.artifacts] == ["artifact.bin", "samples.jsonl"]
    assert ended.machine["device"] == "cpu"
    assert ended.machine["backend"] == "none"


def test_a_finished_trial_can_be_published(lab: Lab, launcher: LocalLauncher) -> None:
    job = lab.job('ctx.sample(text="x")\nreturn {"score": 1.0}')
    store = Store(lab.project)
    target = store.attempt(job.trial).folder
    target.parent.mkdir(parents=True)
    job.folder.rename(target)
    _, ended = run_job(launcher, dataclasses.replace(job, folder=target))
    result = store.publish(job.trial, provenance_of(ended, command=["papergen", "run-exp"], launcher="local"))
    assert store.load(job.trial) == result
    assert result.provenance.launcher == "local"
    assert result.provenance.duration_s == pytest.approx(ended.duration_s)
    assert list(result.artifacts) == ["samples.jsonl"]


def test_odd_paths(odd_path: Path, mark: str) -> None:
    lab = Lab(odd_path / "a 'b' \"c\" 论文\n")
    with LocalLauncher(QUICK) as launcher:
        _, ended = run_job(launcher, lab.job('assert os.getcwd() == str(ctx.project)\nreturn {"score": 1.0}'))
    assert outcome_of(ended)["metrics"] == {"score": 1.0}


def test_a_long_temporary_folder(lab: Lab, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("long " * 20)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with LocalLauncher(QUICK) as launcher:
        _, ended = run_job(launcher, lab.job('return {"score": 1.0}'))
    assert ended.failure is None, "the path of a Unix socket has at most 107 bytes"


def test_fifty_trials_fork_from_one_worker(lab: Lab, launcher: LocalLauncher) -> None:
    body = 'ctx.fact("pid", os.getpid())\nctx.fact("parent", os.getppid())\nreturn {"score": 1.0}'
    jobs = [lab.job(body) for _ in range(50)]
    for job in jobs:
        launcher.submit(job)
    _, ended = finish(launcher)
    facts = [outcome_of(item)["facts"] for item in ended]
    assert [item.job for item in ended] == jobs, "one at a time, in the order given"
    assert len({item["pid"] for item in facts}) == 50
    assert len({item["parent"] for item in facts}) == 1


def test_a_bounded_number_of_trials_runs_at_a_time(lab: Lab, mark: str) -> None:
    body = """
        (ctx.project / "running" / ctx.trial.row).mkdir(parents=True)
        time.sleep(0.1)
        count = len(list((ctx.project / "running").iterdir()))
        (ctx.project / "running" / ctx.trial.row).rmdir()
        return {"score": count}
    """
    with LocalLauncher(quick(jobs=2)) as launcher:
        for _ in range(6):
            launcher.submit(lab.job(body))
        assert not launcher.has_room(1)
        _, ended = finish(launcher)
        assert launcher.has_room(1)
    assert max(outcome_of(item)["metrics"]["score"] for item in ended) <= 2


def test_ranks_are_bounded_but_a_large_trial_runs_alone(lab: Lab, mark: str) -> None:
    with LocalLauncher(quick(jobs=4), num_slots=2) as launcher:
        launcher.submit(lab.job('time.sleep(0.3)\nreturn {"score": 1.0}'))
        assert launcher.has_room(1)
        assert not launcher.has_room(3)
        launcher.submit(lab.job('return {"score": 1.0}', num_ranks=3))
        _, ended = finish(launcher)
    assert [item.failure for item in ended] == [None, None]


def test_every_rank_knows_its_place(lab: Lab, launcher: LocalLauncher) -> None:
    job = lab.job(
        """
        names = "RANK LOCAL_RANK WORLD_SIZE MASTER_ADDR GLOO_SOCKET_IFNAME OMP_NUM_THREADS CUDA_VISIBLE_DEVICES".split()
        (ctx.folder / f"{ctx.rank}.txt").write_text(" ".join(os.environ[name] or "none" for name in names))
        assert (ctx.rank, ctx.world_size, ctx.num_threads) == (int(os.environ["RANK"]), 3, 2)
        assert os.getpgid(0) == os.getpid()
        return {"score": 1.0}
        """,
        num_ranks=3,
        num_threads=2,
    )
    _, ended = run_job(launcher, job)
    assert ended.failure is None
    assert [(job.folder / f"{rank}.txt").read_text() for rank in range(3)] == [
        f"{rank} {rank} 3 127.0.0.1 lo 2 none" for rank in range(3)
    ]


def test_the_outcome_waits_for_every_rank(lab: Lab, launcher: LocalLauncher) -> None:
    job = lab.job(
        """
        if ctx.rank == 1:
            time.sleep(0.5)
            assert not (ctx.folder / "outcome.json").exists()
            (ctx.folder / "late.bin").write_bytes(b"1")
        return {"score": 1.0}
        """,
        num_ranks=2,
    )
    _, ended = run_job(launcher, job)
    assert ended.failure is None, ended.failure


def test_a_gpu_belongs_to_one_trial(lab: Lab, mark: str) -> None:
    body = """
        mine = os.environ["CUDA_VISIBLE_DEVICES"]
        for name in mine.split(",") if ctx.rank == 0 else ():
            (ctx.project / name).mkdir()  # raises where another trial has it
        time.sleep(0.1)
        for name in mine.split(",") if ctx.rank == 0 else ():
            (ctx.project / name).rmdir()
        ctx.fact("mine", mine)
        return {"score": 1.0}
    """
    with LocalLauncher(quick(jobs=8, device="cuda"), gpus=["GPU-a", "GPU-b"]) as launcher:
        for num_ranks in (1, 1, 2, 1):
            launcher.submit(lab.job(body, num_ranks=num_ranks))
        launcher.submit(lab.job(body, num_ranks=3))
        _, ended = finish(launcher)
    by_row = {item.job.trial.row: item for item in ended}
    assert [by_row[f"row{index}"].failure for index in range(1, 5)] == [None] * 4
    mine = [outcome_of(by_row[f"row{index}"])["facts"]["mine"] for index in range(1, 5)]
    assert mine == ["GPU-a", "GPU-b", "GPU-a,GPU-b", "GPU-a"]
    refused = by_row["row5"].failure
    assert refused is not None
    assert refused.kind is FailureKind.REFUSED
    assert refused.cause.startswith("the trial needs 3 GPUs, one for each rank; 2 GPUs are visible.")


def test_a_taken_port_is_no_failure(lab: Lab, launcher: LocalLauncher) -> None:
    job = lab.job(
        """
        with open(ctx.project / "ports", "a") as stream:
            stream.write(os.environ["MASTER_PORT"] + "\\n")
        assert not (ctx.folder / "left").exists()
        (ctx.folder / "left").mkdir()
        if len(open(ctx.project / "ports").readlines()) < 3:
            raise OSError(98, "Address already in use")
        return {"score": 1.0}
        """
    )
    events, ended = run_job(launcher, job)
    assert ended.failure is None
    assert len(set((lab.project / "ports").read_text().split())) == 3
    assert len(notes(events)) == supervisor.MAX_STARTS - 1


def test_megabytes_of_output_are_kept_whole(lab: Lab, launcher: LocalLauncher) -> None:
    job = lab.job(
        """
        for index in range(200_000):
            print(f"line {index} " + "x" * 20)
            ctx.progress(index, 200_000)
        return {"score": 1.0}
        """
    )
    events, ended = run_job(launcher, job)
    assert ended.failure is None
    lines = Run(job.folder).rank_log(0).read_text().splitlines()
    assert len(lines) == 200_000
    assert lines[-1].startswith("line 199999 ")
    assert len(events) < 500, "progress is thinned out"


def test_what_a_rank_started_ends_with_it(lab: Lab, launcher: LocalLauncher, mark: str) -> None:
    _, ended = run_job(launcher, lab.job('subprocess.Popen(["sleep", "1000"])\nreturn {"score": 1.0}'))
    assert ended.failure is None
    assert not wait_until_gone_of(mark, "sleep")


def wait_until_gone_of(mark: str, name: str) -> list[str]:
    return [line for line in wait_until_gone(mark, 0.5) if name in line]


def test_nothing_can_prompt(lab: Lab, launcher: LocalLauncher) -> None:
    body = """
        try:
            open("/dev/tty")
        except OSError:
            pass
        else:
            raise AssertionError("there is a terminal")
        return {"score": len(sys.stdin.read())}
    """
    _, ended = run_job(launcher, lab.job(body))
    assert outcome_of(ended)["metrics"] == {"score": 0.0}


def test_the_project_s_own_modules_can_be_imported(lab: Lab, launcher: LocalLauncher) -> None:
    (lab.project / "experiments" / "helper_beside.py").write_text("VALUE = 1\n")
    (lab.project / "helper_above.py").write_text("VALUE = 2\n")
    body = 'import helper_above, helper_beside\nreturn {"score": helper_above.VALUE + helper_beside.VALUE}'
    _, ended = run_job(launcher, lab.job(body))
    assert outcome_of(ended)["metrics"] == {"score": 3.0}


def test_unseeded_trials_differ(lab: Lab, launcher: LocalLauncher) -> None:
    body = 'import random, numpy\nreturn {"score": random.random() + numpy.random.rand()}'
    for _ in range(3):
        launcher.submit(lab.job(body, preload=["numpy", "numpy.random", "random"]))
    _, ended = finish(launcher)
    assert len({outcome_of(item)["metrics"]["score"] for item in ended}) == 3, "a fork must not copy random states"


def test_gloo_and_intra_op_threads_after_the_fork(lab: Lab, launcher: LocalLauncher) -> None:
    jobs = [
        lab.job(DDP, num_ranks=2, num_threads=2, preload=["torch", "torch.distributed", "torch.nn.parallel"])
        for _ in range(3)
    ]
    for job in jobs:
        launcher.submit(job)
    _, ended = finish(launcher)
    for item in ended:
        outcome = outcome_of(item)
        assert outcome["metrics"] == {"score": 3.0}
        assert outcome["facts"] == {"threads": 2}
        assert item.machine["backend"] == "gloo"
        assert item.machine["num_threads"] == 2


def test_the_parent_imports_no_torch() -> None:
    source = "import sys, papergen.execution.launchers.local, papergen.execution.provenance\nassert 'torch' not in sys.modules"  # noqa: E501
    subprocess.run([sys.executable, "-c", source], check=True)
