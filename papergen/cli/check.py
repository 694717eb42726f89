"""`papergen check`."""

from __future__ import annotations

import click


@click.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: findings, claims, what was not examined")
@click.option("--fix", "fixes", is_flag=True, help="Mend what is safe to mend in references.bib first")
@click.option("--anonymous", is_flag=True, help="Look for what tells reviewers who wrote the paper, whatever the mode")
@click.option("--list", "lists", is_flag=True, help="List the checks and stop")
def check(as_json: bool, fixes: bool, anonymous: bool, lists: bool) -> None:
    """Examine the paper before it is submitted

    Results, claims, hand-typed numbers, bibliography, floats, page, fonts and anonymity; exit 1 with file and line of
    everything found. What needs a PDF looks at the last build. docs/check.md says how to allow a finding.

    \b
    papergen check
    papergen check --fix
    papergen check --json
    """
    import json

    from papergen.experiment.project import open_project
    from papergen.paper.check.fix import fix
    from papergen.paper.check.output import as_record, in_words
    from papergen.paper.check.run import CHECKS, examine

    if lists:
        for name, item in CHECKS.items():
            click.echo(f"{name:<19} {item.looks_for}" + (" (needs a PDF)" if item.needs_pdf else ""))
        return
    project = open_project()
    for line in fix(project.root / "references.bib") if fixes else ():
        click.echo(line, err=True)
    examined = examine(project, is_anonymous=anonymous)
    if as_json:
        click.echo(json.dumps(as_record(examined), ensure_ascii=False, indent=2))
    else:
        click.echo(in_words(examined))
    if examined.standing:
        raise SystemExit(1)
