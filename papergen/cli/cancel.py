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
    import contextlib

    from papergen.core.errors import PapergenError
    from papergen.execution.launchers.slurm.files import cancel as cancel_tasks
    from papergen.execution.launchers.slurm.files import submitted_tasks, tidy, wait_until_gone
    from papergen.experiment.project import open_project

    project = open_project()
    if is_old and (names or only):
        raise PapergenError("--old is for trials that the plan has no more, which no experiment or row names.")
    chosen = {trial.digest for trial in project.select(names, only)}
    planned = {trial.digest for trial in project.trials}
    tasks = [
        task
        for task in submitted_tasks(project.root)
        if task.state != "ended"
        and (task.trial.digest in chosen or (task.trial.digest not in planned and not names and not only))
        and not (is_old and task.trial.digest in planned)
    ]
    if not tasks:
        click.echo("Nothing to cancel: no such trial waits or runs on SLURM.")
        return
    for task in tasks:
        click.echo(f"{'would be ' if dry_run else ''}cancelled  {task.trial.label}: was {task.state}, {task.shown}")
    if dry_run:
        return
    ids = {task.task_id: task.files for task in tasks}
    cancel_tasks(ids)
    left = wait_until_gone(ids)
    if left:
        click.echo(f"SLURM is still ending {', '.join(sorted(left))}.", err=True)
    with contextlib.suppress(PapergenError), project.store.held():  # else the run-exp at work tidies up
        tidy(project.root, ids)
