"""`papergen compare`."""

from __future__ import annotations

import click


@click.command("compare", short_help="Compare two rows, experiments or keys, with interval and test")
@click.argument("a")
@click.argument("b")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric; repeatable")
@click.option(
    "--test",
    type=click.Choice(["t", "wilcoxon", "permutation", "mcnemar"]),
    default="t",
    show_default=True,
    help="Paired test; values that are not paired get Welch's t",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object")
def compare(a: str, b: str, metrics: tuple[str, ...], test: str, as_json: bool) -> None:
    """Compare two rows, experiments or keys: difference, interval, test, effect size

    Rows that rest on the same prompts or seeds are compared pair by pair. p-values are corrected by Holm's method for
    the number of metrics shown.

    \b
    papergen compare decoding/nucleus decoding/beam
    papergen compare decoding/nucleus/rep_4 decoding/beam/rep_4 --test wilcoxon
    """
    import json

    from papergen.experiment.project import open_project
    from papergen.paper.assemble import read_results
    from papergen.report.comparison import compared, describe

    found = compared(read_results(open_project()), a, b, metrics=metrics, test=test)
    click.echo(json.dumps(found.to_json(), ensure_ascii=False, indent=2) if as_json else describe(found))
