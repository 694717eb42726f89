"""An edited file must not run under the name that the trial was planned with."""

from __future__ import annotations

import os
from pathlib import Path

from plans import plan

from papergen.experiment.code_guard import CodeGuard, changed_files
from papergen.experiment.registry import load_kinds


def test_an_edit_of_what_counts_is_named_and_another_one_is_not(project: Path) -> None:
    kinds, trials = load_kinds(project), plan(project)
    guard = CodeGuard(project, kinds, trials)
    file = project / "experiments" / "fake.py"
    whole = file.read_text()
    assert guard.changed(trials[0]) == []
    file.write_text(whole.replace("FACTOR = 2", "FACTOR = 3"))
    assert guard.changed(trials[0]) == ["experiments/fake.py"]
    file.write_text(whole.replace("Any whole number.", "A number."))
    assert guard.changed(trials[0]) == [], "a description decides no number"


def test_a_file_that_was_only_touched_has_not_changed(project: Path) -> None:
    kinds, trials = load_kinds(project), plan(project)
    guard = CodeGuard(project, kinds, trials)
    os.utime(project / "experiments" / "fake.py", (1, 1))
    assert guard.changed(trials[0]) == []


def test_a_file_that_is_gone_or_new_has_changed(project: Path) -> None:
    file = project / "experiments" / "fake.py"
    (project / "helper.py").write_text("X = 1\n")
    file.write_text(file.read_text().replace("FACTOR = 2", "from helper import X as FACTOR"))
    trial = plan(project)[0]
    assert "helper.py" in trial.parts["code"]
    (project / "helper.py").rename(project / "other.py")
    assert changed_files(trial, load_kinds(project)["fake"], project) == ["helper.py"]
