"""`papergen rerun`."""

from __future__ import annotations

import click


@click.command("rerun")
@click.argument("key")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-5,
    show_default=True,
    help="Largest relative difference that still counts as the same",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per trial")
def rerun(key: str, tolerance: float, device: str, as_json: bool) -> int:
    """Run finished trials again and say whether the same comes out

    KEY is experiment/row (all its seeds), experiment/row/metric, or the beginning of a digest. The results stay as they
    are. Times and memory are shown but not compared. Exit code 1 when something differs.

    \b
    papergen rerun decoding/nucleus
    """
    import json
    import sys

    from papergen.execution.devices import num_cores
    from papergen.execution.launcher import Setup
    from papergen.execution.launchers.choose import choose_launcher
    from papergen.execution.launchers.settings import read_settings
    from papergen.execution.progress import view_for
    from papergen.execution.session import Machine
    from papergen.experiment.project import open_project
    from papergen.paper.rerun import describe, trials_named
    from papergen.paper.rerun import rerun as run_again

    project = open_project()
    trials = trials_named(project, project.states(), key)
    settings = read_settings(project.root)
    launcher_class, _ = choose_launcher(settings.launcher)
    device, _ = launcher_class.device(device, settings)
    machine = Machine(
        device=device,
        num_cores=num_cores(),
        command=["papergen", *sys.argv[1:]],
        launcher_name=launcher_class.name,
    )
    setup = Setup(project=project.root, max_trials=1, settings=settings, device=device)
    with project.store.held(), view_for(len(trials)) as view, launcher_class.from_setup(setup) as launcher:
        found = run_again(project, trials, launcher, machine, view, tolerance=tolerance)
    for item in found:
        click.echo(json.dumps(item.to_json(), ensure_ascii=False) if as_json else describe(item, tolerance))
    return 1 if any(item.verdict == "different" for item in found) else 0
