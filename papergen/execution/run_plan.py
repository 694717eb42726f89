"""What a run-exp is to run and on what, and how that is told. Nothing is started here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from papergen.core.errors import PapergenError, counted
from papergen.core.widths import ljust, width_of
from papergen.execution.devices import num_cores
from papergen.execution.launcher import Launcher
from papergen.execution.launchers.choose import choose_launcher
from papergen.execution.multihost.network import Endpoint
from papergen.execution.multihost.run import Rendezvous
from papergen.execution.settings import RunOptions, RunSettings, Timeouts, read_settings
from papergen.experiment.availability import Availability, availability_of
from papergen.experiment.plan import with_upstream
from papergen.experiment.project import Project
from papergen.experiment.states import TrialState
from papergen.store.records import Trial


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """The trials that are asked for, which of them are to run, and what runs them."""

    project: Project
    options: RunOptions
    settings: RunSettings
    launcher_class: type[Launcher]
    launcher_reason: str
    device_reason: str
    rendezvous: Rendezvous | None
    """Where the machines of a run meet; None for one machine."""
    needed: Sequence[Trial]
    """The trials that are asked for and all that they need, in plan order."""
    states: Mapping[str, TrialState]
    """By digest."""
    num_finished: int
    """Trials of `needed` that have their results already."""
    availability: Availability

    @property
    def to_run(self) -> Sequence[Trial]:
        """The trials that will be run."""
        return self.availability.runnable

    def lines(self) -> list[str]:
        """One line for each trial, and the count."""
        wanted = {trial.digest for trial in self.to_run}
        unavailable = {trial.digest: reason for trial, reason in self.availability.unavailable}
        width = max((width_of(trial.label) for trial in self.needed), default=0)
        lines = []
        for trial in self.needed:
            planned = self.states[trial.digest]
            verb = "run " if trial.digest in wanted else "n/a " if trial.digest in unavailable else "skip"
            why = unavailable.get(trial.digest, planned.reason)
            reason = f" ({why})" if why else ""
            ranks = f"{trial.num_ranks} rank{'s' if trial.num_ranks > 1 else ''}"
            lines.append(f"{verb}  {ljust(trial.label, width)}  {trial.digest[:12]}  {ranks}  {planned.state}{reason}")
        return [*lines, f"{len(self.to_run)} of {counted(len(self.needed), 'trial')} would be run."]

    def to_json(self) -> list[dict[str, Any]]:
        """One event for each trial."""
        wanted = {trial.digest for trial in self.to_run}
        return [
            {
                "event": "planned",
                "trial": trial.label,
                "digest": trial.digest,
                "state": self.states[trial.digest].state,
                "reason": self.states[trial.digest].reason,
                "is_run": trial.digest in wanted,
            }
            for trial in self.needed
        ]

    def announcement(self) -> str:
        """How many trials will be run, and why they are not finished."""
        counts = Counter[str](self.states[trial.digest].state for trial in self.to_run)
        words = {
            "pending": "new",
            "stale": "stale",
            "failed": "failed before",
            "unavailable": "n/a elsewhere",
            "finished": "again (--force)",
        }
        parts = ", ".join(f"{counts[state]} {word}" for state, word in words.items() if counts[state])
        skipped = f"; {self.num_finished} finished already" if self.num_finished else ""
        return f"{counted(len(self.to_run), 'trial')} to run ({parts}){skipped}"


def plan_run(project: Project, options: RunOptions) -> RunPlan:
    """The launcher and device that are asked for, or the fittest; the trials that are not finished and can run there.

    MachineError when launcher or device cannot be had.
    """
    states = {planned.trial.digest: planned for planned in project.states()}
    selected = project.select(options.names, options.only)
    forced = {trial.digest for trial in selected} if options.force else set()
    needed = with_upstream(selected, project.trials)
    unfinished = [trial for trial in needed if trial.digest in forced or states[trial.digest].state != "finished"]
    launch = read_settings(project.root, options.launch)
    rendezvous = _rendezvous(options)
    if options.max_restarts and options.num_nodes > 1:
        raise PapergenError(
            f"--max-restarts {options.max_restarts} restarts the ranks of one machine, not of "
            f"--nnodes {options.num_nodes}.",
            hint="Use --retries, which tries the whole trial again from its last checkpoint.",
        )
    launcher_class, launcher_reason = choose_launcher(
        options.launcher or launch.launcher, num_nodes=options.num_nodes, max_restarts=options.max_restarts
    )
    device, device_reason = launcher_class.device(options.device, launch)
    jobs = options.jobs or launch.jobs
    settings = RunSettings.over(
        launch,
        launcher=launcher_class.name,
        jobs=jobs,
        device=device,
        num_cores=max(1, num_cores() // (jobs or 1)),
        num_nodes=options.num_nodes,
        retries=options.retries,
        max_restarts=options.max_restarts,
        fail_fast=options.fail_fast,
        time_limit_s=options.time_limit_s,
        memory_limit_gib=options.memory_limit_gib,
        timeouts=Timeouts(hang_s=options.hang_timeout_s),
    )
    num_gpus = launcher_class.num_gpus(device, launch) * options.num_nodes
    return RunPlan(
        project=project,
        options=options,
        settings=settings,
        launcher_class=launcher_class,
        launcher_reason=launcher_reason,
        device_reason=device_reason,
        rendezvous=rendezvous,
        needed=needed,
        states=states,
        num_finished=len(needed) - len(unfinished),
        availability=availability_of(unfinished, project.kinds, device=device, num_gpus=num_gpus),
    )


def seeds_of(text: str | None) -> list[int] | None:
    """The seeds of `--seeds 0,1,2`; None where the option is not given."""
    if text is None:
        return None
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise PapergenError(f"--seeds {text}: write whole numbers with commas, for example --seeds 0,1,2.")
    seeds = [int(word) for word in text.split(",")]
    if len(set(seeds)) != len(seeds):
        raise PapergenError(f"--seeds {text}: a seed stands twice; it would be counted twice.")
    return seeds


def _rendezvous(options: RunOptions) -> Rendezvous | None:
    if options.num_nodes == 1:
        if options.rdzv_endpoint or options.node_rank is not None:
            raise PapergenError("--rdzv-endpoint and --node-rank are for several machines: add --nnodes 2 (or more).")
        return None
    if options.rdzv_endpoint is None:
        raise PapergenError(
            f"--nnodes {options.num_nodes}: the machines need a place to meet.",
            hint="Add --rdzv-endpoint HOST:PORT, an address of node 0 and a free port there, on every machine.",
        )
    return Rendezvous(
        num_nodes=options.num_nodes,
        endpoint=Endpoint.parse(options.rdzv_endpoint),
        node=options.node_rank,
        timeout_s=options.join_timeout_s,
    )
