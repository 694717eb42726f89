"""`papergen run-exp`."""

from __future__ import annotations

import click


@click.command("run-exp")
@click.argument("names", nargs=-1, metavar="[EXPERIMENT]...")
@click.option("--only", multiple=True, metavar="ROW", help="Run only these rows (experiment/row or row); repeatable")
@click.option("--seeds", metavar="LIST", help="Seeds to run instead of the ones in the files, e.g. 0,1,2")
@click.option("--preset", "presets", multiple=True, metavar="NAME", help="Use a preset of the files; repeatable")
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
@click.option(
    "--fail-fast/--keep-going",
    default=False,
    help="Start no more trials after a failed one, or (default) go on with those that do not need it",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Try a trial again that was killed, hung or lost memory, network or machine",
)
@click.option(
    "--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="End a trial that takes longer"
)
@click.option(
    "--memory-limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GIB",
    help="End a trial whose processes together hold more memory",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event to standard output")
@click.option("--dry-run", is_flag=True, help="Print the plan and run nothing")
def run_exp(
    names: tuple[str, ...],
    only: tuple[str, ...],
    seeds: str | None,
    presets: tuple[str, ...],
    overrides: tuple[str, ...],
    device: str,
    launcher: str,
    force: bool,
    jobs: int | None,
    fail_fast: bool,
    retries: int,
    time_limit: float | None,
    memory_limit: float | None,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Run the project's experiments

    A finished trial is never run again; a failed one is kept apart and tried again by the next call.

    \b
    papergen run-exp                              all that is not finished
    papergen run-exp decoding --only nucleus      one row of one experiment
    papergen run-exp -o training.max_steps=50     with a parameter changed
    papergen run-exp --preset quick               with the values that the files keep under presets: quick
    papergen run-exp --jobs 2 --retries 1         two trials at a time, each tried again once if its process dies
    papergen run-exp --dry-run                    what would be run
    """
    from papergen.commands.running import Request, run

    return run(
        Request(
            names=names,
            only=only,
            seeds=seeds,
            presets=presets,
            overrides=overrides,
            device=device,
            launcher=launcher,
            force=force,
            jobs=jobs,
            fail_fast=fail_fast,
            retries=retries,
            time_limit_s=time_limit,
            memory_limit_gib=memory_limit,
            as_json=as_json,
            dry_run=dry_run,
        )
    )
