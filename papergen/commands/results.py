"""`papergen results`."""

from __future__ import annotations

import click


@click.group("results")
def results() -> None:
    """Keep the folder of results tidy

    \b
    papergen results clean --dry-run      what would be removed
    """


@results.command("clean")
@click.option("--all", "is_all", is_flag=True, help="Remove failures, damaged results and all scratch as well")
@click.option("--dry-run", is_flag=True, help="Print what would be removed and remove nothing")
def clean(is_all: bool, dry_run: bool) -> None:
    """Remove what attempts have left behind

    That is: stopped attempts, and the scratch (checkpoints to go on from) and failures of trials that the plan has no
    more. Scratch that a trial of the plan can still go on from stays, unless --all is given. Results are never touched.

    \b
    papergen results clean --dry-run
    papergen results clean --all
    """
    from papergen.project import open_project
    from papergen.upkeep import leftovers, remove

    project = open_project()
    store = project.store
    total = 0
    if not store.root.is_dir():
        click.echo("There are no results yet.", err=True)
        return
    with store.held():
        for item in leftovers(store, project.trials):
            is_kept = not is_all and (item.is_wanted or item.kind == "damaged")
            verb = "keep" if is_kept else "would remove" if dry_run else "removed"
            if not is_kept:
                total += item.num_bytes
                if not dry_run:
                    remove(item)
            click.echo(f"{verb:<12}  {item.num_bytes / 2**20:8.1f} MiB  {store.shown(item.folder)}")
    click.echo(f"{total / 2**20:.1f} MiB {'would be freed' if dry_run else 'freed'}", err=True)
