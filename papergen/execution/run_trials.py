"""Run planned trials through a launcher, upstream first; each is published when whole, a failed one kept apart."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from papergen.core.errors import MachineError, PapergenError
from papergen.core.files import write_compressed
from papergen.core.secrets import redacted, scrub
from papergen.execution.launcher import Ended, Event, Job, Launcher
from papergen.execution.progress import ProgressView
from papergen.execution.provenance import git_state, provenance_of
from papergen.execution.scheduler import RETRIED, TrialQueue
from papergen.execution.settings import RunSettings
from papergen.execution.summary import Summary
from papergen.execution.worker.exceptions import kind_of
from papergen.experiment.code_guard import CodeGuard, refusal
from papergen.experiment.kind import Kind
from papergen.store.failures import Failure, FailureKind
from papergen.store.records import Result, Trial
from papergen.store.runs import Store


def run_trials(
    store: Store,
    to_run: Sequence[Trial],
    *,
    all_trials: Sequence[Trial],
    kinds: Mapping[str, Kind],
    launcher: Launcher,
    settings: RunSettings,
    view: ProgressView,
    upstream: Store | None = None,
) -> Summary:
    """Run `to_run` (in plan order, upstream first) and publish what finishes.

    What trials take from others lies in the store `upstream` when it is not the same. One trial runs at a time unless
    the launcher has slots for more; a trial whose upstream failed is skipped by name.
    """
    by_digest = {trial.digest: trial for trial in all_trials}
    queue = TrialQueue(list({trial.digest: trial for trial in to_run}.values()))
    guard = CodeGuard(store.project, kinds, to_run)
    num_running = 0
    num_tries: Counter[str] = Counter()
    summary = Summary()
    while len(queue) or num_running:
        while (trial := queue.take(launcher.has_room)) is not None:
            if files := guard.changed(trial):
                view.started(trial)
                refused = Failure(kind=FailureKind.REFUSED, rank=None, cause=refusal(files))
                _give_up(trial, refused, queue, summary, view)
                continue
            num_running += 1
            num_tries[trial.digest] += 1
            is_held = launcher.holds(trial)
            job = _job(store, upstream or store, trial, by_digest, kinds[trial.kind], settings, is_held=is_held)
            launcher.submit(job)
            view.started(trial)
        for item in launcher.wait(timeout_s=None) if num_running else ():
            trial = item.job.trial
            if isinstance(item, Event):
                _show(view, trial, item)
                continue
            num_running -= 1
            failure = _settle(store, trial, item, kinds[trial.kind], settings.launcher, view)
            if failure is None:
                summary.finished.append(trial)
                queue.finished(trial)
            elif num_tries[trial.digest] <= settings.retries and failure.kind in RETRIED:
                view.retried(trial, failure, num_tries[trial.digest], settings.retries)
                queue.again(trial)
            else:
                _give_up(trial, failure, queue, summary, view)
                if settings.fail_fast:
                    summary.skipped += [(other, trial.label) for other in queue.drain()]
    return summary


def _give_up(trial: Trial, failure: Failure, queue: TrialQueue, summary: Summary, view: ProgressView) -> None:
    """The trial has failed for good, and what needs it will not be tried."""
    view.failed(trial, failure)
    summary.failed.append((trial, failure))
    summary.skipped += [(other, trial.label) for other in queue.give_up(trial)]


def _job(
    store: Store,
    sources: Store,
    trial: Trial,
    by_digest: Mapping[str, Trial],
    kind: Kind,
    settings: RunSettings,
    *,
    is_held: bool,
) -> Job:
    upstream = upstream_of(sources, trial, by_digest)
    run = store.attempt(trial) if is_held else store.begin(trial)
    return Job(
        trial=trial,
        folder=run.folder,
        scratch=store.scratch(trial),
        kind_file=kind.path,
        project=store.project,
        upstream=upstream,
        num_threads=settings.num_threads(trial.num_ranks),
        takes_all_gpus=kind.takes_all_gpus(trial.params),
        models=kind.models(trial.params, upstream, store.project),
        preload=kind.preload,
    )


def upstream_of(sources: Store, trial: Trial, by_digest: Mapping[str, Trial]) -> dict[str, Path]:
    """Parameter -> path of the artifact that the trial takes from another one; an error when it is not here."""
    upstream: dict[str, Path] = {}
    for parameter, digest in trial.upstream.items():
        source = by_digest[digest]
        path = sources.run(source).artifact(parameter)
        if not path.exists():
            raise PapergenError(
                f"{sources.shown(path)}: the {parameter} of {source.label} is not here (git leaves out large files).",
                hint=f"Make it again: papergen run-exp {source.experiment} --force",
            )
        upstream[parameter] = path
    return upstream


def _settle(store: Store, trial: Trial, ended: Ended, kind: Kind, launcher: str, view: ProgressView) -> Failure | None:
    """Publish a finished trial or keep a failed one; the failure, None when there was none."""
    scrub(ended.job.folder, trial.params)
    failure = ended.failure
    if failure is None:
        provenance = provenance_of(ended, command=["papergen", *sys.argv[1:]], launcher=launcher)
        causes = [redacted(cause, trial.params) for cause in provenance.failed_attempts]
        provenance = replace(provenance, failed_attempts=causes)
        try:
            if diff := git_state(ended.job.project).diff:
                write_compressed(ended.job.folder / "git.diff.gz", diff)
            result = store.publish(trial, provenance)
        except MachineError:
            raise
        except (PapergenError, OSError, TypeError) as error:
            cause = f"the trial's records are not whole: {error}"
            failure = Failure(kind=kind_of(error), rank=0, cause=cause)
        else:
            view.finished(trial, ended.duration_s, result, _headline(result, kind))
            return None
    failure = replace(
        failure,
        cause=redacted(failure.cause, trial.params),
        traceback=redacted(failure.traceback, trial.params),
        advice=None if failure.advice is None else redacted(failure.advice, trial.params),
        attempts=[redacted(cause, trial.params) for cause in failure.attempts],
    )
    kept = store.fail(trial, failure)
    log = kept.rank_log(failure.rank or 0)
    return replace(failure, log=store.shown(log) if log.exists() else "")


def _headline(result: Result, kind: Kind) -> str:
    """The first three declared metrics that the trial reported."""
    metrics = result.outcome.metrics
    found = {metric.name: metrics.get(metric.name) for metric in kind.metrics(result.trial.params)}
    numbers = [f"{name} {value:.4g}" for name, value in found.items() if value is not None]
    return "  ".join(numbers[:3])


def _show(view: ProgressView, trial: Trial, event: Event) -> None:
    if event.kind == "progress":
        view.progress(trial, event.data)
    elif event.kind == "log":
        view.logged(trial, event.data)
    elif event.kind == "note":
        view.note(f"{trial.label}: {event.data['text']}")
