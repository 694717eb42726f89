"""What the experiments brought: the current plan, the results there are, and why the others are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

from papergen.core.errors import PapergenError, ResultError, did_you_mean, nearest_name
from papergen.core.phrase import listed
from papergen.experiment.api import Metric
from papergen.experiment.states import TrialState
from papergen.report.statistics import mean, t_interval
from papergen.store.records import Result, State, Trial
from papergen.store.runs import Store


class ResultKeyError(PapergenError):
    """Base of the errors about one result key: `detail` is the message without it. The caller adds `file:line`."""

    def __init__(self, key: str, detail: str, *, hint: str | None = None) -> None:
        super().__init__(f"{key}: {detail}" if key else detail, hint=hint)
        self.key = key
        self.detail = detail


class UnknownKeyError(ResultKeyError):
    """No experiment, row or metric of that name."""


class NotApplicableError(UnknownKeyError):
    """The row is finished and has no such metric, which another row of the experiment may have."""


class UnavailableError(NotApplicableError):
    """The row cannot run on the device where it was tried; `reason` says why, in a sentence fit for the paper."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(
            key,
            f"this row cannot run on the device where it was tried: {reason}",
            hint="Run it on a machine that can, or leave the row out.",
        )
        self.reason = reason


class NotFinishedError(ResultKeyError, ResultError):
    """A trial behind the key is pending, failed or stale; `state` is the worst of them.

    `cause` says experiment, state and reason without the key: the same for all keys that wait for the same thing.
    """

    def __init__(self, key: str, state: State, detail: str, *, cause: str, hint: str) -> None:
        super().__init__(key, detail, hint=hint)
        self.state = state
        self.cause = cause


class NotANumberError(ResultKeyError, ResultError):
    """A trial behind the key ended with NaN or infinity, which no paper may print."""


MOST_NAMED = 12
"""Names that a message lists; the others are counted."""


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more (papergen status lists them)" if more > 0 else "")


def row_label(row: str, labels: Mapping[str, str] | None = None) -> str:
    """`my_row@top_p-0.9` is called `my row, top_p 0.9`, `labels` said otherwise."""
    stem, *grid = row.split("@")
    label = (labels or {}).get(stem, stem.replace("_", " "))
    return listed([label, *(item.replace("-", " ", 1) for item in grid)])


@dataclass(frozen=True)
class Band:
    """A logged series of one row: step, mean over seeds, and the 95 % interval over two or more seeds."""

    steps: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float] | None
    high: Sequence[float] | None
    num_seeds: int


@dataclass(frozen=True)
class Results:
    """The current plan in plan order, its finished results by digest, and the state of every trial."""

    trials: Sequence[Trial]
    results: Mapping[str, Result]
    states: Mapping[str, State]
    metrics: Mapping[str, Sequence[Metric]]
    """Experiment -> what its trials report."""
    row_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Experiment -> what its kind calls rows in tables and figures."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Digest -> why a trial is not finished: "num_beams 4 -> 5", "ValueError: ..."."""

    @classmethod
    def read(
        cls,
        store: Store,
        planned: Sequence[TrialState],
        metrics: Mapping[str, Sequence[Metric]],
        row_labels: Mapping[str, Mapping[str, str]],
    ) -> Self:
        """Everything the store has for this plan."""
        loaded = {item.trial.digest: store.load(item.trial) for item in planned if item.state == "finished"}
        return cls(
            trials=tuple(item.trial for item in planned),
            results={digest: result for digest, result in loaded.items() if result is not None},
            states={item.trial.digest: item.state for item in planned},
            metrics=metrics,
            row_labels=row_labels,
            reasons={item.trial.digest: item.reason for item in planned if item.reason},
        )

    @property
    def experiments(self) -> list[str]:
        """Names of the experiments, in plan order."""
        return list(dict.fromkeys(trial.experiment for trial in self.trials))

    def rows(self, experiment: str) -> list[str]:
        """Names of the experiment's rows, in plan order."""
        self._known_experiment(experiment, experiment)
        return list(dict.fromkeys(trial.row for trial in self.trials if trial.experiment == experiment))

    def row_label(self, experiment: str, row: str) -> str:
        """What a row is called in tables and figures: by its kind, else by its name; a grid's parameters follow."""
        return row_label(row, self.row_labels.get(experiment, {}))

    def unavailable(self, experiment: str) -> dict[str, str]:
        """Row -> why it cannot run on the device where it was tried."""
        return {
            trial.row: self.reasons.get(trial.digest, "")
            for trial in self.trials
            if trial.experiment == experiment and self._state(trial) == "unavailable"
        }

    def metric(self, experiment: str, name: str) -> Metric:
        """How the metric is read; one that the experiment did not declare is a bare number.

        `closest_to` is the row that it aims at, also where the kind says by a parameter which that is.
        """
        for metric in self.metrics.get(experiment, ()):
            if metric.name == name:
                aim = self._targets.get((experiment, metric.closest_where)) if metric.closest_where else None
                return replace(metric, closest_to=aim or metric.closest_to)
        return Metric(name=name, label=name)

    @cached_property
    def _targets(self) -> Mapping[tuple[str, str], str]:
        """(experiment, parameter that tells the target of its metrics) -> its first row of which that is true."""
        tellers = {name: {metric.closest_where for metric in found} for name, found in self.metrics.items()}
        found: dict[tuple[str, str], str] = {}
        for trial in self.trials:
            for parameter in tellers.get(trial.experiment, ()):
                if parameter and trial.params.get(parameter) is True:
                    found.setdefault((trial.experiment, parameter), trial.row)
        return found

    def finished(self, experiment: str, row: str, key: str | None = None) -> list[Result]:
        """The results of all seeds of a row, one per digest; an error about `key` when it is unknown or unfinished."""
        key = key or f"{experiment}/{row}"
        self._known_experiment(key, experiment)
        trials = list({t.digest: t for t in self.trials if (t.experiment, t.row) == (experiment, row)}.values())
        if not trials:
            rows = self.rows(experiment)
            near = nearest_name(row, rows)
            said = f"Did you mean {near}?" if near else f"Known: {_some(rows)}."
            raise UnknownKeyError(
                key,
                f"the experiment {experiment} has no row {row!r}. {said}",
                hint=f"Rows of {experiment}: {_some(rows)}." if near else None,
            )
        self._all_finished(key, trials)
        return [self.results[trial.digest] for trial in trials]

    def series(self, experiment: str, row: str, name: str) -> Band:
        """A logged series over the seeds of a row, at the steps that all seeds logged."""
        key = f"{experiment}/{row}/{name}"
        found = self.finished(experiment, row, key)
        for result in found:
            if name not in result.outcome.series:
                known = list(result.outcome.series)
                raise UnknownKeyError(key, f"no series {name!r} was logged. {did_you_mean(name, known)}")
        points = [dict(result.outcome.series[name]) for result in found]
        steps = sorted(set.intersection(*(set(one) for one in points)))
        at_step = [[one[step] for one in points] for step in steps]
        if any(value is None for values in at_step for value in values):
            raise NotANumberError(key, "the series holds NaN or infinity.")
        intervals = [interval for values in at_step if (interval := t_interval(values)) is not None]
        return Band(
            steps=steps,
            mean=[mean(values) for values in at_step],
            low=[interval.low for interval in intervals] or None,
            high=[interval.high for interval in intervals] or None,
            num_seeds=len(found),
        )

    def _known_experiment(self, key: str, experiment: str) -> None:
        if experiment not in self.experiments:
            raise UnknownKeyError(
                key,
                f"there is no experiment {experiment!r}. {did_you_mean(experiment, self.experiments)}",
                hint="A key is experiment/row/metric, for example decoding/nucleus/rep_4.",
            )

    def _all_finished(self, key: str, trials: Sequence[Trial]) -> None:
        for trial in trials:
            if self._state(trial) == "unavailable":
                raise UnavailableError(key, self.reasons.get(trial.digest, ""))
        for state in ("failed", "stale", "pending"):
            missing = [trial for trial in trials if self._state(trial) == state]
            if not missing:
                continue
            reasons = dict.fromkeys(self.reasons.get(trial.digest, "") for trial in missing)
            reason = "; ".join(text for text in reasons if text)
            labels = ", ".join(trial.label for trial in missing[:3]) + (", ..." if len(missing) > 3 else "")
            words = {
                "failed": "failed",
                "stale": "is stale: it changed since it was run",
                "pending": "has not been run",
            }
            because = f" ({reason})" if reason else ""
            count = f"{len(missing)} of {len(trials)} trials, " if len(trials) > 1 else ""
            raise NotFinishedError(
                key,
                state,
                f"this {words[state]}{because}: {count}{labels}.",
                cause=f"{trials[0].experiment} {words[state]}{because}",
                hint=f"Run `papergen run-exp {trials[0].experiment}`"
                + (" after mending the cause." if state == "failed" else "."),
            )

    def _state(self, trial: Trial) -> State:
        state = self.states.get(trial.digest, "pending")
        return "pending" if state == "finished" and trial.digest not in self.results else state
