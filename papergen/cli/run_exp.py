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
@click.option("--launcher", metavar="NAME", help="auto (default), local, spawn, torchrun, slurm or an installed one")
@click.option(
    "--launch", "launch", multiple=True, metavar="KEY=VALUE", help="Change a setting of launch.yaml; repeatable"
)
@click.option("--nnodes", type=click.IntRange(min=1), default=1, help="Machines that share each trial of several ranks")
@click.option(
    "--rdzv-endpoint", metavar="HOST:PORT", help="Where they meet: an address of node 0 and a free port there"
)
@click.option("--node-rank", type=int, metavar="N", help="Number of this machine (default: 0 if it has that address)")
@click.option(
    "--join-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the machines wait for each other",
)
@click.option("--force", is_flag=True, help="Run finished trials again")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Trials at a time (default 1, so that timings are fair; on SLURM as many as it runs)",
)
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
    "--max-restarts",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Let torchrun start the ranks of a trial again after a failure, from their last checkpoint",
)
@click.option(
    "--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="End a trial that takes longer"
)
@click.option(
    "--hang-timeout",
    type=click.FloatRange(min=0),
    default=8.0,
    show_default=True,
    metavar="SECONDS",
    help="Look for a hang where ranks neither go on nor compute for so long; 0: never",
)
@click.option(
    "--memory-limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GIB",
    help="End a trial whose processes together hold more memory on one machine",
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
    launcher: str | None,
    launch: tuple[str, ...],
    nnodes: int,
    rdzv_endpoint: str | None,
    node_rank: int | None,
    join_timeout: float,
    force: bool,
    jobs: int | None,
    fail_fast: bool,
    retries: int,
    max_restarts: int,
    time_limit: float | None,
    hang_timeout: float,
    memory_limit: float | None,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Run the project's experiments

    A finished trial is never run again; a failed one is kept apart and tried again by the next call.

    \b
    papergen run-exp                              all that is not finished
    papergen run-exp decoding --only nucleus      one row of one experiment
    papergen run-exp -o decoding.num_prompts=8     with a parameter changed
    papergen run-exp --preset quick               with the values that the files keep under presets: quick
    papergen run-exp --jobs 2 --retries 1         two trials at a time, each tried again once if its process dies
    papergen run-exp --dry-run                    what would be run
    papergen run-exp --launcher slurm --launch partition=gpu --launch time=4h
    papergen run-exp --launcher torchrun --max-restarts 2
    papergen run-exp --launcher torchrun --nnodes 2 --rdzv-endpoint 10.0.0.1:29500    (typed on both hosts)
    """
    from papergen.cli.launching import Request
    from papergen.cli.running import run

    return run(
        Request(
            names=names,
            only=only,
            seeds=seeds,
            presets=presets,
            overrides=overrides,
            device=device,
            launcher=launcher,
            launch=launch,
            num_nodes=nnodes,
            rdzv_endpoint=rdzv_endpoint,
            node_rank=node_rank,
            join_timeout_s=join_timeout,
            force=force,
            jobs=jobs,
            fail_fast=fail_fast,
            retries=retries,
            max_restarts=max_restarts,
            time_limit_s=time_limit,
            hang_timeout_s=hang_timeout,
            memory_limit_gib=memory_limit,
            as_json=as_json,
            dry_run=dry_run,
        )
    )
