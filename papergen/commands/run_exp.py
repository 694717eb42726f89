"""`papergen run-exp`."""

from __future__ import annotations

import click


@click.command("run-exp")
@click.argument("names", nargs=-1, metavar="[EXPERIMENT]...")
@click.option("--only", multiple=True, metavar="ROW", help="Run only these rows (experiment/row or row); repeatable")
@click.option("--seeds", metavar="LIST", help="Seeds to run instead of the ones in the files, e.g. 0,1,2")
@click.option(
    "-o",
    "--override",
    "overrides",
    multiple=True,
    metavar="EXPERIMENT.KEY=VALUE",
    help="Change a parameter for this run; repeatable",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the ranks compute",
)
@click.option("--launcher", default="auto", show_default=True, metavar="NAME", help="local, spawn or torchrun")
@click.option("--force", is_flag=True, help="Run finished trials again")
@click.option("--jobs", type=click.IntRange(min=1), help="Trials at a time (default 1, so that timings are fair)")
@click.option("--fail-fast", is_flag=True, help="Stop at the first failed trial instead of going on with the others")
@click.option(
    "--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="End a trial that takes longer"
)
@click.option("--dry-run", is_flag=True, help="Print the plan and run nothing")
def run_exp(
    names: tuple[str, ...],
    only: tuple[str, ...],
    seeds: str | None,
    overrides: tuple[str, ...],
    device: str,
    launcher: str,
    force: bool,
    jobs: int | None,
    fail_fast: bool,
    time_limit: float | None,
    dry_run: bool,
) -> int:
    """Run the project's experiments

    A finished trial is never run again; a failed one is kept apart and tried again by the next call.

    \b
    papergen run-exp                              all that is not finished
    papergen run-exp decoding --only nucleus      one row of one experiment
    papergen run-exp -o training.max_steps=50     with a parameter changed
    papergen run-exp --dry-run                    what would be run
    """
    from papergen.commands.running import Request, run

    return run(
        Request(
            names=names,
            only=only,
            seeds=seeds,
            overrides=overrides,
            device=device,
            launcher=launcher,
            force=force,
            jobs=jobs,
            fail_fast=fail_fast,
            time_limit_s=time_limit,
            dry_run=dry_run,
        )
    )
