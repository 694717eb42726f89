"""Ranks that do not move are named within 15 s, and ended only where nothing else can be meant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lab import QUICK, Lab, notes, run_job
from test_watch import alone, drive, stack, watch_of

from papergen.execution.launcher import Limits
from papergen.execution.launchers.local import LocalLauncher
from papergen.execution.supervision.processes import IdleMeter, Vitals
from papergen.execution.supervision.stalls import MAX_PLACES

FEW = {"steps": lambda now: [0] if now in {3.5, 4} else []}
"""Two steps, the last at 4 s: no pace is known."""
COMPUTES = {"cpu_s": lambda now: now}


def here(now: float) -> str:
    return "a loop"


def test_a_lone_rank_that_computes_for_ever_is_named_soon_and_ended_late(lab: Lab) -> None:
    watch = watch_of(lab, num_ranks=1, stall_s=600.0)
    assert drive(watch, stacks=alone(stack("train")), place=here, until=18, **COMPUTES) is None
    (told,) = watch.notes
    assert told.startswith("rank 0 has been computing in train (kind.py:3) for 12 s without a step, after steps of 0.5")
    watch = watch_of(lab, num_ranks=1, stall_s=600.0)
    after_s = drive(watch, stacks=alone(stack("train")), place=here, until=700, **COMPUTES)
    assert after_s is not None
    assert 590 <= after_s <= 610
    assert len(watch.notes) == 1
    assert watch.faults[0].rank == 0
    assert watch.faults[0].traceback.startswith("rank 0: in train (kind.py:3)\n")
    told = "spins in train (kind.py:3); no step for 600 s, after steps of 0.5 s at most, computing at the same place"
    assert watch.faults[0].cause.startswith(told)


def test_a_loop_that_calls_functions_stands_at_few_places(lab: Lab) -> None:
    watch = watch_of(lab, num_ranks=1, stall_s=100.0)
    places = lambda now: f"place {int(now) % 3}"  # noqa: E731
    assert drive(watch, stacks=alone(stack("train")), place=places, until=200, **COMPUTES) is not None


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_a_lone_rank_that_hangs_before_its_pace_is_known_is_ended_after_a_minute(lab: Lab, num_steps: int) -> None:
    watch = watch_of(lab, num_ranks=1)
    steps = lambda now: [0] if 4 - num_steps / 2 < now <= 4 else []  # noqa: E731
    after_s = drive(watch, stacks=alone(stack("load")), place=here, steps=steps, until=100)
    assert after_s is not None
    assert 55 <= after_s <= 65
    assert watch.notes[0].startswith("rank 0 has stood in load (kind.py:3) for 12 s and uses no CPU time")
    assert watch.faults[0].cause.startswith("hangs in load (kind.py:3); no step for 60 s")


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("computes before its pace is known", {**FEW, **COMPUTES}),
        ("is idle and has promised nothing", {"steps": lambda now: ()}),
        ("is evaluated, which visits many places", {**COMPUTES, "place": lambda now: f"place {now % 7}"}),
        ("is evaluated for as long as before", {**COMPUTES, "steps": lambda now: [0] if now % 100 < 4 else []}),
        ("waits for the network", {**FEW, "stacks": alone(stack("recv", file="/lib/ssl.py"))}),
        ("waits for the others", {**FEW, "stacks": alone(stack("wait", file="/lib/torch/distributed/c10d.py"))}),
        ("gave no stack", {**FEW, "stacks": alone([])}),
    ],
)
def test_no_rank_is_ended_that(lab: Lab, why: str, changes: dict[str, Any]) -> None:
    given: dict[str, Any] = {"stacks": alone(stack("train")), "place": here, **changes}
    watch = watch_of(lab, num_ranks=1, stall_s=250.0)
    assert drive(watch, until=200, **given) is None, why
    is_named = why in {"is idle and has promised nothing", "is evaluated for as long as before"}
    assert len(watch.notes) == is_named, "named once, the first time"


def test_nobody_is_looked_at_when_told_so(lab: Lab) -> None:
    watch = watch_of(lab, num_ranks=1, stall_s=100.0)
    watch.still = type(watch.still)(1, Limits(hang_s=0), 100.0, 0.0)
    assert drive(watch, stacks=alone(stack("train")), place=here, until=300, **COMPUTES) is None
    assert watch.notes == []


def test_a_machine_that_was_suspended_ends_nothing(lab: Lab) -> None:
    """Even where its clock ran on: the rank computes, stood at one place for a while, and goes on."""
    for vitals in (lambda now: now, lambda now: 1.0):
        watch = watch_of(lab, num_ranks=1, stall_s=600.0)
        for tick in range(9):
            watch.heard(0, {"event": "step", "done": tick, "total": 100}, tick / 2)
        stacks = alone(stack("train"))
        for now in [*range(5, 12), *range(5000, 5005)]:
            if now < 5001:
                watch.heard(0, {"event": "beat", "place": "evaluates"}, now)
            watch.inspect(now, lambda _: "S", lambda _, now=now, used=vitals: Vitals(cpu_s=used(now), io_bytes=0))  # type: ignore[misc]
            if watch.takes_stacks_request():
                watch.saw_stacks(now + 0.5, stacks(now))
        assert not watch.faults, watch.faults


def test_a_look_long_after_the_one_before_tells_nothing() -> None:
    meter = IdleMeter()
    meter.look(0.0, Vitals(cpu_s=0.0, io_bytes=0))
    assert meter.look(10.0, Vitals(cpu_s=0.0, io_bytes=0)) == 10.0
    assert meter.look(3600.0, Vitals(cpu_s=0.0, io_bytes=0)) == 0.0
    assert meter.look(3602.0, Vitals(cpu_s=0.0, io_bytes=0)) == 2.0


STEPS = "for step in range({n}):\n    ctx.step(step, 1000)\n    time.sleep(0.05)\n(ctx.scratch / 'fault').touch()\n"
SOON = Limits(**{**vars(QUICK), "hang_s": 8.0, "silent_s": 30.0, "still_s": 2.0, "early_still_s": 5.0})


def test_a_real_loop_without_an_end_is_named_and_ended(lab: Lab, mark: str) -> None:
    job = lab.job(STEPS.format(n=8) + "while not os.path.exists('never'):\n    pass", stall_s=6.0)
    with LocalLauncher(limits=SOON) as launcher:
        events, ended = run_job(launcher, job)
    assert ended.failure is not None
    assert ended.failure.cause.startswith("spins in "), ended.failure
    assert "in run" in ended.failure.traceback
    assert notes(events)[0].startswith("rank 0 has been computing in "), notes(events)


def test_a_real_rank_that_holds_the_interpreter_for_ever_is_named(lab: Lab, mark: str) -> None:
    body = "import re\nre.match('(a+)+$', 'a' * 40 + 'b')"
    with LocalLauncher(limits=SOON) as launcher:
        events, ended = run_job(launcher, lab.job(STEPS.format(n=30) + body, stall_s=6.0))
    assert ended.failure is not None
    assert ended.failure.cause.startswith("spins in match ("), ended.failure
    assert notes(events)[0].startswith("rank 0 has been computing in match ("), notes(events)


def test_a_real_hang_after_the_first_step_is_ended(lab: Lab, mark: str) -> None:
    with LocalLauncher(limits=SOON) as launcher:
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
