"""A rank that hangs in the middle of training, alone or among others, ends its trial within 15 s by name and line."""

from __future__ import annotations

import time

import pytest
from lab import QUICK, Lab, run_job

from papergen.execution.launcher import Limits
from papergen.execution.launchers.local import LocalLauncher

TRAINING = """
from papergen.ml.training.loop import train
from papergen.ml.training.settings import TrainingSettings

def told(done, total, values):
    ctx.step(done, total, **values)
    if done == 40 and ctx.rank == ctx.world_size - 1:
        (ctx.scratch / "fault").touch()
        time.sleep(1000)

settings = TrainingSettings(
    world_size=ctx.world_size, n_layer=1, n_embd=16, n_head=2, vocab_size=300, block_size=32, batch_size=4,
    max_steps=1000, warmup_steps=2, corpus="text.txt", eval_every=20, save_every=10,
)
train(
    settings, seed=0, rank=ctx.rank, world_size=ctx.world_size, local_rank=ctx.local_rank, device="cpu",
    folder=ctx.folder, project=ctx.project, checkpoints=ctx.scratch / "checkpoints", resume=True,
    log=lambda step, values: None, progress=told,
)
"""


@pytest.mark.parametrize(
    ("num_ranks", "limits"),
    [
        pytest.param(1, Limits(hang_s=3.0), id="alone, soon"),
        pytest.param(1, Limits(), id="alone", marks=pytest.mark.slow),
        pytest.param(2, Limits(), id="two", marks=pytest.mark.slow),
    ],
)
def test_a_rank_that_hangs_in_training_is_named_within_15_s(
    lab: Lab, mark: str, num_ranks: int, limits: Limits
) -> None:
    text = "\n\n".join(f"Line {number} of a text that a small model learns." for number in range(400))
    (lab.project / "text.txt").write_text(text, encoding="utf-8")
    job = lab.job(TRAINING, num_ranks=num_ranks)
    with LocalLauncher(limits=limits) as launcher:
        _, ended = run_job(launcher, job, limit_s=120)
    assert ended.failure is not None
    assert ended.failure.cause.startswith("hangs in told (kind1.py:"), ended.failure
    took_s = time.time() - (job.scratch / "fault").stat().st_mtime
    assert ended.failure.rank == num_ranks - 1
    assert "in train" in ended.failure.traceback
    assert took_s < 15, f"{took_s:.1f} s"
    assert (job.scratch / "checkpoints" / "LATEST").exists(), "a retry goes on from here"


def test_what_rests_between_two_steps_without_having_promised_any_is_left_alone(lab: Lab, mark: str) -> None:
    body = """
    for step in range(10):
        ctx.progress(step, 11)
        time.sleep(0.02)
    time.sleep(6)
    return {"score": 1.0}
    """
    with LocalLauncher(limits=Limits(**{**vars(QUICK), "hang_s": 1.0, "silent_s": 30.0})) as launcher:
        _, ended = run_job(launcher, lab.job(body), limit_s=60)
    assert ended.failure is None


def test_a_long_computation_between_two_steps_is_no_hang(lab: Lab, mark: str) -> None:
    body = """
    for step in range(10):
        ctx.step(step, 11)
        time.sleep(0.02)
    end = time.time() + 6
    while time.time() < end:
        pass
    ctx.step(11, 11)
    return {"score": 1.0}
    """
    with LocalLauncher(limits=Limits(**{**vars(QUICK), "hang_s": 1.0, "silent_s": 30.0})) as launcher:
        _, ended = run_job(launcher, lab.job(body), limit_s=60)
    assert ended.failure is None
