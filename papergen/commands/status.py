"""`papergen status`."""

from __future__ import annotations

import click


@click.command("status")
@click.argument("names", nargs=-1, metavar="[EXPERIMENT]...")
@click.option(
    "--state",
    "wanted",
    multiple=True,
    type=click.Choice(["finished", "pending", "failed", "stale", "unavailable"]),
    help="Show only trials in this state; repeatable",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per trial")
def status(names: tuple[str, ...], wanted: tuple[str, ...], as_json: bool) -> None:
    """Show what is finished, failed or stale, and why

    \b
    papergen status
    papergen status decoding --state stale --state failed
    papergen status --json
    """
    import json
    from collections import Counter

    from papergen.project import open_project

    project = open_project()
    chosen = {trial.digest for trial in project.select(names, ())}
    states = [item for item in project.states() if item.trial.digest in chosen]
    shown = [item for item in states if not wanted or item.state in wanted]
    if as_json:
        for item in shown:
            record = {
                "trial": item.trial.label,
                "digest": item.trial.digest,
                "state": item.state,
                "reason": item.reason,
            }
            click.echo(json.dumps(record, ensure_ascii=False))
        return
    width = max((len(item.trial.label) for item in shown), default=0)
    lines = [f"{item.state:<11} {item.trial.label:<{width}}  {item.trial.digest[:12]}  {item.reason}" for item in shown]
    counts = Counter(item.state for item in states)
    lines.append(", ".join(f"{counts[state]} {state}" for state in sorted(counts)))
    click.echo("\n".join(line.rstrip() for line in lines))
