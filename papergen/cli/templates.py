"""`papergen templates` and `papergen template`."""

from __future__ import annotations

import click


@click.command("templates")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per template and language")
def templates(as_json: bool) -> None:
    """List the templates and what this machine lacks for each

    Within a paper also those in its folder templates/.

    \b
    papergen templates
    papergen templates --json
    """
    import json
    from pathlib import Path

    from papergen.config import find_project
    from papergen.core.errors import PapergenError
    from papergen.latex.venues.installed import survey
    from papergen.latex.venues.template import MODES

    try:
        project = find_project(Path.cwd())
    except PapergenError:
        project = None
    for item in survey(project=project):
        template = item.template
        limits = {mode: template.rules(mode).page_limit for mode in MODES}
        if as_json:
            record = {
                "template": template.name,
                "language": item.language,
                "label": template.label,
                "engine": item.engine,
                "installed": item.is_installed,
                "missing": list(item.missing),
                "style_files": [style.file for style in template.style_files],
                "page_limits": limits,
                "column_width_in": template.column_width_in,
                "bibliography": list(template.bibliography),
            }
            click.echo(json.dumps(record))
            continue
        state = "ready" if item.is_installed else f"lacks {', '.join(item.missing[:4])}"
        state += f" and {len(item.missing) - 4} more" if len(item.missing) > 4 else ""
        click.echo(f"{template.name:<11} {item.language}  {template.label}")
        shown = [f"{mode} {limit} pages" for mode, limit in limits.items() if limit]
        click.echo(f"               {state}" + (f"; {', '.join(shown)}" if shown else ""))
        if not item.is_installed:
            click.echo(f"               {item.install_lines()[0]}")


@click.group("template")
def template() -> None:
    """Change the template of a paper

    \b
    papergen template switch ieee
    """


@template.command("switch", short_help="Give the paper another template")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Say what would happen and write nothing")
@click.option("--json", "as_json", is_flag=True, help="Print what happened as JSON")
def switch(name: str, dry_run: bool, as_json: bool) -> None:
    """Give the paper another template; prose, macros and results stay as they are

    The root file main.tex.j2 is written anew for NAME: a template's name, that of a folder in the paper's templates/,
    or the path of a folder (with a slash). The old one is kept in skeletons/, and comes back when the paper goes back
    to its template.

    \b
    papergen template switch ieee
    papergen template switch ./my-template --dry-run
    """
    import dataclasses
    import json
    from pathlib import Path

    from papergen.config import find_project
    from papergen.paper.switch_template import switch as switched

    done = switched(find_project(Path.cwd()), name, is_dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(done)))
        return
    if done.edits:
        click.echo(f"{len(done.edits)} lines of the old main.tex.j2 are yours, not its template's:", err=True)
        for line in done.edits[:12]:
            click.echo(f"    {line}", err=True)
        click.echo("  Packages and macros among them belong into preamble.tex, which every template reads.", err=True)
    verb = "would be" if dry_run else "is"
    again = ", as it was when the paper last had this template" if done.was_kept_before else ""
    click.echo(f"main.tex.j2 {verb} that of {done.template}{again}; the old one {verb} {done.kept}.")
