"""`papergen rerun`."""

from __future__ import annotations

import click


@click.command("rerun")
@click.argument("key")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-5,
    show_default=True,
    help="Largest relative difference that still counts as the same",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per trial")
def rerun(key: str, tolerance: float, device: str, as_json: bool) -> int:
    """Run finished trials again and say whether the same comes out

    KEY is experiment/row (all its seeds), experiment/row/metric, or the beginning of a digest. The results stay as they
    are. Times and memory are shown but not compared. Exit code 1 when something differs.

    \b
    papergen rerun decoding/nucleus
    """
    import json

    from papergen.experiment.project import open_project
    from papergen.paper.rerun import describe
    from papergen.paper.rerun import rerun as run_again

    found = run_again(open_project(), key, device=device, tolerance=tolerance)
    for item in found:
        click.echo(json.dumps(item.to_json(), ensure_ascii=False) if as_json else describe(item, tolerance))
    return 1 if any(item.verdict == "different" for item in found) else 0
