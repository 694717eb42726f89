"""`papergen status`."""

from __future__ import annotations

import click


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per trial")
def status(as_json: bool) -> None:
    """Show what is finished, failed or stale, and why

    \b
    papergen status
    papergen status --json
    """
    import json
    from collections import Counter

    from papergen.project import open_project

    states = open_project().states()
    if as_json:
        for item in states:
            record = {
                "trial": item.trial.label,
                "digest": item.trial.digest,
                "state": item.state,
                "reason": item.reason,
            }
            click.echo(json.dumps(record, ensure_ascii=False))
        return
    width = max(len(item.trial.label) for item in states)
    for item in states:
        click.echo(f"{item.state:<9} {item.trial.label:<{width}}  {item.trial.digest[:12]}  {item.reason}".rstrip())
    counts = Counter(item.state for item in states)
    click.echo(", ".join(f"{counts[state]} {state}" for state in sorted(counts)))
