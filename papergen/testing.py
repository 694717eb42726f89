"""For the tests of an author's experiment: one trial run in this process, without a launcher and without the store."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from papergen.core.errors import PapergenError, did_you_mean
from papergen.core.scratch import scratch_folder
from papergen.core.secrets import revealed
from papergen.experiment.api import Context
from papergen.experiment.kind import Kind
from papergen.experiment.project import Project, open_project
from papergen.experiment.recorder import Recorder
from papergen.store.records import Outcome, Trial
from papergen.store.runs import Run


def run_once(
    project: Path, experiment: str, *, row: str | None = None, seed: int | None = None, overrides: Sequence[str] = ()
) -> Outcome:
    """What a trial of the experiment reports: metrics, series, units and facts. The store is left as it is.

    The first row and its first seed when none is named. `overrides` are those of `-o`, so that a test can be small:
    `["NAME.num_samples=50"]`. An experiment that takes another's artifact needs that one finished.
    """
    opened = open_project(project, overrides=overrides, seeds=None if seed is None else [seed])
    trial = _chosen(opened, experiment, row)
    kind = opened.kinds[trial.kind]
    if trial.num_ranks > 1:
        raise PapergenError(f"{trial.label}: needs {trial.num_ranks} processes; a test can run trials of one.")
    with scratch_folder("test") as folder, _as_in_a_worker(opened.root, kind):
        run = Run(folder / "trial")
        run.folder.mkdir()
        recorder = Recorder(run, is_main=True, tell=lambda *_: None)
        scratch = folder / "scratch"
        scratch.mkdir()
        params = kind.params_of(trial.params if kind.reveals_secrets else revealed(trial.params))
        metrics = kind.run(params, _context(opened, trial, run.folder, scratch, recorder))
        recorder.close()
        return recorder.outcome(metrics, [metric.name for metric in kind.metrics(trial.params)], kind.path.name)


def _chosen(project: Project, experiment: str, row: str | None) -> Trial:
    of_experiment = [trial for trial in project.trials if trial.experiment == experiment]
    if not of_experiment:
        known = did_you_mean(experiment, project.configs)
        raise PapergenError(f"{experiment}: there is no experiment of this name. {known}")
    for trial in of_experiment:
        if row in {None, trial.row}:
            return trial
    rows = {trial.row for trial in of_experiment}
    raise PapergenError(f"{experiment}: has no row {row!r}. {did_you_mean(str(row), rows)}")


def _context(project: Project, trial: Trial, folder: Path, scratch: Path, recorder: Recorder) -> Context:
    by_digest = {item.digest: item for item in project.trials}
    upstream = {name: project.store.run(by_digest[of]).artifact(name) for name, of in trial.upstream.items()}
    for name, path in upstream.items():
        if not path.exists():
            raise PapergenError(
                f"{trial.label}: its {name} is not there yet.",
                hint=f"Type: papergen run-exp {by_digest[trial.upstream[name]].experiment}",
            )
    return Context(
        trial=trial,
        folder=folder,
        scratch=scratch,
        project=project.root,
        device="cpu",
        rank=0,
        local_rank=0,
        world_size=1,
        num_threads=1,
        upstream=upstream,
        emit=recorder.emit,
    )


@contextlib.contextmanager
def _as_in_a_worker(project: Path, kind: Kind) -> Iterator[None]:
    """The working folder and import path that a worker gives."""
    before, folder = list(sys.path), Path.cwd()
    sys.path[:0] = [str(kind.path.parent), str(project)]
    os.chdir(project)
    try:
        yield
    finally:
        os.chdir(folder)
        sys.path[:] = before
