"""Trials that this machine cannot run are told apart from those that wait for one of them."""

from __future__ import annotations

from pathlib import Path

from fakes import FAKE_KIND
from plans import plan

from papergen.experiment.availability import availability_of
from papergen.experiment.registry import load_kinds


def test_trials_that_cannot_run_here_and_those_that_need_them(project: Path) -> None:
    second = FAKE_KIND.replace("import Metric, Params as Base", "import From, Metric, Params as Base")
    second = second.replace("class Params(Base):", "class Params(Base):\n    model: From | None = None")
    (project / "experiments" / "taker.py").write_text(second)
    (project / "experiments" / "second.yaml").write_text(
        "kind: taker\nrows:\n"
        "  free: {}\n  good: {model: {from: first, row: small}}\n  bad: {model: {from: first, row: gpu}}\n"
    )
    first = project / "experiments" / "first.yaml"
    first.write_text(first.read_text() + "  gpu: {rate: 7.5, exact: true}\n")
    kinds = load_kinds(project)
    found = availability_of(plan(project), kinds, device="cpu", num_gpus=0)
    assert [(trial.key, why) for trial, why in found.unavailable] == [("first/gpu", "Only GPUs do that.")]
    assert [(trial.key, needed.key) for trial, needed in found.orphaned] == [("second/bad", "first/gpu")]
    assert {"second/free", "second/good", "first/small"} <= {trial.key for trial in found.runnable}
    everywhere = availability_of(plan(project), kinds, device="cuda", num_gpus=1)
    assert not everywhere.unavailable
    assert not everywhere.orphaned
