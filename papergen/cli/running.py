"""What `papergen run-exp` does: plan, say what will run, run it, say what came out."""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Sequence

import click

from papergen.cli.launching import Chosen, Request, choose, launch
from papergen.core.errors import MachineError, PapergenError, ResultError, counted
from papergen.core.secrets import missing_secrets
from papergen.core.widths import left, width_of
from papergen.execution.session import Summary
from papergen.experiment.availability import Divided, divided
from papergen.experiment.plan import Planned, with_upstream
from papergen.experiment.project import Project, open_project
from papergen.store.failures import FailureKind
from papergen.store.maintenance import adopt, recover
from papergen.store.records import Trial
from papergen.store.runs import Store

MAX_SHOWN = 5
"""Failures told in full at the end."""
MAX_SKIPPED = 20


def run(request: Request) -> int:
    """Carry out the request; the exit code is 3 when the machine made a trial fail, 1 for another reason."""
    project = open_project(overrides=request.overrides, seeds=_seeds(request.seeds), presets=request.presets)
    _recover(project.store)
    if not request.dry_run:
        _adopt(project)
    states = {planned.trial.digest: planned for planned in project.states()}
    selected = project.select(request.names, request.only)
    forced = {trial.digest for trial in selected} if request.force else set()
    needed = with_upstream(selected, project.trials)
    to_run = [trial for trial in needed if trial.digest in forced or states[trial.digest].state != "finished"]
    chosen = choose(project.root, request)
    cached = len(needed) - len(to_run)
    here = divided(to_run, project.kinds, device=chosen.device, num_gpus=chosen.num_gpus)
    to_run = list(here.runnable)
    if request.dry_run:
        why = {trial.digest: reason for trial, reason in here.unavailable}
        _print_plan(needed, states, to_run, why, as_json=request.as_json)
        return 0
    click.echo(f"device {chosen.device}: {chosen.device_reason}", err=True)
    _record_unavailable(project, here, chosen)
    if not to_run:
        if here.unavailable:
            click.echo(f"{counted(len(here.unavailable), 'trial')} cannot run here.", err=True)
        click.echo(f"Nothing to run: all {cached} trials are finished. (--force runs them again.)", err=True)
        if request.as_json:
            _tell_end(Summary(), cached)
        return 0
    if missing := missing_secrets([trial.params for trial in to_run]):
        raise PapergenError(
            f"{', '.join(missing)}: the experiments refer to this by ${{secret:...}}, and it is not set "
            "(or shorter than 4 characters).",
            hint=f"Type: export {missing[0]}=...",
        )
    click.echo(_announcement(to_run, states, cached), err=True)
    summary = launch(project, to_run, request, chosen)
    _adopt(project)  # rows of the same parameters under two names are one trial
    if summary is None:
        return 0
    return _conclude(project, summary, cached, request)


def _recover(store: Store) -> None:
    """Take in what a killed run-exp had finished; not while another one is at work, which would do it itself."""
    if not (store.root / ".running").is_dir():
        return
    with contextlib.suppress(PapergenError), store.held():
        for trial in recover(store):
            click.echo(f"{trial.label}: was finished when papergen was stopped; taken in", err=True)


def _adopt(project: Project) -> None:
    """Results of trials that stand under another name: the same digest is never run again."""
    if not project.store.root.is_dir():
        return
    with contextlib.suppress(PapergenError), project.store.held():
        for trial, label in adopt(project.store, project.trials):
            click.echo(f"{trial.label}: the same trial as {label}, which is finished; not run again", err=True)


def _record_unavailable(project: Project, here: Divided, chosen: Chosen) -> None:
    """Say and store which trials cannot run on this device, so that the paper prints n/a and the reason."""
    for trial, reason in here.unavailable:
        click.echo(f"n/a     {trial.label}: {reason}", err=True)
        with project.store.held():
            project.store.set_unavailable(trial, reason, device=chosen.device, hostname=chosen.place)
    for trial, needed in here.orphaned:
        click.echo(f"skipped {trial.label}: {needed.label} cannot run here", err=True)


def _announcement(to_run: Sequence[Trial], states: dict[str, Planned], cached: int) -> str:
    counts = Counter[str](states[trial.digest].state for trial in to_run)
    words = {
        "pending": "new",
        "stale": "stale",
        "failed": "failed before",
        "unavailable": "n/a elsewhere",
        "finished": "again (--force)",
    }
    parts = ", ".join(f"{counts[state]} {word}" for state, word in words.items() if counts[state])
    skipped = f"; {cached} finished already" if cached else ""
    return f"{counted(len(to_run), 'trial')} to run ({parts}){skipped}"


def _tell_end(summary: Summary, cached: int) -> None:
    counts = {name: len(getattr(summary, name)) for name in ("finished", "failed", "skipped")}
    click.echo(json.dumps({"event": "ended", **counts, "cached": cached}))


def _conclude(project: Project, summary: Summary, cached: int, request: Request) -> int:
    if request.as_json:
        _tell_end(summary, cached)
    else:
        counts = f"{counted(len(summary.finished), 'trial')} finished, {len(summary.failed)} failed"
        click.echo(f"{counts}, {cached} were finished before")
        click.echo(f"results: {project.store.root}")
    for trial, failure in summary.failed[:MAX_SHOWN]:
        click.echo(f"\nFAILED {trial.label}: {failure.cause}", err=True)
        click.echo("\n".join(_excerpt(failure.traceback)), err=True)
        if failure.log:
            click.echo(f"log: {failure.log}", err=True)
    if len(summary.failed) > MAX_SHOWN:
        click.echo(
            f"\n... and {len(summary.failed) - MAX_SHOWN} more failed: `papergen status --state failed`", err=True
        )
    for trial, cause in summary.skipped[:MAX_SKIPPED]:
        click.echo(f"skipped {trial.label}: {cause} failed", err=True)
    if len(summary.skipped) > MAX_SKIPPED:
        click.echo(f"... and {len(summary.skipped) - MAX_SKIPPED} more were skipped", err=True)
    if request.overrides or request.seeds or request.presets:
        click.echo(
            "These results were made with -o, --preset or --seeds. The paper uses the values in experiments/*.yaml: "
            "write them there to have these results in it.",
            err=True,
        )
    kinds = {failure.kind for _, failure in summary.failed}
    if FailureKind.DISK_FULL in kinds:
        click.echo("The disk is full: free some space and run the same command again.", err=True)
    if kinds & {FailureKind.DISK_FULL, FailureKind.MACHINE}:
        return MachineError.exit_code
    return ResultError.exit_code if summary.failed or summary.skipped else 0


def _excerpt(traceback: str) -> list[str]:
    """The end of a traceback; of an error that the user can mend only what to do about it."""
    lines = traceback.rstrip().splitlines()
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].startswith("papergen.core.errors."):
            return lines[index + 1 :]
    return lines[-12:]


def _print_plan(
    needed: Sequence[Trial],
    states: dict[str, Planned],
    to_run: Sequence[Trial],
    unavailable: dict[str, str],
    *,
    as_json: bool,
) -> None:
    wanted = {trial.digest for trial in to_run}
    if as_json:
        for trial in needed:
            planned = states[trial.digest]
            told = {"trial": trial.label, "digest": trial.digest, "state": planned.state, "reason": planned.reason}
            click.echo(json.dumps({"event": "planned", **told, "is_run": trial.digest in wanted}, ensure_ascii=False))
        return
    width = max((width_of(trial.label) for trial in needed), default=0)
    for trial in needed:
        planned = states[trial.digest]
        verb = "run " if trial.digest in wanted else "n/a " if trial.digest in unavailable else "skip"
        why = unavailable.get(trial.digest, planned.reason)
        reason = f" ({why})" if why else ""
        ranks = f"{trial.num_ranks} rank{'s' if trial.num_ranks > 1 else ''}"
        click.echo(f"{verb}  {left(trial.label, width)}  {trial.digest[:12]}  {ranks}  {planned.state}{reason}")
    click.echo(f"{len(to_run)} of {counted(len(needed), 'trial')} would be run.")


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise PapergenError(f"--seeds {text}: write whole numbers with commas, for example --seeds 0,1,2.")
    seeds = [int(word) for word in text.split(",")]
    if len(set(seeds)) != len(seeds):
        raise PapergenError(f"--seeds {text}: a seed stands twice; it would be counted twice.")
    return seeds
