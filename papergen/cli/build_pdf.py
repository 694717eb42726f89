"""`papergen build-pdf`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from papergen.paper.build import Built


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
    from papergen.paper import last_build

    command = ["build-pdf", str(draft)]
    root = last_build.find_root()
    if root and (answer := last_build.last_answer(root, command)):
        click.echo(answer[0], err=True)
        click.echo(answer[1])
        return
    if not root:  # what follows says what is missing
        _build(is_draft=draft, timeout_s=timeout_s)
        return
    recording = last_build.Recording(root)
    recording.start()
    try:
        said, built = _build(is_draft=draft, timeout_s=timeout_s)
        outputs = [path for path in built.tree.rglob("*") if path.is_file()]
        pdf = built.compiled.pdf
        recording.finish(command, said, str(pdf), outputs=[pdf, *outputs], read=built.compiled.system_files)
    finally:
        recording.stop()


def _build(*, is_draft: bool, timeout_s: float) -> tuple[str, Built]:
    """Build the paper of the current folder and print where it is; also what the next build says if nothing changes."""
    from papergen.core.errors import counted
    from papergen.experiment.project import open_project
    from papergen.latex.problems import Code
    from papergen.paper.build import build

    def say(text: str) -> None:
        click.echo(f"  {text}", err=True)

    built = build(open_project(), is_draft=is_draft, timeout_s=timeout_s, progress=say)
    compiled = built.compiled
    boxes = [f"warning: {problem}" for problem in compiled.warnings if problem.code is Code.OVERFULL]
    marked = " DRAFT: what is missing is marked in red." if is_draft else ""
    counts = (
        f"{counted(compiled.pages, 'page')}, {counted(built.num_values, 'result')} and "
        f"{counted(built.num_citations, 'citation')} in the text"
    )
    unchanged = "nothing had changed"
    passes = counted(compiled.num_passes, "LaTeX pass", "LaTeX passes") if compiled.num_passes else unchanged
    click.echo("\n".join([*boxes, f"{counts} ({passes}).{marked}"]), err=True)
    click.echo(compiled.pdf)
    return "\n".join([*boxes, f"{counts} ({unchanged}).{marked}"]), built
