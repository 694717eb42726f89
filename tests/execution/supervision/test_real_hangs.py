"""Real ranks that hang, alone or among others: named within 15 s by line, ended where nothing else can be meant."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab import TRAINING, Lab, notes, quick, run_job

from papergen.execution.launchers.local import LocalLauncher
from papergen.execution.settings import RunSettings, Timeouts
from papergen.execution.supervision.hang_rules import MAX_PLACES

STEPS = "for step in range({n}):\n    ctx.step(step, 1000)\n    time.sleep(0.05)\n(ctx.scratch / 'fault').touch()\n"
SOON = quick(hang_s=8.0, silent_s=30.0, standing_s=2.0, unpaced_s=5.0, stall_s=6.0)


@pytest.mark.parametrize(
    ("num_ranks", "timeouts"),
    [
        pytest.param(1, Timeouts(hang_s=3.0), id="alone, soon"),
        pytest.param(1, Timeouts(), id="alone", marks=pytest.mark.slow),
        pytest.param(2, Timeouts(), id="two", marks=pytest.mark.slow),
    ],
)
def test_a_rank_that_hangs_in_training_is_named_within_15_s(
    lab: Lab, mark: str, num_ranks: int, timeouts: Timeouts
) -> None:
    text = "\n\n".join(f"Line {number} of a text that a small model learns." for number in range(400))
    (lab.project / "text.txt").write_text(text, encoding="utf-8")
    job = lab.job(TRAINING, num_ranks=num_ranks)
    with LocalLauncher(RunSettings(timeouts=timeouts)) as launcher:
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
    with LocalLauncher(quick(hang_s=1.0, silent_s=30.0)) as launcher:
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
    with LocalLauncher(quick(hang_s=1.0, silent_s=30.0)) as launcher:
        _, ended = run_job(launcher, lab.job(body), limit_s=60)
    assert ended.failure is None


def test_a_real_loop_without_an_end_is_named_and_ended(lab: Lab, mark: str) -> None:
    job = lab.job(STEPS.format(n=8) + "while not os.path.exists('never'):\n    pass")
    with LocalLauncher(SOON) as launcher:
        events, ended = run_job(launcher, job)
    assert ended.failure is not None
    assert ended.failure.cause.startswith("spins in "), ended.failure
    assert "in run" in ended.failure.traceback
    assert notes(events)[0].startswith("rank 0 has been computing in "), notes(events)


def test_a_real_rank_that_holds_the_interpreter_for_ever_is_named(lab: Lab, mark: str) -> None:
    body = "import re\nre.match('(a+)+$', 'a' * 40 + 'b')"
    with LocalLauncher(SOON) as launcher:
        events, ended = run_job(launcher, lab.job(STEPS.format(n=30) + body))
    assert ended.failure is not None
    assert ended.failure.cause.startswith("spins in match ("), ended.failure
    assert notes(events)[0].startswith("rank 0 has been computing in match ("), notes(events)


def test_a_real_hang_after_the_first_step_is_ended(lab: Lab, mark: str) -> None:
    with LocalLauncher(SOON) as launcher:
        _, ended = run_job(launcher, lab.job(STEPS.format(n=1) + "time.sleep(1000)"))
    assert ended.failure is not None
    assert ended.failure.cause.startswith("hangs in run (kind1.py:"), ended.failure


def test_a_real_evaluation_stands_at_many_places(tmp_path: Path) -> None:
    """In far fewer looks than end a trial: 600, one a second."""
    code = """
import threading, time, torch
from transformers import GPT2Config, GPT2LMHeadModel
from papergen.execution.worker.channel import _place
model = GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=64, n_head=2, vocab_size=8000)).eval()
places = set()
def look():
    while True:
        places.add(_place())
        time.sleep(0.02)
threading.Thread(target=look, daemon=True).start()
end = time.monotonic() + 3
with torch.no_grad():
    while time.monotonic() < end:
        model(input_ids=torch.ones(8, 64, dtype=torch.long), use_cache=False)
print(len(places))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 2 * MAX_PLACES
