"""`papergen new`: scaffold a paper project."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("name", type=click.Path(path_type=Path))
@click.option("--title", default="", help="Set the title; the template's own when left out")
@click.option(
    "--author", "authors", multiple=True, metavar="'NAME; AFFILIATION; EMAIL'", help="Add an author (repeatable)"
)
@click.option("--template", default="twocolumn", show_default=True, help="Choose the look of the paper")
@click.option(
    "--language", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Choose the language"
)
@click.option(
    "--experiments",
    metavar="LIST",
    help="Choose the experiments, separated by commas; training,decoding when left out",
)
def new(
    name: Path, title: str, authors: tuple[str, ...], template: str, language: str, experiments: str | None
) -> None:
    """Scaffold a paper project in the new folder NAME

    \b
    papergen new my-paper
    papergen new my-paper --title "Sampling small models" --author "A. Author; Example University; a@example.org"
    papergen new my-paper --experiments training
    papergen new 我的论文 --language zh
    """
    from papergen.paper.scaffold import author_from, scaffold, shell_quoted

    scaffold(
        name,
        template=template,
        title=title,
        authors=[author_from(text) for text in authors],
        language=language,
        experiments=None if experiments is None else [part.strip() for part in experiments.split(",") if part.strip()],
    )
    click.echo(f"{name}: a new paper project. Next:")
    click.echo(f"  cd {shell_quoted(str(name))}")
    click.echo("  papergen run-exp")
    click.echo("  papergen build-pdf")
