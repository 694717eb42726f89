"""torchrun starts the ranks of a trial again (--max-restarts): the result is that of a run without a fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import TRAINING, Lab, notes, quick, run_job

from papergen.core.errors import PapergenError
from papergen.execution.launchers.choose import choose_launcher
from papergen.execution.launchers.local import LocalLauncher
from papergen.execution.launchers.torchrun import TorchrunLauncher
from papergen.execution.settings import RunSettings

ONCE = """
def once(name):
    path = ctx.scratch / name
    is_first = not path.exists()
    path.touch()
    return is_first
"""


@pytest.fixture
def torchrun(lab: Lab, mark: str) -> Iterator[TorchrunLauncher]:
    with TorchrunLauncher.from_settings(lab.project, quick(max_restarts=2)) as launcher:
        yield launcher


def test_a_rank_that_dies_once_is_started_again_and_nothing_of_before_is_in_the_result(
    lab: Lab, torchrun: TorchrunLauncher
) -> None:
    body = f"""{ONCE}
(ctx.folder / f"left{{ctx.rank}}").touch()
print("start of rank", ctx.rank, flush=True)
if ctx.rank == 1 and once("killed"):
    ctx.sample(text="before")
    while not (ctx.folder / "left0").exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
if ctx.rank == 0 and once("waited"):
    time.sleep(1000)
ctx.sample(text="after")
assert not (ctx.folder / "old").exists()
return {{"score": float(len(list(ctx.folder.glob("left*"))))}}
"""
    job = lab.job(body, num_ranks=2)
    events, ended = run_job(torchrun, job)
    assert ended.failure is None, ended.failure
    cause = "rank 1: killed by SIGKILL (out of memory?)"
    assert notes(events) == [f"{cause}; torchrun starts the ranks again (restart 1 of 2)"]
    assert ended.machine["restarts"] == [cause]
    outcome = json.loads((job.folder / "outcome.json").read_text())
    assert outcome["facts"]["num_restarts"] == 1
    assert (job.folder / "samples.jsonl").read_text().count("after") == 1
    assert "before" not in (job.folder / "samples.jsonl").read_text()
    assert (job.folder / "rank1.log").read_text().count("start of rank 1") == 2, "the logs go on"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("raise ValueError('each time')", "ValueError: each time"),
        ("os.kill(os.getpid(), signal.SIGSTOP)", "the process is stopped (SIGSTOP)"),
        ("return {}", "returned from run()"),
    ],
)
def test_the_last_failure_is_told_when_restarts_are_used_up(
    lab: Lab, torchrun: TorchrunLauncher, fault: str, cause: str
) -> None:
    events, ended = run_job(torchrun, lab.job(f"if ctx.rank == 1:\n    {fault}\ntime.sleep(1000)", num_ranks=2), 120)
    assert ended.failure is not None
    assert ended.failure.rank == 1
    assert ended.failure.cause.startswith(cause)
    assert [text.startswith(f"rank 1: {cause}") for text in notes(events)] == [True, True]
    assert len(ended.failure.attempts) == 2
    if "raise" in fault:
        assert "raise ValueError('each time')" in ended.failure.traceback


@pytest.mark.slow
def test_a_time_limit_is_no_reason_to_start_again(lab: Lab, mark: str) -> None:
    with TorchrunLauncher(quick(max_restarts=2, time_limit_s=6.0)) as torchrun:
        events, ended = run_job(torchrun, lab.job("time.sleep(1000)", num_ranks=2), 60)
    assert ended.failure is not None
    assert ended.failure.cause.startswith("ran longer than its time limit")
    assert not notes(events)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["os.kill(os.getpid(), signal.SIGKILL)", "raise ValueError", "time.sleep(1000)"])
def test_training_goes_on_from_its_checkpoint_to_the_same_bits(
    lab: Lab, torchrun: TorchrunLauncher, fault: str
) -> None:
    text = "\n\n".join(f"Line {number} of a text that a small model learns." for number in range(400))
    (lab.project / "text.txt").write_text(text, encoding="utf-8")
    body = TRAINING.replace("max_steps=1000", "max_steps=60").replace("train(\n", "trained = train(\n")
    body += "\nreturn {'score': trained.metrics['validation_loss']}"
    faulty = body.replace('(ctx.scratch / "fault").touch()', 'path = ctx.scratch / "once"').replace(
        "        time.sleep(1000)", f"        if not path.exists():\n            path.touch()\n            {fault}"
    )
    whole = lab.job(body.replace("time.sleep(1000)", "pass"), num_ranks=2)
    broken = lab.job(faulty, num_ranks=2)
    with LocalLauncher(RunSettings()) as launcher:
        _, ended = run_job(launcher, whole, 120)
        assert ended.failure is None, ended.failure
    events, ended = run_job(torchrun, broken, 120)
    assert ended.failure is None, ended.failure
    assert len(notes(events)) == 1
    assert weights(broken.folder) == weights(whole.folder)
    scores = [json.loads((job.folder / "outcome.json").read_text())["metrics"]["score"] for job in (whole, broken)]
    assert scores[0] == scores[1]


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


def test_restarts_are_for_torchrun() -> None:
    launcher, reason = choose_launcher("auto", max_restarts=2)
    assert (launcher.name, reason) == ("torchrun", "--max-restarts 2")
    with pytest.raises(PapergenError, match="--max-restarts 2: the launcher local does not start ranks again"):
        choose_launcher("local", max_restarts=2)
