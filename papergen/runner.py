"""Run planned trials through a launcher, upstream first; each is published when whole, a failed one kept apart."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from papergen.errors import MachineError, PapergenError
from papergen.experiment import Recipe
from papergen.launch.base import Ended, Event, Job, Launcher
from papergen.launch.provenance import provenance_of
from papergen.progress import View
from papergen.records import Failure, Result, Trial
from papergen.runs import Store


@dataclass
class Summary:
    """What a run-exp did, trial by trial."""

    finished: list[Trial] = field(default_factory=list)
    failed: list[tuple[Trial, Failure]] = field(default_factory=list)
    skipped: list[tuple[Trial, str]] = field(default_factory=list)
    """Trials that could not be tried because another failed first, and which."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How the trials of one run-exp are run."""

    device: str
    num_cores: int
    command: Sequence[str]
    """The command line, for the record."""
    launcher_name: str
    time_limit_s: float | None = None
    fail_fast: bool = False


def run_trials(
    store: Store,
    to_run: Sequence[Trial],
    *,
    all_trials: Sequence[Trial],
    recipes: Mapping[str, Recipe],
    launcher: Launcher,
    machine: Machine,
    view: View,
) -> Summary:
    """Run `to_run` (in plan order, upstream first) and publish what finishes.

    One trial runs at a time unless the launcher has slots for more; a trial whose upstream failed is skipped by name.
    """
    by_digest = {trial.digest: trial for trial in all_trials}
    waiting = collections.OrderedDict((trial.digest, trial) for trial in to_run)
    running: dict[str, Trial] = {}
    summary = Summary()
    lost: dict[str, str] = {}
    while waiting or running:
        for digest, trial in list(waiting.items()):
            needed = [by_digest[name] for name in trial.upstream.values()]
            dead = next((lost[item.digest] for item in needed if item.digest in lost), None)
            if dead is not None:
                del waiting[digest]
                lost[digest] = dead
                summary.skipped.append((trial, dead))
            elif not any(item.digest in waiting or item.digest in running for item in needed):
                if not launcher.has_room(trial.num_ranks):
                    continue
                del waiting[digest]
                running[digest] = trial
                launcher.submit(_job(store, trial, by_digest, recipes[trial.kind], machine, num_together=len(running)))
                view.started(trial)
        for item in launcher.wait(timeout_s=None) if running else ():
            trial = item.job.trial
            if isinstance(item, Event):
                _show(view, trial, item)
                continue
            del running[trial.digest]
            failure = _settle(store, trial, item, recipes[trial.kind], machine, view)
            if failure is None:
                summary.finished.append(trial)
            else:
                summary.failed.append((trial, failure))
                lost[trial.digest] = trial.label
                if machine.fail_fast:
                    summary.skipped += [(other, trial.label) for other in waiting.values()]
                    waiting.clear()
    return summary


def _job(
    store: Store,
    trial: Trial,
    by_digest: Mapping[str, Trial],
    recipe: Recipe,
    machine: Machine,
    *,
    num_together: int,
) -> Job:
    upstream: dict[str, Path] = {}
    for parameter, digest in trial.upstream.items():
        source = by_digest[digest]
        path = store.run(source).folder / parameter
        if not path.exists():
            raise PapergenError(
                f"{store.shown(path)}: the {parameter} of {source.label} is not here (git leaves out large files).",
                hint=f"Make it again: papergen run-exp {source.experiment} --force",
            )
        upstream[parameter] = path
    run = store.begin(trial)
    return Job(
        trial=trial,
        folder=run.folder,
        scratch=store.scratch(trial),
        recipe_path=recipe.path,
        project=store.project,
        upstream=upstream,
        device=machine.device,
        num_threads=max(1, machine.num_cores // trial.num_ranks),
        time_limit_s=machine.time_limit_s,
    )


def _settle(store: Store, trial: Trial, ended: Ended, recipe: Recipe, machine: Machine, view: View) -> Failure | None:
    """Publish a finished trial or keep a failed one; the failure, None when there was none."""
    failure = ended.failure
    if failure is None:
        provenance = provenance_of(ended, command=machine.command, launcher=machine.launcher_name)
        try:
            result = store.publish(trial, provenance)
        except MachineError:
            raise
        except (PapergenError, OSError, TypeError) as error:
            failure = Failure(rank=0, cause=f"the trial's records are not whole: {error}")
        else:
            view.finished(trial, ended.duration_s, _headline(result, recipe))
            return None
    kept = store.fail(trial, failure)
    log = kept.rank_log(failure.rank or 0)
    shown_failure = Failure(
        rank=failure.rank,
        cause=failure.cause,
        traceback=failure.traceback,
        log=store.shown(log) if log.exists() else "",
    )
    view.failed(trial, shown_failure)
    return shown_failure


def _headline(result: Result, recipe: Recipe) -> str:
    """The first three declared metrics that the trial reported."""
    metrics = result.outcome.metrics
    found = {metric.name: metrics.get(metric.name) for metric in recipe.metrics}
    numbers = [f"{name} {value:.4g}" for name, value in found.items() if value is not None]
    return "  ".join(numbers[:3])


def _show(view: View, trial: Trial, event: Event) -> None:
    if event.kind == "progress":
        view.progress(trial, event.data)
    elif event.kind == "note":
        view.note(f"{trial.label}: {event.data['text']}")
