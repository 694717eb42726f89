"""`papergen build-pdf`."""

from __future__ import annotations

import click


@click.command("build-pdf")
@click.option("--draft", is_flag=True, help="Build although results are missing; what is missing is printed marked")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=1),
    default=120,
    show_default=True,
    metavar="SECONDS",
    help="Most time for LaTeX",
)
def build_pdf(draft: bool, timeout_s: float) -> None:
    """Build the PDF from results and LaTeX

    Results, figures and citations are rendered into the LaTeX below build/, which is compiled to build/<project>.pdf.
    A result that is unknown, missing or stale stops the build at its file and line.

    \b
    papergen build-pdf
    papergen build-pdf --draft      before all experiments have run
    """
    from papergen.paper import build
    from papergen.project import open_project

    def say(text: str) -> None:
        click.echo(f"  {text}", err=True)

    built = build(open_project(), is_draft=draft, timeout_s=timeout_s, progress=say)
    compiled = built.compiled
    boxes = [problem for problem in compiled.warnings if problem.severity == "box"]
    for problem in boxes:
        click.echo(f"warning: {problem}", err=True)
    passes = f"{compiled.num_passes} LaTeX passes" if compiled.num_passes else "nothing had changed"
    marked = " DRAFT: what is missing is marked in red." if draft else ""
    counts = f"{compiled.pages} pages, {built.num_values} results and {built.num_citations} citations in the text"
    click.echo(f"{counts} ({passes}).{marked}", err=True)
    click.echo(compiled.pdf)
