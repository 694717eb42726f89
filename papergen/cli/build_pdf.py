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
    from papergen.core import unchanged

    command = ["build-pdf", str(draft)]
    root = unchanged.find_root()
    if root and (answer := unchanged.last_answer(root, command)):
        click.echo(answer[0], err=True)
        click.echo(answer[1])
        return
    recorder = unchanged.Recorder(root)
    if root:
        unchanged.forget(root)
        recorder.start()
    try:
        from papergen.cli.building import build_and_say

        said, printed, outputs = build_and_say(is_draft=draft, timeout_s=timeout_s)
        if root:
            recorder.finish(command, said, printed, outputs)
    finally:
        recorder.stop()
