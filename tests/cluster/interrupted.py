"""Training that SLURM interrupts: a project, and what comes out of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fakes import training_yaml

TRAINING = training_yaml(max_steps=900)
SLURM = ("--launcher", "slurm", "--launch", "poll_s=0.5")


def make_project(folder: Path) -> Path:
    (folder / "experiments").mkdir(parents=True)
    (folder / "paper.yaml").write_text("title: Interrupted\nauthors: [{name: A}]\n")
    (folder / "experiments" / "training.yaml").write_text(TRAINING)
    lines = [
        f"In the year {year} the {year % 7}th of {year % 12} harbours saw {year % 31} ships.\n" for year in range(900)
    ]
    (folder / "text.txt").write_text("\n".join(lines))
    return folder


def result_of(project: Path) -> dict[str, Any]:
    (path,) = project.glob("results/training/*/result.json")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def weights(project: Path) -> bytes:
    (path,) = project.glob("results/training/*/model/model.safetensors")
    return path.read_bytes()


def task_of(project: Path) -> str:
    """What SLURM calls the project's one trial."""
    (batch,) = project.glob("results/.cluster/*/batch.json")
    return f"{json.loads(batch.read_text())['job_id']}_0"


def has_progress(project: Path) -> bool:
    """Whether the trial has told of a step."""
    return any('"done": ' in events.read_text() for events in project.glob("results/.cluster/*/task0.events"))
