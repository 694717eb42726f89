"""Where and how a run-exp's trials are run: the launcher chosen, the machines joined, the trials handed over."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from papergen.core.errors import MachineError, PapergenError
from papergen.execution.devices import num_cores
from papergen.execution.launcher import Launcher, Limits, Setup
from papergen.execution.launchers.choose import choose_launcher
from papergen.execution.launchers.settings import LaunchSettings, read_settings
from papergen.execution.launchers.slurm.client import SlurmBusyError
from papergen.execution.launchers.slurm.files import SubmittedTask, submitted_tasks
from papergen.execution.multihost.network import Endpoint
from papergen.execution.multihost.run import Rendezvous, Role, follow, open_nodes, role_of
from papergen.execution.progress import JsonView, View, view_for
from papergen.execution.session import Machine, Summary, run_trials
from papergen.execution.supervision.supervisor import Supervisor
from papergen.experiment.project import Project
from papergen.store.records import Trial

MAX_SHOWN = 5
"""Jobs told by number."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """The command line of run-exp, parsed."""

    names: tuple[str, ...]
    only: tuple[str, ...]
    seeds: str | None
    presets: tuple[str, ...]
    overrides: tuple[str, ...]
    device: str
    launcher: str | None
    launch: tuple[str, ...]
    num_nodes: int
    rdzv_endpoint: str | None
    node_rank: int | None
    join_timeout_s: float
    force: bool
    jobs: int | None
    fail_fast: bool
    retries: int
    max_restarts: int
    time_limit_s: float | None
    hang_timeout_s: float
    memory_limit_gib: float | None
    as_json: bool
    dry_run: bool


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What runs the trials, on what."""

    settings: LaunchSettings
    rendezvous: Rendezvous | None
    launcher_class: type[Launcher]
    launcher_reason: str
    device: str
    device_reason: str
    num_gpus: int
    """GPUs that one trial may have."""
    place: str
    """The machine, or kind of machine, that has them."""


def choose(root: Path, request: Request) -> Chosen:
    """The launcher that was asked for, or the fittest, and the device; MachineError when they cannot be had."""
    settings = read_settings(root, request.launch)
    rendezvous = _rendezvous(request)
    num_nodes = 1 if rendezvous is None else rendezvous.num_nodes
    if request.max_restarts and num_nodes > 1:
        raise PapergenError(
            f"--max-restarts {request.max_restarts} restarts the ranks of one machine, not of --nnodes {num_nodes}.",
            hint="Use --retries, which tries the whole trial again from its last checkpoint.",
        )
    launcher_class, launcher_reason = choose_launcher(
        request.launcher or settings.launcher, num_nodes=num_nodes, max_restarts=request.max_restarts
    )
    device, device_reason = launcher_class.device(request.device, settings)
    return Chosen(
        settings=settings,
        rendezvous=rendezvous,
        launcher_class=launcher_class,
        launcher_reason=launcher_reason,
        device=device,
        device_reason=device_reason,
        num_gpus=launcher_class.num_gpus(device, settings) * num_nodes,
        place=launcher_class.place(settings),
    )


def launch(project: Project, to_run: Sequence[Trial], request: Request, chosen: Chosen) -> Summary | None:
    """Run the trials; None on a machine that only followed."""
    _say(f"launcher {chosen.launcher_class.name}: {chosen.launcher_reason}")
    setup = Setup(
        project=project.root,
        max_trials=request.jobs or chosen.settings.jobs,
        settings=chosen.settings,
        device=chosen.device,
        limits=Limits(hang_s=request.hang_timeout_s),
        max_restarts=request.max_restarts,
    )
    _look_for_submitted(project.root, to_run, chosen.launcher_class.name)
    if chosen.rendezvous is None:
        return _run(project, to_run, request, chosen, setup)
    assert issubclass(chosen.launcher_class, Supervisor), "only a supervisor spans hosts"
    role = role_of(chosen.rendezvous)
    if role.is_first:
        return _run(project, to_run, request, chosen, setup, role=role)
    follow(
        chosen.rendezvous,
        role,
        trials=project.trials,
        kinds=project.kinds,
        store=project.store,
        starter_class=chosen.launcher_class.starter_class,
        say=_say,
    )
    return None


def _look_for_submitted(root: Path, to_run: Sequence[Trial], launcher: str) -> None:
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
        _say(
            f"left alone: SLURM job {_brief(others)} of an earlier run-exp, which this one does not want "
            "(`papergen status` lists them, `papergen cancel` ends them)"
        )


def _brief(tasks: Sequence[SubmittedTask]) -> str:
    return ", ".join(task.task_id for task in tasks[:MAX_SHOWN]) + (", ..." if len(tasks) > MAX_SHOWN else "")


def _run(
    project: Project,
    to_run: Sequence[Trial],
    request: Request,
    chosen: Chosen,
    setup: Setup,
    *,
    role: Role | None = None,
) -> Summary:
    rendezvous = chosen.rendezvous
    machine = Machine(
        device=setup.device,
        num_cores=max(1, num_cores() // (setup.max_trials or 1)),
        command=["papergen", *sys.argv[1:]],
        launcher_name=chosen.launcher_class.name,
        num_nodes=1 if rendezvous is None else rendezvous.num_nodes,
        retries=request.retries,
        time_limit_s=request.time_limit_s,
        memory_limit_gib=request.memory_limit_gib,
        fail_fast=request.fail_fast,
    )
    with project.store.held():
        if rendezvous is not None and role is not None:
            setup = replace(setup, nodes=open_nodes(rendezvous, role, project.trials, _say))
        with chosen.launcher_class.from_setup(setup) as launcher:
            if rendezvous is not None and isinstance(launcher, Supervisor):
                launcher.gather(rendezvous.timeout_s)
            view_of: View = JsonView(len(to_run), sys.stdout) if request.as_json else view_for(len(to_run))
            with view_of as view:
                return run_trials(
                    project.store,
                    to_run,
                    all_trials=project.trials,
                    kinds=project.kinds,
                    launcher=launcher,
                    machine=machine,
                    view=view,
                )


def _rendezvous(request: Request) -> Rendezvous | None:
    if request.num_nodes == 1:
        if request.rdzv_endpoint or request.node_rank is not None:
            raise PapergenError("--rdzv-endpoint and --node-rank are for several machines: add --nnodes 2 (or more).")
        return None
    if request.rdzv_endpoint is None:
        raise PapergenError(
            f"--nnodes {request.num_nodes}: the machines need a place to meet.",
            hint="Add --rdzv-endpoint HOST:PORT, an address of node 0 and a free port there, on every machine.",
        )
    return Rendezvous(
        num_nodes=request.num_nodes,
        endpoint=Endpoint.parse(request.rdzv_endpoint),
        node=request.node_rank,
        timeout_s=request.join_timeout_s,
    )


def _say(text: str) -> None:
    click.echo(text, err=True)
