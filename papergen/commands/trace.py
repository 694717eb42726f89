"""`papergen trace`."""

from __future__ import annotations

import click


@click.command("trace")
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object")
def trace(key: str, as_json: bool) -> None:
    """Show the runs behind a number

    KEY is experiment/row/metric, as in the paper.

    \b
    papergen trace decoding/nucleus/rep_4
    """
    import json

    from papergen.assembly import read_results
    from papergen.project import open_project
    from papergen.tracing import describe, traced

    project = open_project()
    found = traced(project, read_results(project), key)
    click.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else describe(found))
