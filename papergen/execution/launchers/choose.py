"""Which launcher runs the trials: the one asked for, or the fittest, with the reason."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from papergen.core.errors import MachineError, PapergenError, did_you_mean
from papergen.execution.launcher import Launcher

SHIPPED = {
    "local": "papergen.execution.launchers.local:LocalLauncher",
    "spawn": "papergen.execution.launchers.torchrun:SpawnLauncher",
    "torchrun": "papergen.execution.launchers.torchrun:TorchrunLauncher",
    "slurm": "papergen.execution.launchers.slurm.launcher:SlurmLauncher",
}
GROUP = "papergen.launchers"
"""The entry points under which other packages bring launchers: name = "module:Class"."""


def launchers() -> dict[str, EntryPoint]:
    """Every launcher by name, shipped or installed, none of them imported. The same name twice is an error."""
    found = {name: EntryPoint(name, value, GROUP) for name, value in SHIPPED.items()}
    for point in entry_points(group=GROUP):
        if point.name in found and found[point.name].value != point.value:
            raise PapergenError(
                f"there are two launchers named {point.name}: {found[point.name].value} and {point.value}"
                f"{f' (of {point.dist.name})' if point.dist else ''}.",
                hint="Uninstall one of the two packages.",
            )
        found[point.name] = point
    return found


def load_launcher(name: str) -> type[Launcher]:
    """The launcher of that name; an error when it cannot be imported or is none."""
    point = launchers()[name]
    try:
        loaded = point.load()
    except Exception as error:
        raise PapergenError(f"the launcher {name} ({point.value}) cannot be loaded: {error}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Launcher)):
        raise PapergenError(f"the launcher {name} ({point.value}) is no papergen.execution.launcher.Launcher.")
    return loaded


def choose_launcher(
    requested: str = "auto", *, num_nodes: int = 1, max_restarts: int = 0
) -> tuple[type[Launcher], str]:
    """The launcher of that name, or for "auto" the fittest one, and why; MachineError when it cannot work here."""
    known = launchers()
    if requested == "auto":
        loaded = [load_launcher(name) for name in known]
        able = [
            launcher
            for launcher in loaded
            if (num_nodes == 1 or launcher.spans_hosts) and (not max_restarts or launcher.restarts_ranks)
        ]
        best = max(able, key=lambda launcher: launcher.fitness().score)
        fitness = best.fitness()
        if fitness.score == 0:
            raise MachineError(f"no launcher works on this machine: {fitness.reason}.")
        if num_nodes > 1:
            return best, f"--nnodes {num_nodes}"
        return best, f"--max-restarts {max_restarts}" if max_restarts else fitness.reason
    if requested not in known:
        raise PapergenError(f"--launcher {requested}: there is no such launcher. {did_you_mean(requested, known)}")
    launcher = load_launcher(requested)
    if num_nodes > 1 and not launcher.spans_hosts:
        raise PapergenError(
            f"--nnodes {num_nodes}: the launcher {requested} does not join machines itself.",
            hint="Use --launcher torchrun." if requested != "slurm" else "Use --launch ranks_per_node=N with slurm.",
        )
    if max_restarts and not launcher.restarts_ranks:
        raise PapergenError(
            f"--max-restarts {max_restarts}: the launcher {requested} does not start ranks again by itself.",
            hint="Use --launcher torchrun, or --retries, which tries the whole trial again from its last checkpoint.",
        )
    if launcher.fitness().score == 0:
        raise MachineError(f"--launcher {requested}: {launcher.fitness().reason}.", hint="Use --launcher auto.")
    return launcher, "asked for"
