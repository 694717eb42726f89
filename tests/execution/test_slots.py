"""Who may run now: slots, and GPUs that belong to one trial, across every papergen of the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from lab import Lab, finish, quick

from papergen.execution.launcher import Event
from papergen.execution.launchers.local import LocalLauncher
from papergen.execution.slots import GpuLocks, Slots


def slots_of(folder: Path, *gpus: str) -> Slots:
    return Slots(quick(jobs=4, device="cuda"), gpus=gpus, locks=GpuLocks(folder=folder))


def started(slots: Slots) -> tuple[str, tuple[str, ...]] | None:
    job = slots.next()
    return None if job is None else slots.take(job)


def test_slots_give_gpus_back_in_order(lab: Lab, tmp_path: Path) -> None:
    slots = slots_of(tmp_path, "a", "b", "c")
    slots.add(lab.job("pass", num_ranks=2))
    assert started(slots) == ("job1", ("a", "b"))
    slots.add(lab.job("pass", num_ranks=3))
    assert started(slots) is None
    slots.give_back("job1")
    assert started(slots) == ("job2", ("a", "b", "c"))


def test_a_trial_that_waits_is_not_overtaken(lab: Lab, tmp_path: Path) -> None:
    slots = slots_of(tmp_path, "a", "b")
    for num_ranks in (1, 2, 1):
        slots.add(lab.job("pass", num_ranks=num_ranks))
    assert started(slots) == ("job1", ("a",))
    assert started(slots) is None, "a GPU is free, but the trial before needs two"
    slots.give_back("job1")
    assert started(slots) == ("job2", ("a", "b"))


def test_one_process_may_have_every_gpu(lab: Lab, tmp_path: Path) -> None:
    slots = slots_of(tmp_path, "a", "b", "c")
    for _ in range(2):
        slots.add(lab.job("pass", takes_all_gpus=True))
    assert started(slots) == ("job1", ("a", "b", "c"))
    assert started(slots) is None
    slots.give_back("job1")
    assert started(slots) == ("job2", ("a", "b", "c"))


def test_a_gpu_that_another_process_uses_is_not_handed_out(lab: Lab, tmp_path: Path) -> None:
    other = GpuLocks({"0": "GPU-a"}, tmp_path)
    slots = slots_of(tmp_path, "GPU-a", "GPU-b")
    assert other.claim("0"), "another name for the same GPU"
    large = lab.job("pass", num_ranks=2)
    slots.add(large)
    assert slots.next() is None
    assert slots.is_waiting_for_others
    assert slots.remove(large)
    for _ in range(2):
        slots.add(lab.job("pass"))
    assert started(slots) == ("job1", ("GPU-b",)), "none was kept for the trial that could not start"
    assert started(slots) is None
    other.release("0")
    assert started(slots) == ("job2", ("GPU-a",))
    assert not other.claim("0")
    slots.give_back("job2")
    assert other.claim("0")


def test_a_killed_process_keeps_no_gpu(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from papergen.execution.slots import GpuLocks
locks = GpuLocks(folder=Path({str(tmp_path)!r}))
print(locks.claim("GPU-a"), flush=True)
time.sleep(100)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert not GpuLocks(folder=tmp_path).claim("GPU-a")
    finally:
        holder.kill()
        holder.communicate()
    assert GpuLocks(folder=tmp_path).claim("GPU-a")


def test_a_trial_waits_for_the_gpu_of_another_papergen(
    lab: Lab, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("papergen.execution.slots.FOLDER", tmp_path)
    other = GpuLocks()
    assert other.claim("GPU-a")
    with LocalLauncher(quick(device="cuda"), gpus=["GPU-a"]) as launcher:
        launcher.submit(lab.job('ctx.fact("gpu", os.environ["CUDA_VISIBLE_DEVICES"])\nreturn {"score": 1.0}'))
        (told,) = launcher.wait(timeout_s=5.0)
        assert isinstance(told, Event)
        assert told.data["text"] == "lab/row1 seed 0 waits for a GPU that another papergen on this machine uses"
        assert not launcher.wait(timeout_s=0.5)
        other.close()
        _, ended = finish(launcher)
    assert ended[0].failure is None
    assert other.claim("GPU-a"), "it was given back"
    other.close()
