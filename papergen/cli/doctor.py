"""`papergen doctor`."""

from __future__ import annotations

import click


@click.command("doctor", short_help="Say what this machine has and lacks for a paper")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per finding")
def doctor(as_json: bool) -> int:
    """Say what this machine has and lacks, with the line that installs it

    The exit code is 3 when something is missing that the default paper needs; what only some papers need is marked "-".

    \b
    papergen doctor
    papergen doctor --json
    """
    import dataclasses
    import json
    from pathlib import Path

    from papergen.paper.doctor import examine

    found = examine(Path.cwd())
    for item in found:
        if as_json:
            click.echo(json.dumps(dataclasses.asdict(item)))
            continue
        mark = {"ok": "ok", "lacks": "NO", "optional": "- "}[item.state]
        click.echo(f"{mark} {item.what}: {item.found}")
        for line in item.remedy.splitlines() if item.state != "ok" else ():
            click.echo(f"     {line}")
    return 3 if any(item.state == "lacks" for item in found) else 0
