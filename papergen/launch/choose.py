"""Which launcher runs the trials: the one asked for, or the fittest, with the reason."""

from __future__ import annotations

from collections.abc import Mapping

from papergen.errors import MachineError, PapergenError, did_you_mean
from papergen.launch.hosted import SpawnLauncher, TorchrunLauncher
from papergen.launch.local import LocalLauncher
from papergen.launch.supervisor import Supervisor

LAUNCHERS: Mapping[str, type[Supervisor]] = {
    launcher.name: launcher for launcher in (LocalLauncher, SpawnLauncher, TorchrunLauncher)
}
"""All launchers by name. Each is made with `max_trials`, `num_slots`, `gpus` and `limits`."""


def choose_launcher(requested: str = "auto") -> tuple[type[Supervisor], str]:
    """The launcher of that name, or for "auto" the fittest one, and why; MachineError when it cannot work here."""
    if requested == "auto":
        best = max(LAUNCHERS.values(), key=lambda launcher: launcher.fitness().score)
        if best.fitness().score == 0:
            raise MachineError(f"no launcher works on this machine: {best.fitness().reason}.")
        return best, best.fitness().reason
    if requested not in LAUNCHERS:
        raise PapergenError(f"--launcher {requested}: there is no such launcher. {did_you_mean(requested, LAUNCHERS)}")
    launcher = LAUNCHERS[requested]
    if launcher.fitness().score == 0:
        raise MachineError(f"--launcher {requested}: {launcher.fitness().reason}.", hint="Use --launcher auto.")
    return launcher, "asked for"
