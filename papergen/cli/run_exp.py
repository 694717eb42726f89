"""`papergen run-exp`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
@click.option(
    "--nnodes",
    "num_nodes",
    type=click.IntRange(min=1),
    default=1,
    help="Machines that share each trial of several ranks",
)
@click.option(
    "--rdzv-endpoint", metavar="HOST:PORT", help="Where they meet: an address of node 0 and a free port there"
)
@click.option("--node-rank", type=int, metavar="N", help="Number of this machine (default: 0 if it has that address)")
@click.option(
    "--join-timeout",
    "join_timeout_s",
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
    "--time-limit",
    "time_limit_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End a trial that takes longer",
)
@click.option(
    "--hang-timeout",
    "hang_timeout_s",
    type=click.FloatRange(min=0),
    default=8.0,
    show_default=True,
    metavar="SECONDS",
    help="Look for a hang where ranks neither go on nor compute for so long; 0: never",
)
@click.option(
    "--memory-limit",
    "memory_limit_gib",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GIB",
    help="End a trial whose processes together hold more memory on one machine",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event to standard output")
@click.option("--dry-run", is_flag=True, help="Print the plan and run nothing")
def run_exp(**options: Any) -> int:
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
    import sys

    from papergen.execution.session import carry_out, prepare
    from papergen.execution.settings import RunOptions

    asked = RunOptions(**options)
    plan = prepare(asked, _say)
    if asked.dry_run:
        for line in [_json(event) for event in plan.to_json()] if asked.as_json else plan.lines():
            click.echo(line)
        return 0
    summary = carry_out(plan, _say, sys.stdout)
    if summary is None:
        return 0
    if asked.as_json:
        click.echo(_json(summary.to_json()))
    elif plan.to_run:
        click.echo(f"{summary.counts()}\nresults: {plan.project.store.root}")
    for line in summary.problems():
        _say(line)
    if plan.to_run and (asked.overrides or asked.seeds or asked.presets):
        _say(
            "These results were made with -o, --preset or --seeds. The paper uses the values in experiments/*.yaml: "
            "write them there to have these results in it."
        )
    if summary.is_disk_full:
        _say("The disk is full: free some space and run the same command again.")
    return summary.exit_code


def _say(text: str) -> None:
    click.echo(text, err=True)


def _json(event: Mapping[str, Any]) -> str:
    import json

    return json.dumps(event, ensure_ascii=False)
