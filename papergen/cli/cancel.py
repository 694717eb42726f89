"""`papergen cancel`."""

from __future__ import annotations

import click


@click.command("cancel")
@click.argument("names", nargs=-1, metavar="[EXPERIMENT]...")
@click.option("--only", multiple=True, metavar="ROW", help="Cancel only these rows (experiment/row or row); repeatable")
@click.option("--old", "is_old", is_flag=True, help="Cancel only trials that the plan has no more")
@click.option("--dry-run", is_flag=True, help="Say what would be cancelled")
def cancel(names: tuple[str, ...], only: tuple[str, ...], is_old: bool, dry_run: bool) -> None:
    """Cancel the trials that wait or run on SLURM

    All of this project's, whichever run-exp has submitted them, or those named. Their checkpoints are kept: the next
    run-exp goes on from there. (A run-exp that you can reach is stopped by Ctrl-C, and cancels its own.)

    \b
    papergen cancel
    papergen cancel training --only large
    papergen cancel --old
    """
    from papergen.core.errors import PapergenError
    from papergen.execution.launchers.slurm.files import cancel_tasks, tasks_to_cancel
    from papergen.experiment.project import open_project

    if is_old and (names or only):
        raise PapergenError("--old is for trials that the plan has no more, which no experiment or row names.")
    project = open_project()
    planned = {trial.digest for trial in project.trials}
    chosen = {trial.digest for trial in project.select(names, only)}
    tasks = tasks_to_cancel(
        project.root, planned=planned, chosen=set() if is_old else chosen, with_old=is_old or not (names or only)
    )
    if not tasks:
        click.echo("Nothing to cancel: no such trial waits or runs on SLURM.")
    for task in tasks:
        click.echo(f"{'would be ' if dry_run else ''}cancelled  {task.trial.label}: was {task.state}, {task.shown}")
    if tasks and not dry_run and (left := cancel_tasks(project.store, tasks)):
        click.echo(f"SLURM is still ending {', '.join(sorted(left))}.", err=True)
