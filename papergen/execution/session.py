"""One run-exp from its options to its summary: planned, launched, published; on a follower only followed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from papergen.core.errors import MachineError, PapergenError, counted
from papergen.core.secrets import missing_secrets
from papergen.execution.launchers.slurm.client import SlurmBusyError
from papergen.execution.launchers.slurm.files import SubmittedTask, submitted_tasks
from papergen.execution.multihost.run import Role, follow, open_nodes, role_of
from papergen.execution.progress import JsonView, ProgressView, view_for
from papergen.execution.run_plan import RunPlan, plan_run, seeds_of
from papergen.execution.run_trials import run_trials
from papergen.execution.settings import RunOptions
from papergen.execution.summary import Summary
from papergen.execution.supervision.supervisor import Supervisor
from papergen.experiment.project import Project, open_project
from papergen.store.maintenance import copy_renamed, recover
from papergen.store.records import Trial
from papergen.store.runs import Store

MAX_SHOWN = 5
"""Jobs told by number."""

Say = Callable[[str], None]
"""Tells a person one line."""


def prepare(options: RunOptions, say: Say) -> RunPlan:
    """Open the project, take in what is finished already, and plan; with `dry_run` nothing is taken over."""
    project = open_project(overrides=options.overrides, seeds=seeds_of(options.seeds), presets=options.presets)
    _recover(project.store, say)
    if not options.dry_run:
        _adopt(project, say)
    return plan_run(project, options)


def carry_out(plan: RunPlan, say: Say, events: TextIO) -> Summary | None:
    """Run what is to run; None on a machine that only followed. With `as_json` progress is written to `events`."""
    project, settings = plan.project, plan.settings
    say(f"device {settings.device}: {plan.device_reason}")
    _record_unavailable(plan, say)
    if not plan.to_run:
        if plan.availability.unavailable:
            say(f"{counted(len(plan.availability.unavailable), 'trial')} cannot run here.")
        say(f"Nothing to run: all {plan.num_finished} trials are finished. (--force runs them again.)")
        return Summary(num_finished_before=plan.num_finished)
    if missing := missing_secrets([trial.params for trial in plan.to_run]):
        raise PapergenError(
            f"{', '.join(missing)}: the experiments refer to this by ${{secret:...}}, and it is not set "
            "(or shorter than 4 characters).",
            hint=f"Type: export {missing[0]}=...",
        )
    say(plan.announcement())
    say(f"launcher {settings.launcher}: {plan.launcher_reason}")
    _look_for_submitted(project.root, plan.to_run, settings.launcher, say)
    summary = _launch(plan, say, events)
    _adopt(project, say)  # rows of the same parameters under two names are one trial
    return summary


def _launch(plan: RunPlan, say: Say, events: TextIO) -> Summary | None:
    if plan.rendezvous is None:
        return _run(plan, say, events)
    assert issubclass(plan.launcher_class, Supervisor), "only a supervisor spans hosts"
    role = role_of(plan.rendezvous)
    if role.is_first:
        return _run(plan, say, events, role=role)
    follow(
        plan.rendezvous,
        role,
        trials=plan.project.trials,
        kinds=plan.project.kinds,
        store=plan.project.store,
        starter_class=plan.launcher_class.starter_class,
        say=say,
    )
    return None


def _run(plan: RunPlan, say: Say, events: TextIO, *, role: Role | None = None) -> Summary:
    project, rendezvous = plan.project, plan.rendezvous
    with project.store.held():
        nodes = None
        if rendezvous is not None and role is not None:
            nodes = open_nodes(rendezvous, role, project.trials, say)
        with plan.launcher_class.from_settings(project.root, plan.settings, nodes=nodes) as launcher:
            if rendezvous is not None and isinstance(launcher, Supervisor):
                launcher.gather(rendezvous.timeout_s)
            num_trials = len(plan.to_run)
            view_of: ProgressView = JsonView(num_trials, events) if plan.options.as_json else view_for(num_trials)
            with view_of as view:
                summary = run_trials(
                    project.store,
                    plan.to_run,
                    all_trials=project.trials,
                    kinds=project.kinds,
                    launcher=launcher,
                    settings=plan.settings,
                    view=view,
                )
    summary.num_finished_before = plan.num_finished
    return summary


def _recover(store: Store, say: Say) -> None:
    """Take in what a killed run-exp had finished; not while another one is at work, which would do it itself."""
    if not (store.root / ".running").is_dir():
        return
    with contextlib.suppress(PapergenError), store.held():
        for trial in recover(store):
            say(f"{trial.label}: was finished when papergen was stopped; taken in")


def _adopt(project: Project, say: Say) -> None:
    """Results of trials that stand under another name: the same digest is never run again."""
    if not project.store.root.is_dir():
        return
    with contextlib.suppress(PapergenError), project.store.held():
        for trial, label in copy_renamed(project.store, project.trials):
            say(f"{trial.label}: the same trial as {label}, which is finished; not run again")


def _record_unavailable(plan: RunPlan, say: Say) -> None:
    """Say and store which trials cannot run on this device, so that the paper prints n/a and the reason."""
    store, settings = plan.project.store, plan.settings
    for trial, reason in plan.availability.unavailable:
        say(f"n/a     {trial.label}: {reason}")
        with store.held():
            store.set_unavailable(trial, reason, device=settings.device, hostname=plan.launcher_class.place(settings))
    for trial, needed in plan.availability.orphaned:
        say(f"skipped {trial.label}: {needed.label} cannot run here")


def _look_for_submitted(root: Path, to_run: Sequence[Trial], launcher: str, say: Say) -> None:
    """What an earlier run-exp left on the cluster: what this one wants of it is its own, the rest is told of."""
    try:
        submitted = submitted_tasks(root)
    except SlurmBusyError as error:
        raise MachineError(
            f"{error.message}, and an earlier run-exp has submitted trials of this project to it.",
            hint="Try again when SLURM answers; or, when those jobs are surely over, remove results/.cluster.",
        ) from error
    if launcher != "slurm" and submitted:
        raise PapergenError(
            f"SLURM job {_brief(submitted)} of an earlier run-exp has trials of this project.",
            hint="Type `papergen run-exp --launcher slurm` to take them over, or `papergen cancel` to end them.",
        )
    wanted = {trial.digest for trial in to_run}
    if others := [task for task in submitted if task.trial.digest not in wanted and task.state != "ended"]:
        say(
            f"left alone: SLURM job {_brief(others)} of an earlier run-exp, which this one does not want "
            "(`papergen status` lists them, `papergen cancel` ends them)"
        )


def _brief(tasks: Sequence[SubmittedTask]) -> str:
    return ", ".join(task.task_id for task in tasks[:MAX_SHOWN]) + (", ..." if len(tasks) > MAX_SHOWN else "")
