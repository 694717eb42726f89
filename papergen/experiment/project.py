"""A paper project opened: its configuration read, its trials planned, its store at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from papergen.config import ExperimentConfig, Paper, find_project, read_experiments, read_paper
from papergen.config.sweeps import is_of_row
from papergen.core.errors import PapergenError, did_you_mean
from papergen.experiment.api import Metric
from papergen.experiment.kind import Kind
from papergen.experiment.plan import plan_trials
from papergen.experiment.registry import load_kinds
from papergen.experiment.states import TrialState, assess
from papergen.store.records import Trial
from papergen.store.runs import Store


@dataclass(frozen=True, kw_only=True)
class Project:
    """Everything that planning, running and building a paper start from."""

    root: Path
    paper: Paper
    configs: Mapping[str, ExperimentConfig]
    kinds: Mapping[str, Kind]
    trials: tuple[Trial, ...]
    """The whole plan, upstream first."""
    store: Store

    @property
    def name(self) -> str:
        """The folder's name, which the PDF bears too."""
        return self.root.name

    @property
    def metrics(self) -> dict[str, tuple[Metric, ...]]:
        """Experiment -> what its trials report; what the first row says of a metric holds for all."""
        found: dict[str, dict[str, Metric]] = {name: {} for name in self.configs}
        seen: set[str] = set()
        for trial in self.trials:
            if trial.key not in seen:
                seen.add(trial.key)
                of_row = self.kinds[trial.kind].metrics(trial.params)
                found[trial.experiment] = {metric.name: metric for metric in of_row} | found[trial.experiment]
        return {name: tuple(metrics.values()) for name, metrics in found.items()}

    @property
    def row_labels(self) -> dict[str, Mapping[str, str]]:
        """Experiment -> what its kind calls rows in tables and figures."""
        return {name: self.kinds[config.kind].row_labels for name, config in self.configs.items()}

    @property
    def pdf(self) -> Path:
        """Where the PDF is published."""
        return self.root / "build" / f"{self.name}.pdf"

    def states(self) -> tuple[TrialState, ...]:
        """How things stand with every trial of the plan."""
        return assess(self.store, self.trials)

    def select(self, names: Sequence[str], rows: Sequence[str]) -> tuple[Trial, ...]:
        """The trials of the named experiments (all when none is named) and rows (`experiment/row` or `row`).

        The name of a row that a grid multiplies stands for all that came of it, `nucleus` for `nucleus@top_p-0.9` too.
        """
        for name in names:
            if name not in self.configs:
                raise PapergenError(
                    f"{name}: there is no experiment of this name in experiments/. {did_you_mean(name, self.configs)}"
                )
        chosen = [trial for trial in self.trials if not names or trial.experiment in names]
        known = {name for trial in chosen for name in (trial.row, trial.key)}
        for row in rows:
            if not any(is_of_row(name, row) for name in known):
                raise PapergenError(f"--only {row}: there is no such row. {did_you_mean(row, known)}")
        return tuple(
            trial
            for trial in chosen
            if not rows or any(is_of_row(name, row) for row in rows for name in (trial.row, trial.key))
        )


def open_project(
    start: Path | None = None,
    *,
    overrides: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    presets: Sequence[str] = (),
) -> Project:
    """The project at or above `start` (the current folder by default)."""
    root = find_project((start or Path.cwd()).resolve())
    paper = read_paper(root)
    configs = read_experiments(root, overrides=overrides, seeds=seeds, presets=presets)
    kinds = load_kinds(root)
    trials = plan_trials(root, configs, kinds)
    return Project(root=root, paper=paper, configs=configs, kinds=kinds, trials=trials, store=Store(root))
