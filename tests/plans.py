"""Trials planned, and finished without being run."""

from __future__ import annotations

from pathlib import Path

from papergen.config import read_experiments
from papergen.core.files import write_json
from papergen.experiment.plan import plan_trials
from papergen.experiment.registry import load_kinds
from papergen.store.records import Provenance, Trial
from papergen.store.runs import Store


def plan(project: Path, **options: object) -> tuple[Trial, ...]:
    return plan_trials(project, read_experiments(project, **options), load_kinds(project))  # type: ignore[arg-type]


def provenance() -> Provenance:
    return Provenance(
        command=["papergen", "run-exp"],
        started="2026-11-23T00:00:00Z",
        ended="2026-11-23T00:00:01Z",
        duration_s=1.0,
        hostname="h",
        platform="p",
        python="3.11.7",
        papergen="0",
        packages={},
        cpu="c",
        num_cores=2,
        memory_gib=24.0,
        device="cpu",
        gpus=[],
        num_threads=1,
        backend="none",
        launcher="local",
        git_commit="",
        git_is_dirty=False,
        load_average=0.0,
    )


def finish(store: Store, trial: Trial, score: float = 1.0) -> None:
    run = store.begin(trial)
    write_json(run.outcome_file, {"metrics": {"score": score}, "units": {}, "series": {}, "facts": {}})
    store.publish(trial, provenance())
