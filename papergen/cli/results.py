"""`papergen results`."""

from __future__ import annotations

import click

ONLY = click.option("--only", multiple=True, metavar="NAME", help="Only this experiment or experiment/row; repeatable")


@click.group("results", invoke_without_command=True)
@ONLY
@click.option("--where", multiple=True, metavar="PARAMETER=VALUE", help="Only trials with this parameter; repeatable")
@click.option("--all", "is_all", is_flag=True, help="Show results of earlier parameters, code and data as well")
@click.option("--json", "form", flag_value="json", help="Print one JSON object per trial")
@click.option("--csv", "form", flag_value="csv", help="Print CSV, parameters and metrics in columns")
@click.option("--parquet", "parquet", type=click.Path(dir_okay=False), metavar="FILE", help="Write a Parquet file")
@click.pass_context
def results(
    ctx: click.Context,
    only: tuple[str, ...],
    where: tuple[str, ...],
    is_all: bool,
    form: str | None,
    parquet: str | None,
) -> None:
    """Show the results, and keep their folder tidy

    \b
    papergen results
    papergen results --only decoding --where do_sample=true --csv
    papergen results --all --json
    papergen results clean --dry-run
    """
    if ctx.invoked_subcommand is not None:
        return
    import json
    from pathlib import Path

    from papergen.experiment.project import open_project
    from papergen.store.index import Index
    from papergen.store.listing import filter_results, rows_of, to_csv, to_parquet

    project = open_project()
    current = {trial.digest for trial in project.trials}
    index = Index(project.store)
    entries = [entry for entry in filter_results(index.entries(), only, where) if is_all or entry.digest in current]
    rows = rows_of(entries, current)
    if parquet is not None:
        to_parquet(rows, Path(parquet))
        click.echo(parquet)
    elif form == "json":
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    elif form == "csv":
        click.echo(to_csv(rows), nl=False)
    else:
        for entry in entries:
            numbers = "  ".join(
                f"{name} {'NaN' if value is None else format(value, '.4g')}"
                for name, value in list((entry.metrics or {}).items())[:4]
            )
            old = "" if entry.digest in current else "  (old)"
            click.echo(f"{entry.digest[:12]}  {entry.label}{old}  {numbers}")
    for fault in index.faults.values():
        click.echo(f"not a result: {fault}", err=True)


@results.command("rm")
@click.argument("keys", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", is_flag=True, help="Do not ask")
def rm(keys: tuple[str, ...], yes: bool) -> None:
    """Delete results

    NAME is a digest (its first 6 or more digits), experiment/row, experiment, or `old`: every result that the plan has
    no more.

    \b
    papergen results rm old
    papergen results rm decoding/nucleus --yes
    """
    import sys

    from papergen.core.errors import PapergenError, counted
    from papergen.experiment.project import open_project
    from papergen.store.index import Index
    from papergen.store.maintenance import delete_results, find_results

    project = open_project()
    with project.store.held():
        found = find_results(list(Index(project.store).entries()), keys, {trial.digest for trial in project.trials})
        for entry in found:
            click.echo(f"{entry.digest[:12]}  {entry.label}", err=True)
        if not found:
            click.echo("There is nothing to delete.", err=True)
            return
        if not yes:
            if not sys.stdin.isatty():
                raise PapergenError("papergen results rm: nobody is here to ask.", hint="Add --yes to delete these.")
            click.confirm(f"Delete {counted(len(found), 'result')} for good?", abort=True, err=True)
        delete_results(project.store, found)
    click.echo(f"{counted(len(found), 'result')} deleted")


@results.command("archive")
@click.argument("file", type=click.Path(dir_okay=False))
@ONLY
@click.option("--all", "is_all", is_flag=True, help="Pack results of earlier parameters, code and data as well")
def archive(file: str, only: tuple[str, ...], is_all: bool) -> None:
    """Pack results into a .tar.gz to keep or to send

    The same results give the same bytes; `papergen results import` takes them in.

    \b
    papergen results archive results.tar.gz
    """
    from pathlib import Path

    from papergen.experiment.project import open_project
    from papergen.store.archive import write_archive
    from papergen.store.index import Index
    from papergen.store.listing import filter_results

    project = open_project()
    current = {trial.digest for trial in project.trials}
    entries = [
        entry for entry in filter_results(Index(project.store).entries(), only, ()) if is_all or entry.digest in current
    ]
    count = write_archive(project.store, [entry.path for entry in entries], Path(file))
    click.echo(f"{count} results", err=True)
    click.echo(file)


@results.command("import")
@click.argument("source", type=click.Path())
def take_in(source: str) -> int:
    """Take in results from another machine

    SOURCE is a project, its results folder, the folder of one trial, or an archive. Every file is checked against the
    hashes in its result.json; what is here already is kept.

    \b
    papergen results import ../other-machine/my-paper
    papergen results import results.tar.gz
    """
    from pathlib import Path

    from papergen.core.errors import counted
    from papergen.experiment.project import open_project
    from papergen.store.archive import import_results

    project = open_project()
    with project.store.held():
        outcome = import_results(project.store, Path(source))
    for path, missing in outcome.incomplete.items():
        click.echo(f"{path}: taken without {', '.join(missing)}, which are not there", err=True)
    for fault in outcome.faults:
        click.echo(f"not taken: {fault}", err=True)
    counts = f"{counted(len(outcome.taken), 'result')} taken in, {len(outcome.present)} were here already"
    click.echo(f"{counts}, {len(outcome.faults)} not taken")
    return 1 if outcome.faults else 0


@results.command("export")
@click.argument("tracker", type=click.Choice(["tensorboard", "mlflow", "wandb"]))
@click.option(
    "--to", "target", type=click.Path(file_okay=False), metavar="FOLDER", help="Where (default: build/TRACKER)"
)
@ONLY
def export(tracker: str, target: str | None, only: tuple[str, ...]) -> None:
    """Hand finished results to TensorBoard, MLflow or W&B (offline)

    What was exported before is not exported twice. Each tracker is an extra: pip install 'papergen[tensorboard]'.

    \b
    papergen results export tensorboard
    papergen results export mlflow --to ../tracking --only training
    """
    from pathlib import Path

    from papergen.experiment.project import open_project
    from papergen.store.index import Index
    from papergen.store.listing import filter_results
    from papergen.store.trackers import export as hand_over

    project = open_project()
    digests = {entry.digest for entry in filter_results(Index(project.store).entries(), only, ())}
    trials = {trial.digest: trial for trial in project.trials if trial.digest in digests}
    found = [result for trial in trials.values() if (result := project.store.load(trial)) is not None]
    folder = Path(target) if target is not None else project.root / "build" / tracker
    count = hand_over(tracker, found, folder)
    click.echo(f"{count} results exported, {len(found) - count} were there already", err=True)
    click.echo(folder)


@results.command("clean")
@click.option(
    "--all", "is_all", is_flag=True, help="Remove failures, notes of n/a, damaged results and all scratch as well"
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed and remove nothing")
def clean(is_all: bool, dry_run: bool) -> None:
    """Remove what attempts have left behind

    That is: stopped attempts, and the scratch (checkpoints to go on from), failures and notes of n/a of trials that the
    plan has no more. Scratch that a trial of the plan can still go on from stays, unless --all is given. Results are
    never touched.

    \b
    papergen results clean --dry-run
    papergen results clean --all
    """
    from papergen.experiment.project import open_project
    from papergen.store.maintenance import leftovers, remove_leftover

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
                    remove_leftover(item)
            click.echo(f"{verb:<12}  {item.num_bytes / 2**20:8.1f} MiB  {store.shown(item.folder)}")
    click.echo(f"{total / 2**20:.1f} MiB {'would be freed' if dry_run else 'freed'}", err=True)
