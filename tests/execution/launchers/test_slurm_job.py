"""What runs inside a SLURM job decides by kinds of failures and by signals, without a SLURM."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import QUICK, Lab

from papergen.execution.launchers.slurm import client, job
from papergen.execution.launchers.slurm.files import TaskFiles
from papergen.execution.launchers.slurm.job import Attempt, PreemptionSignal, Terminated
from papergen.store.failures import Failure, FailureKind


@pytest.fixture
def attempt(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Attempt:
    variables = {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "11", "SLURM_ARRAY_TASK_ID": "0"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    files = TaskFiles(lab.project, 0)
    files.write(lab.job("pass"), QUICK)
    return Attempt.of_task(files)


def notes(attempt: Attempt) -> list[str]:
    path = attempt.files.events_file
    return [json.loads(line)["data"]["text"] for line in path.read_text().splitlines()] if path.exists() else []


def failure(kind: FailureKind, cause: str) -> Failure:
    return Failure(kind=kind, rank=1, cause=cause)


def test_a_trial_that_lost_a_node_goes_on_whatever_its_sentence_says(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(client, "requeue", lambda task: asked.append(task) or True)
    assert attempt._goes_on(failure(FailureKind.HOST_LOST, "far was not heard of"))
    assert asked == ["11_0"]
    assert notes(attempt) == ["far was not heard of; SLURM starts the job again"]
    assert not attempt._goes_on(failure(FailureKind.ERROR, "ValueError: far (node 1) is gone"))


def test_a_job_that_loses_nodes_again_and_again_is_given_up(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(job.MAX_RESTARTS))
    monkeypatch.setattr(client, "requeue", lambda task: pytest.fail("not to be asked"))
    assert not Attempt.of_task(attempt.files)._goes_on(failure(FailureKind.HOST_LOST, "far (node 1) is gone"))


@pytest.fixture
def preemption(tmp_path: Path) -> Iterator[PreemptionSignal]:
    before = {sent: signal.getsignal(sent) for sent in (signal.SIGTERM, signal.SIGALRM)}
    made = PreemptionSignal(TaskFiles(tmp_path, 0))
    made.listen()
    made.may_save = True
    yield made
    signal.alarm(0)
    for sent, handler in before.items():
        signal.signal(sent, handler)


def test_the_first_sigterm_asks_to_save_and_the_second_ends(preemption: PreemptionSignal) -> None:
    signal.raise_signal(signal.SIGTERM)
    assert preemption.has_come
    with pytest.raises(Terminated):
        signal.raise_signal(signal.SIGTERM)


def test_a_cancelled_trial_saves_nothing(preemption: PreemptionSignal, tmp_path: Path) -> None:
    TaskFiles(tmp_path, 0).cancelled_file.touch()
    with pytest.raises(Terminated):
        signal.raise_signal(signal.SIGTERM)


def test_a_restart_meets_at_other_ports(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    first = job._ports()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert len(set(first)) == job.NUM_PORTS
    assert not set(first) & set(job._ports())
